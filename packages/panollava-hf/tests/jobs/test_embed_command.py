"""`panollava embed` from end to end."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from panollava_hf.cli import run
from panollava_hf.jobs import PanoramaEmbedder
from PIL import Image
from towers import save_tower, seamless, write_eight

pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tower")
    save_tower(folder)
    return str(folder)


@pytest.fixture(scope="module")
def forty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forty")
    for seed in range(40):
        Image.fromarray(seamless(seed, 128)).save(folder / f"{seed}.png")
    return folder


def embed(*arguments):
    return run(["embed", *map(str, arguments), "--device", "cpu"])


def test_four_broken_files_among_eight(tower, tmp_path, capsys):
    paths = write_eight(tmp_path / "in")
    assert embed(tmp_path / "in", "-o", tmp_path / "v.parquet", "--model", tower) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "4 of 8 rows have a result" in err
    assert "4 failed:" in err
    assert "s per 1,000" in err
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column_names == ["id", "path", "width", "height", "vector", "views", "error"]
    rows = {row["id"]: row for row in table.to_pylist()}
    assert list(rows) == sorted(path.name for path in paths)
    one_by_one = PanoramaEmbedder(tower, device="cpu")
    for path in paths:
        row = rows[path.name]
        if path.name.startswith("bad"):
            assert path.name in row["error"]
            assert row["vector"] is row["width"] is row["views"] is None
        else:
            expected = one_by_one({"path": [str(path)]})
            assert (row["error"], row["width"], row["height"]) == (None, 256, 128)
            np.testing.assert_allclose(row["vector"], expected["vector"][0], atol=1e-5)
            for view, other in zip(row["views"], expected["views"][0], strict=True):
                assert (view["yaw_deg"], view["pitch_deg"]) == (other["yaw_deg"], other["pitch_deg"])
                np.testing.assert_allclose(view["vector"], other["vector"], atol=1e-5)


def test_rows_as_json_are_those_of_parquet(tower, forty, tmp_path):
    for name in ("v.parquet", "v.jsonl"):
        assert embed(forty, "-o", tmp_path / name, "--model", tower, "--limit", 3) == 0
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    table = pq.read_table(tmp_path / "v.parquet").to_pylist()
    assert [line["id"] for line in lines] == [row["id"] for row in table] == ["0.png", "1.png", "2.png"]
    for line, row in zip(lines, table, strict=True):
        np.testing.assert_array_equal(np.float32(line["vector"]), np.float32(row["vector"]))
        assert [view["yaw_deg"] for view in line["views"]] == [view["yaw_deg"] for view in row["views"]]


def test_the_same_model_by_another_path_is_the_same(tower, forty, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(Path(tower).parent)
    out = tmp_path / "v.jsonl"
    assert embed(forty, "-o", out, "--model", tower, "--limit", 2) == 0
    assert embed(forty, "-o", out, "--model", Path(tower).name, "--limit", 3) == 0
    assert "2 by an earlier run" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    save_tower(tmp_path / "other", seed=1)
    assert embed(forty, "-o", out, "--model", tmp_path / "other", "--limit", 3) == 2
    assert "has results with model" in capsys.readouterr().err


def test_a_table_and_two_processes_give_the_same_rows(tower, forty, tmp_path):
    with (tmp_path / "rooms.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["key", "photo"], *([f"room {n}", forty / f"{n}.png"] for n in range(40)), ["gone", forty / "gone.png"]]
        )
    options = ("--model", tower, "--batch-size", 4)
    assert embed(forty, "-o", tmp_path / "folder.parquet", *options) == 0
    columns = ("--column", "image=photo", "--column", "id=key")
    code = embed(tmp_path / "rooms.csv", "-o", tmp_path / "table.parquet", *columns, *options, "--workers", 2)
    assert code == 1
    folder, table = (pq.read_table(tmp_path / name).to_pylist() for name in ("folder.parquet", "table.parquet"))
    assert [row["id"] for row in table] == [*(f"room {n}" for n in range(40)), "gone"]
    assert "no such file" in table.pop()["error"]
    np.testing.assert_allclose([row["vector"] for row in table], [row["vector"] for row in folder], atol=1e-5)


@pytest.mark.parametrize(
    "options", [[], ["--strategy", "cubemap"], ["--strategy", "e2p", "--num-views", "4", "--pooling", "cls"]]
)
def test_a_dry_run_counts_and_writes_nothing(tower, forty, tmp_path, capsys, options):
    output = tmp_path / "v.parquet"
    assert embed(forty, "-o", output, "--model", tower, "--batch-size", 7, "--dry-run", *options) == 0
    lines = dict(
        line.split(maxsplit=1) for line in capsys.readouterr().out.replace("ard pass", "ard_pass").splitlines()
    )
    views, directed = {0: (7, 6), 2: (6, 6), 6: (4, 4)}[len(options)]
    assert lines["panoramas"] == "40"
    assert lines["views"] == f"{40 * views} ({views} of 28x28 pixels each)"
    assert lines["forward_passes"] == "6 of up to 7 panoramas"
    assert (
        lines["vectors"]
        == f"{40 * (directed + 1)} of {16 if 'cls' in options else 32} numbers ({directed + 1} per panorama)"
    )
    assert lines["time"].endswith("in one process on cpu, measured on 8")
    assert not output.exists()
    assert list(tmp_path.iterdir()) == []
    assert embed(forty, "-o", output, "--model", tower, *options) == 0
    about = float(lines["output"].split()[1]) * {"kB": 1000, "bytes": 1}[lines["output"].split()[2]]
    assert 0.5 * about < output.stat().st_size < 2 * about + 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "gone: no such file or folder"),
        ([".", "--engine", "rya"], "--engine rya: did you mean ray?"),
        ([".", "--pooling", "average"], "--pooling average: expected mean"),
        ([".", "--dtype", "bf16"], "did you mean bfloat16?"),
        ([".", "--column", "photo"], "expected NAME=COLUMN"),
        (["{forty}", "--hfov", "90", "--eye", "left"], "exclude each other"),
        ([".", "--model", " "], "--model is empty"),
        (["{forty}", "--model", "gone/"], "gone"),
        (["{forty}", "--model", "embedded", "--num-views", "3"], "its own views"),
        (["{forty}", "--model", "{tower}", "--fov-deg", "200"], "fov_deg"),
        (["{forty}", "--model", "{tower}", "-o", "v.txt"], "expected"),
    ],
)
def test_usage_errors_are_one_line(tower, forty, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert embed(*(argument.format(tower=tower, forty=forty) for argument in arguments)) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("Note:")]
    assert (out, len(lines)) == ("", 1)
    assert message in lines[0]
    assert lines[0].startswith("panollava: ")
    assert list(tmp_path.iterdir()) == []


#: Runs the command with small parts. It ends itself at a row if one is named, and writes the ids that it read to a log.
PROGRAM = """
import os, signal, sys
from panollava_hf.cli import run
from panollava_hf.jobs import PanoramaEmbedder
fatal, log, *arguments = sys.argv[1:]
PanoramaEmbedder.part_rows = 8
read = PanoramaEmbedder.read
def logged(self, item):
    if item.id == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    with open(log, "a") as file:
        file.write(item.id + "\\n")
    return read(self, item)
PanoramaEmbedder.read = logged
sys.exit(run(arguments))
"""


def test_a_killed_command_goes_on_and_gives_the_same_file(tower, forty, tmp_path):
    def go(output, fatal="", log="log"):
        arguments = ["embed", forty, "-o", tmp_path / output, "--model", tower, "--device", "cpu", "--batch-size", 4]
        command = [sys.executable, "-c", PROGRAM, fatal, tmp_path / log, *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)

    whole = go("whole.parquet")
    assert whole.returncode == 0, whole.stderr
    first = go("killed.parquet", fatal="31.png", log="first")
    assert first.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed.parquet").exists()
    parts = list((tmp_path / "killed.parquet.parts").glob("part-*.parquet"))
    second = go("killed.parquet", log="second")
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "killed.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not (tmp_path / "killed.parquet.parts").exists()
    done = {f"{n}.png" for n in range(8 * len(parts))}
    again = Path(tmp_path / "second").read_text().split()
    assert 1 <= len(parts) <= 4
    assert sorted(again) == sorted({f"{n}.png" for n in range(40)} - done), "nothing that was written is read again"
    assert go("killed.parquet", log="third").returncode == 0
    assert not (tmp_path / "third").exists()


def test_photographs_are_found_by_their_own_vectors_under_yaw(shared, tmp_path):
    """Each photograph is turned by 60°, one tile of the ring: its nearest vector is its own."""
    save_tower(tmp_path / "tower", seed=3)
    paths = sorted((shared / "panoramas").glob("*.jpg"))
    assert embed(shared / "panoramas", "-o", tmp_path / "v.parquet", "--model", tmp_path / "tower") == 0
    table = pq.read_table(tmp_path / "v.parquet").to_pylist()
    assert [Path(row["path"]).name for row in table] == [path.name for path in paths]
    stored = np.array([row["vector"] for row in table])
    turned = []
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((960, 480), Image.Resampling.BOX))
        turned.append(np.roll(pixels, 160, axis=1))
    found = np.array(PanoramaEmbedder(str(tmp_path / "tower"), device="cpu")({"image": turned})["vector"])
    assert (np.argmax(found @ stored.T, axis=1) == np.arange(len(paths))).all()


def test_images_unlike_those_of_the_training_are_counted(tmp_path, capsys):
    """As `ask` decides it, which runs the tower again; here by a threshold between a scene and noise."""
    from panollava_hf._files import edit_json
    from panollava_hf.asking import default_checkpoint
    from panollava_hf.asking.models._known_images import KnownImages, channel_means
    from panollava_hf.asking.models._panollava import PanoLLaVaChat
    from panollava_hf.panoshapes import render_scene, sample_scene

    noise = np.random.default_rng(0).integers(0, 256, (128, 256, 3), np.uint8)
    images = {f"scene{seed}": render_scene(sample_scene(seed, "test", 4), 256) for seed in range(2)} | {"noise": noise}
    (tmp_path / "in").mkdir()
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / "in" / f"{name}.png")
    chat = PanoLLaVaChat.load("embedded")
    pixels = chat.processor.image_processor(list(images.values()))["pixel_values"]
    means = channel_means(chat.model.base_model.vision_backbone, pixels, [0, 1])
    around = means[:2].mean(0) + 0.01 * np.random.default_rng(1).normal(size=(500, means.shape[1]))
    fields = KnownImages.fit(around, [0, 1], 0.0, "rendered scenes")
    known = KnownImages(fields, "x")
    *scenes, far = known.distances(chat.model.base_model.vision_backbone, pixels)
    assert max(scenes) < far
    shutil.copytree(default_checkpoint(), tmp_path / "model")
    edit_json(
        tmp_path / "model" / "config.json",
        lambda config: config.update(known_images=fields | {"threshold": (max(scenes) + far) / 2}),
    )
    vectors = tmp_path / "v.parquet"
    assert embed(tmp_path / "in", "-o", vectors, "--model", tmp_path / "model") == 0
    err = capsys.readouterr().err
    text = (
        "this image is unlike the rendered scenes that this checkpoint knows; its vectors say little: use another model"
    )
    (line,) = [line for line in err.splitlines() if text in line]
    assert line.split()[0] == "1"
    assert "--model" in line
    assert embed(tmp_path / "in", "--model", tmp_path / "model", "--dry-run") == 0
    assert f"1 of the 3 panoramas that were tried: {text}" in capsys.readouterr().err
    pytest.importorskip("faiss")
    for name in images:
        assert run(["search", str(vectors), str(tmp_path / "in" / f"{name}.png"), "--device", "cpu"]) == 0
        assert (text in capsys.readouterr().err) == (name == "noise")
    evaluation = ["eval-retrieval", str(tmp_path / "in"), "--model", str(tmp_path / "model"), "--queries", "1"]
    assert run([*evaluation, "--device", "cpu"]) == 0
    assert f"Note: 1 of 3 panoramas: {text}" in capsys.readouterr().err
