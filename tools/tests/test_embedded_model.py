"""The runner of the embedded model: its tables, its figures, and that a missed target is not installed."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from panollava_hf.panoshapes import write_panoshapes
from panollava_hf.training import load_recipe

from tools.embedded_model import __main__ as runner
from tools.embedded_model import data, knowledge, targets, training
from tools.embedded_model.evaluation import Outcome, outcome
from tools.embedded_model.targets import Target
from tools.held_out_wordings import UNKNOWN_QUESTIONS


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = write_panoshapes(tmp_path_factory.mktemp("data") / "test", "test", 24, width=64, workers=1)
    return folder / "test.jsonl"


@pytest.mark.parametrize(("language", "writer"), data.HELD_OUT.values())
def test_held_out_rows_have_the_answers_of_the_benchmark(table, language, writer):
    asked = {(row["image"], row["answer"], row["family"]) for row in map(json.loads, table.read_text().splitlines())}
    plain = {row["question"] for row in map(json.loads, table.read_text().splitlines())}
    rows = data.held_out_rows(table, language, writer)
    assert 40 < len(rows) < 150
    assert {(row["image"], row["answer"], row["family"]) for row in rows} <= asked
    assert writer != "author" or not {row["question"] for row in rows} & plain
    assert not any("{" in row["question"] for row in rows)
    assert rows == data.held_out_rows(table, language, writer)


@pytest.mark.parametrize("questions", UNKNOWN_QUESTIONS.values(), ids=list(UNKNOWN_QUESTIONS))
def test_unknown_rows_are_about_scenes(table, questions):
    rows = data.unknown_rows(table, questions)
    assert [row["question"] for row in rows] == list(questions)
    assert all((table.parent / row["image"]).is_file() for row in rows)
    assert len(set(questions)) >= 60


def test_what_is_reported_as_unknown_is_not_correct():
    lines = [
        {"family": "what", "answer": "red cube", "prediction": "Red cube."},
        {"family": "what", "answer": "red cube", "prediction": "red cube", "unknown": "the word 'door'"},
        {"family": "caption", "answer": "red cube front", "prediction": "red cube back"},
    ]
    found = outcome({}, lines)
    assert found.correct == {"what": 0.5, "caption": 0.0}
    assert (found.unknown, found.count) == (pytest.approx(1 / 3), 3)
    assert targets.mean(found.correct) == 0.5
    assert found.answered == {"what": 1.0, "caption": 0.0}


def test_a_target_is_a_bound_on_one_side():
    assert Target("x", 97.5, 97.5).reached
    assert not Target("x", 97.4, 97.5).reached
    assert Target("x", 1.0, 1, at_most=True).reached
    assert not Target("x", 1.1, 1, at_most=True).reached
    assert "| x | 97.4% | ≥ 97.5% | missed |" in targets.table([Target("x", 97.4, 97.5)])


def test_small_scales_keep_something():
    assert [data.scaled(20_000, scale) for scale in (1.0, 0.01, 0.0001)] == [20_000, 200, 8]


def test_a_finished_training_is_not_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(training.subprocess, "run", lambda *_, **__: pytest.fail("nothing should be started"))
    (tmp_path / "runs" / "panoshapes" / "polish").mkdir(parents=True)
    assert training.train(tmp_path, [], 1.0) == tmp_path / "runs" / "panoshapes" / "polish"


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_share_batches(tmp_path, monkeypatch, processes):
    started = []

    def run(words, **options):
        started.append(words)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(training.subprocess, "run", run)
    training.train(tmp_path, ["stages.polish.batch_size=12"], 1.0, processes)
    given = [word for before, word in pairwise(started[0]) if before == "--set"]
    recipe, whole = load_recipe("panoshapes", given), load_recipe("panoshapes", ["stages.polish.batch_size=12"])
    for name, stage in recipe.stages.items():
        assert stage.batch_size * processes == whole.stages[name].batch_size, name
        assert stage.steps == whole.stages[name].steps
    assert recipe.data.workers * processes == whole.data.workers
    assert (f"--nproc-per-node={processes}" in started[0]) == (processes > 1)


def test_a_batch_that_cannot_be_divided_is_named(tmp_path):
    with pytest.raises(SystemExit, match="polish has batches of 9, which cannot be divided"):
        training.train(tmp_path, ["stages.polish.batch_size=9"], 1.0, 2)


def test_photographs_of_calibration_are_not_evaluated(tmp_path):
    with pytest.raises(SystemExit, match="holds 0 JPEG files; expected at least 4"):
        knowledge.photographs_in(tmp_path)
    for number in range(5):
        (tmp_path / f"{number}.jpg").touch()
    found = knowledge.photographs_in(tmp_path)
    assert [path.name for path in knowledge.for_calibration(found)] == ["0.jpg", "2.jpg", "4.jpg"]


@pytest.mark.parametrize("reached", [True, False])
def test_only_a_checkpoint_that_reaches_its_targets_is_installed(tmp_path, monkeypatch, capsys, reached):
    for number in range(4):
        (tmp_path / f"{number}.jpg").touch()
    installed = []
    monkeypatch.setattr(runner.data, "write", lambda work, scale: None)
    monkeypatch.setattr(runner.training, "train", lambda work, changes, scale, processes: work)
    monkeypatch.setattr(runner.knowledge, "add", lambda trained, work, photographs, scale, processes: work)
    monkeypatch.setattr(
        runner.evaluation,
        "run",
        lambda checkpoint, work, photographs, processes: dict.fromkeys(data.HELD_OUT, Outcome({}, {"what": 0.5}, 0, 1)),
    )
    monkeypatch.setattr(
        runner.targets, "check", lambda results, checkpoint: [Target("exact", 99.0 if reached else 9, 97)]
    )
    monkeypatch.setattr(runner, "install", lambda checkpoint, results: installed.append(checkpoint))
    work = tmp_path / "work"
    monkeypatch.setattr(sys, "argv", ["x", str(work), "--photographs", str(tmp_path), "--install"])
    assert runner.main() == (0 if reached else 1)
    assert installed == ([work] if reached else [])
    assert Path(work / "targets.md").read_text() == capsys.readouterr().out
