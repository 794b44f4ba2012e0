"""`panollava crop`: one panorama as `panollava-geometry crop`, many as a job that can be stopped and goes on."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from panollava_geometry.cli import app, run_app
from panollava_hf.cli import run
from PIL import Image
from towers import seamless, write_eight

SIZE = ["--size", "16"]


def crop(*arguments):
    return run(["crop", *map(str, arguments)])


def tree(folder):
    """All files below a folder but the table and its manifest, which hold times."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if "panoramas.jsonl" not in name}


def table(folder):
    return [json.loads(line) for line in (folder / "panoramas.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(["one.jpg", "one.png", "two.png", "Three.PNG"]):
        Image.fromarray(seamless(seed, 128)).save(tmp_path / "in" / name, quality=95)
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    return tmp_path / "in"


@pytest.mark.parametrize(
    "options",
    [
        SIZE,
        [],
        ["--strategy", "cubemap", "--format", "jpeg", *SIZE],
        ["--num-views", "4", "--num-rings", "2", "--pitch-range-deg", "-30", "30", "--fov-deg", "100", *SIZE],
        ["--whole-sphere", "--overlap-ratio", "0.1", *SIZE],
    ],
)
def test_folders_are_those_of_the_geometry(folder, tmp_path, capsys, options):
    theirs = run_app(app, ["crop", str(folder), "-o", str(tmp_path / "theirs"), *options], program="panollava")
    said = capsys.readouterr().out.splitlines()
    assert crop(folder, "-o", tmp_path / "ours", *options) == theirs == 0
    out, err = capsys.readouterr()
    assert tree(tmp_path / "ours") == tree(tmp_path / "theirs")
    assert out.splitlines()[0] == said[0].replace("theirs", "ours")
    assert "notes.txt" in err
    assert {row["id"]: row["folder"] for row in table(tmp_path / "ours")} == {
        "one.jpg": "one.jpg", "one.png": "one.png", "two.png": "two", "Three.PNG": "Three",
    }  # fmt: skip
    for row in table(tmp_path / "ours"):
        assert all((tmp_path / "ours" / row["folder"] / view).is_file() for view in row["views"])


@pytest.mark.parametrize("options", [SIZE, ["--dry-run"]])
def test_one_panorama_is_as_before(folder, tmp_path, capsys, options):
    assert crop(folder / "two.png", "-o", tmp_path / "out", *options) == 0
    out, err = capsys.readouterr()
    if options == SIZE:
        assert (out, err) == (f"1 panorama, 7 views, in {tmp_path / 'out'}\n", "")
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"two"}
    else:
        assert not (tmp_path / "out").exists()
    (folder / "bad.jpg").write_text("hello")
    assert crop(folder / "bad.jpg", "-o", tmp_path / "out") == 2
    assert "not an image that Pillow can read" in capsys.readouterr().err


def test_panoramas_that_cannot_be_read_are_reported(tmp_path, capsys):
    write_eight(tmp_path / "in")
    assert crop(tmp_path / "in", "-o", tmp_path / "out", *SIZE) == 1
    out, err = capsys.readouterr()
    assert out == f"4 panoramas, 7 views each, in {tmp_path / 'out'}\n"
    for name in ("bad0.jpg", "bad1.jpg", "bad2.png", "bad3.jpg"):
        assert f"panollava: {tmp_path / 'in' / name}: " in err
    assert "4 failed:" in err
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {f"good{n}" for n in range(4)}
    rows = table(tmp_path / "out")
    assert [row["error"] is None for row in rows] == [row["id"].startswith("good") for row in rows]
    shutil.copyfile(tmp_path / "in" / "good0.png", tmp_path / "in" / "bad1.jpg")
    assert crop(tmp_path / "in", "-o", tmp_path / "out", *SIZE, "--retry-errors") == 1
    assert capsys.readouterr().out.startswith("5 panoramas, ")


def test_a_folder_with_one_bad_panorama_is_an_error(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.jpg").write_text("hello")
    assert crop(tmp_path / "in", "-o", tmp_path / "out", *SIZE) == 2
    assert f"panollava: {tmp_path / 'in' / 'bad.jpg'}: this is not an image" in capsys.readouterr().err


def test_a_second_run_cuts_what_has_changed(folder, tmp_path, capsys):
    def go(*options):
        assert crop(folder, "-o", tmp_path / "out", *SIZE, *options) == 0
        found = capsys.readouterr()
        assert found.out == f"4 panoramas, {7 if not options else 5} views each, in {tmp_path / 'out'}\n"
        return found.err, tree(tmp_path / "out")

    _, first = go()
    said, second = go()
    assert "already complete" in said
    assert second == first
    shutil.rmtree(tmp_path / "out" / "two")
    said, second = go()
    assert "4 rows were computed" in said
    assert second == first
    Image.fromarray(seamless(9, 128)).save(folder / "two.png")
    os.utime(folder / "two.png", ns=(2**62, 2**62))
    _, second = go()
    assert {name for name in first if first[name] != second[name]} >= {"two/view_00.png"}
    assert {name.split("/")[0] for name in first if first[name] != second[name]} == {"two"}
    said, third = go("--num-views", "4")
    assert "4 rows were computed" in said
    assert len([name for name in third if name.startswith("one.jpg/view")]) == 5


@pytest.mark.parametrize("inner", ["", "views"])
def test_an_output_in_the_source_is_not_read_as_panoramas(folder, capsys, inner):
    assert crop(folder, "-o", folder / inner) == 0
    rows = table(folder / inner)
    assert crop(folder, "-o", folder / inner) == 0
    assert table(folder / inner) == rows
    err = capsys.readouterr().err
    assert "is already complete" in err
    assert f"views in {len(rows)} folders were cut by crop, and are not panoramas" in err


def test_tables_name_folders_by_id(folder, tmp_path, capsys):
    ids = ["a/b.jpg", "../up", "/abs/olute.png", "CON", "Same", "same", "plain"]
    with (tmp_path / "rooms.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "image"], *([name, folder / "two.png"] for name in ids)])
    assert crop(tmp_path / "rooms.csv", "-o", tmp_path / "deep" / "out", *SIZE) == 0
    rows = table(tmp_path / "deep" / "out")
    assert [row["id"] for row in rows] == ids
    assert len({row["folder"].casefold() for row in rows}) == len(ids)
    for row in rows:
        place = tmp_path / "deep" / "out" / row["folder"]
        assert place.resolve().is_relative_to(tmp_path / "deep" / "out")
        assert len(row["views"]) == 7
        assert (place / "plan.json").is_file()
    assert {row["id"]: row["folder"] for row in rows}["plain"] == "plain"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_dry_run_writes_nothing(folder, tmp_path, capsys):
    assert crop(folder, "-o", tmp_path / "out", *SIZE, "--dry-run") == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["panoramas"] == "4"
    assert lines["views"] == "28 (7 of 16x16 pixels)"
    assert not (tmp_path / "out").exists()
    assert crop(folder, "-o", tmp_path / "out", *SIZE) == 0
    about, unit = lines["output"].removeprefix("about ").split()
    written = sum(map(len, tree(tmp_path / "out").values()))
    assert float(about) * {"kB": 1000, "MB": 1e6}[unit] == pytest.approx(written, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "gone: no such file"),
        (["{in}", "--engine", "rya"], "did you mean ray?"),
        (["{in}", "--size", "100000"], "--size"),
        (["{in}", "--size", "big"], "neither a number of pixels"),
        (["{in}", "--plan", "gone.json"], "the plan cannot be read"),
        (["{in}", "--fov-deg", "180"], "fov_deg must be between"),
        (["{in}", "--hfov", "90", "--partial", "--eye", "left"], "exclude each other"),
        (["{in}", "-o", "{in}/one.jpg"], "cannot be written"),
        (["{empty}"], "contains no images"),
    ],
)
def test_errors_are_one_line_and_code_2(folder, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    names = {"in": folder, "empty": tmp_path / "empty"}
    assert crop(*(argument.format(**names) for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("panollava: ")
    assert message in err
    assert not (tmp_path / "views").exists()


PROGRAM = """
import os, signal, sys
from panollava_hf.cli import run
from panollava_hf.jobs import PanoramaCropper
fatal, log, *arguments = sys.argv[1:]
PanoramaCropper.part_rows = 2
read = PanoramaCropper.read
def logged(self, item):
    if item.id == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    with open(log, "a") as file:
        file.write(item.id + "\\n")
    return read(self, item)
PanoramaCropper.read = logged
sys.exit(run(arguments))
"""


def test_a_killed_command_goes_on_and_gives_the_same_files(tmp_path):
    (tmp_path / "in").mkdir()
    for seed in range(12):
        Image.fromarray(seamless(seed, 64)).save(tmp_path / "in" / f"{seed}.png")

    def go(output, fatal="", log="log"):
        arguments = ["crop", tmp_path / "in", "-o", tmp_path / output, *SIZE, "--batch-size", 2]
        command = [sys.executable, "-c", PROGRAM, fatal, tmp_path / log, *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)

    assert go("whole").returncode == 0
    assert go("killed", fatal="9.png").returncode == -signal.SIGKILL
    parts = len(list((tmp_path / "killed" / "panoramas.jsonl.parts").glob("part-*")))
    second = go("killed", log="second")
    assert second.returncode == 0, second.stderr
    assert f"12 panoramas, 7 views each, in {tmp_path / 'killed'}" in second.stdout
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
    assert (tmp_path / "killed" / "panoramas.jsonl").read_bytes() == (
        tmp_path / "whole" / "panoramas.jsonl"
    ).read_bytes()
    again = (tmp_path / "second").read_text().split()
    assert sorted(again, key=lambda name: int(name[:-4])) == [f"{n}.png" for n in range(2 * parts, 12)]
