"""Datasets: complete or not written, independent of the number of workers, readable by `datasets`."""

import hashlib
import json
import re
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from huggingface_hub import DatasetCard
from panollava_hf._errors import PanoShapesError
from panollava_hf.cli import run
from panollava_hf.panoshapes import _dataset as writing
from panollava_hf.panoshapes import answer, read_scenes, render_scene, sample_scene, write_panoshapes
from panollava_hf.panoshapes._dataset import summarise
from PIL import Image


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two splits in one folder."""
    folder = tmp_path_factory.mktemp("data") / "panoshapes"
    write_panoshapes(folder, "test", 20, width=128, workers=1)
    return write_panoshapes(folder, "train", 5, width=128, workers=1, image_format="png")


def test_import_is_light_and_silent():
    program = (
        "import sys, panollava_hf.panoshapes; "
        "print([name for name in ('torch', 'transformers', 'datasets', 'rich', 'typer') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "[]", "")


def test_the_dataset_card_has_what_the_hub_reads_and_says_its_limits(folder):
    card = DatasetCard.load(folder / "README.md")
    assert (card.data.license, card.data.language, card.data.pretty_name) == ("mit", "en", "PanoShapes")
    paths = {entry["split"]: entry["path"] for entry in card.data.configs[0]["data_files"]}
    assert all((folder / path).is_file() for path in paths.values())
    assert set(paths) == {"train", "test"}
    headings = re.findall(r"^## (.*)$", card.text, re.MULTILINE)
    assert headings == ["Intended use and limits", "How it was made", "Citation"]


@pytest.mark.parametrize("signal", ["terminate", "kill"])
def test_the_processes_that_render_end_with_the_command(tmp_path, signal):
    command = [sys.executable, "-m", "panollava_hf", "data", "panoshapes", str(tmp_path / "data"), "--n", "20000"]
    command += ["--width", "64", "--workers", "2"]
    parent = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any(tmp_path.rglob("*.jpg")):
        assert parent.poll() is None
        time.sleep(0.05)
    rendering = [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]
    assert rendering
    getattr(parent, signal)()
    parent.wait()
    _, left = psutil.wait_procs(rendering, timeout=60)
    assert not left


def test_contents(folder):
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "images", "scenes-test.jsonl", "scenes-train.jsonl", "test.jsonl", "train.jsonl"]
    assert len(list((folder / "images").iterdir())) == 25
    scenes = read_scenes(folder / "scenes-test.jsonl")
    assert list(scenes) == [f"test-{index:06d}" for index in range(20)]
    rows = rows_of(folder / "test.jsonl")
    assert {row["scene"] for row in rows} == set(scenes)
    for row in rows:
        assert set(row) == {
            "image",
            "question",
            "answer",
            "family",
            "scene",
            "objects",
            "difficulty",
            "aside",
            "program",
        }
        assert row["objects"] == len(scenes[row["scene"]].objects)
        first = row["objects"] == 1 and row["question"].lower().find(" shape ") > 0
        assert row["difficulty"] == (0 if first else 2 + row["objects"])
        second = json.loads(row["program"]).get("second") if row["family"] == "relative" else None
        kinds = {(item.colour, item.shape): item.yaw_deg for item in scenes[row["scene"]].objects}
        assert row["aside"] == (abs(kinds[second["colour"], second["shape"]]) if second else 0)
        assert row["image"] == f"images/{row['scene']}.jpg"
        assert (folder / row["image"]).is_file()
        assert answer(scenes[row["scene"]], json.loads(row["program"])) == row["answer"]


def test_images_show_the_scenes(folder):
    scene = sample_scene(0, "train", 2)
    with Image.open(folder / "images" / "train-000002.png") as image:
        assert np.array_equal(np.asarray(image), render_scene(scene, 128))
    with Image.open(folder / "images" / "test-000003.jpg") as image:
        drawn = render_scene(sample_scene(0, "test", 3), 128).astype(float)
        assert abs(np.asarray(image) - drawn).mean() < 3


def test_workers_make_no_difference(folder, tmp_path):
    write_panoshapes(tmp_path / "again", "test", 20, width=128, workers=2)
    write_panoshapes(tmp_path / "again", "train", 5, width=128, workers=2, image_format="png")
    assert digests(tmp_path / "again") == digests(folder)


def test_fewer_scenes_are_the_first_ones(folder, tmp_path):
    write_panoshapes(tmp_path / "few", "test", 3, width=128, workers=1)
    few, all_of_them = rows_of(tmp_path / "few" / "test.jsonl"), rows_of(folder / "test.jsonl")
    assert few == all_of_them[: len(few)]


def test_seeds_make_a_difference(folder, tmp_path):
    write_panoshapes(tmp_path / "other", "test", 20, seed=1, width=128, workers=1)
    ours, theirs = (digests(place) for place in (folder, tmp_path / "other"))
    assert not {ours[name] for name in ours if "test" in name} & set(theirs.values())


def test_datasets_reads_it(folder, tmp_path):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    assert {name: len(split) for name, split in loaded.items()} == {
        name: len(rows_of(folder / f"{name}.jsonl")) for name in ("train", "test")
    }
    assert loaded["test"][0] == rows_of(folder / "test.jsonl")[0]


def test_progress_and_existing_empty_folder(tmp_path):
    seen = []
    (tmp_path / "empty").mkdir()
    write_panoshapes(tmp_path / "empty", "validation", 18, width=64, workers=1, progress=seen.append)
    assert seen == [16, 18]
    assert (tmp_path / "empty" / "validation.jsonl").is_file()


def test_nothing_is_left_behind_when_it_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(writing, "render_scene", fail)
    with pytest.raises(OSError, match="disk full"):
        write_panoshapes(tmp_path / "out", "test", 3, width=64, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_other_splits_alone(folder, monkeypatch):
    before = digests(folder)
    monkeypatch.setattr(writing, "write_card", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_panoshapes(folder, "validation", 2, width=64, workers=1)
    after = digests(folder)
    assert before.items() <= after.items()
    assert "validation.jsonl" not in after
    assert [path.name for path in folder.parent.iterdir()] == ["panoshapes"]


def test_summary(tmp_path):
    rows = [("where", "left")] * 3 + [("where", "right")] + [("existence", "no")]
    table = tmp_path / "table.jsonl"
    table.write_text("".join(json.dumps({"family": family, "answer": text}) + "\n" for family, text in rows))
    where, existence = summarise(table)
    assert (where.family, where.questions, where.answers, where.commonest, where.prior) == ("where", 4, 2, "left", 0.75)
    assert (existence.family, existence.prior) == ("existence", 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "0 scenes: expected at least 1"),
        ({"split": "dev"}, "unknown split 'dev'"),
        ({"width": 511}, "width 511: expected a multiple of 4"),
        ({"image_format": "gif"}, "unknown image format 'gif': expected one of jpg, png"),
        ({"workers": 0}, "0 workers"),
        ({"seed": -1}, "expected integers of at least 0"),
        ({"questions_per_family": 0}, "0 questions per family"),
    ],
)
def test_impossible_arguments(tmp_path, change, message):
    with pytest.raises(PanoShapesError, match=message):
        write_panoshapes(tmp_path / "out", **{"split": "test", "count": 1, "width": 64, **change})
    assert list(tmp_path.iterdir()) == []


def test_command(tmp_path, capsys):
    options = ["--split", "train", "--n", "4", "--seed", "3", "--width", "64", "--format", "png", "--workers", "1"]
    assert run(["data", "panoshapes", *options, str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0].split()[:4] == ["family", "questions", "answers", "prior"]
    assert "4 scenes" in shown.err
    assert len(list((tmp_path / "out" / "images").glob("train-*.png"))) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n", "0"], "cannot write PanoShapes: 0 scenes: expected at least 1"),
        (["--split", "dev"], "'dev' is not one of 'train', 'validation', 'test'"),
        (["--width", "127"], "cannot write PanoShapes: width 127: expected a multiple of 4"),
        (["--seed", "-2"], "expected integers of at least 0"),
        (["--workers", "0"], "0 workers: expected at least 1"),
    ],
)
def test_usage_errors_are_one_line(tmp_path, capsys, options, message):
    assert run(["data", "panoshapes", *options, str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert not shown.out
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_not_changed(folder, tmp_path, capsys):
    (tmp_path / "photo.txt").write_text("mine")
    before = digests(folder)
    for place, message in (
        (folder, "already contains the split test"),
        (tmp_path, "contains files that are not a PanoShapes dataset"),
        (tmp_path / "photo.txt", "is a file; choose a folder"),
    ):
        assert run(["data", "panoshapes", "--n", "2", "--width", "64", str(place)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.strip().splitlines()) == 1
    assert digests(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["photo.txt"]
