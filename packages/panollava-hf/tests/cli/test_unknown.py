"""`panollava ask` and `panollava eval` with a checkpoint that says what it does not know."""

import json
import shutil

import numpy as np
import pytest
from panollava_hf import _contact_sheet
from panollava_hf._files import edit_json
from panollava_hf.asking import Answerer, default_checkpoint
from panollava_hf.asking.models._known_images import KnownImages
from panollava_hf.cli import run
from panollava_hf.cli._chat import chat
from panollava_hf.panoshapes import render_scene, sample_scene
from panollava_hf.panoshapes.wordings._topics import topics
from panollava_hf.panoshapes.wordings._vocabulary import vocabulary
from PIL import Image

DOOR = "this checkpoint does not know the word 'door'"
UNLIKE = (
    "this image is unlike the rendered scenes that this checkpoint knows; ask any vision-language model (--model, "
    "--base-url)"
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A scene as an image file."""
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    Image.fromarray(render_scene(sample_scene(0, "test", 4), 256)).save(path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The embedded weights with the vocabulary of the wordings, and a statistic by which every image is known."""

    def change(config):
        config["known_words"], config["known_topics"] = vocabulary(), topics()
        config["known_images"] = known_images(threshold=1e6)

    return changed(tmp_path_factory.mktemp("known") / "model", change)


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """The same weights, by which no image is known."""
    return changed(
        tmp_path_factory.mktemp("strict") / "model",
        lambda config: config.update(known_images=known_images(threshold=-1.0)),
    )


def changed(folder, change):
    shutil.copytree(default_checkpoint(), folder)
    edit_json(folder / "config.json", change)
    return folder


def known_images(threshold):
    channels = 40  # those of the tower's stem
    means = np.random.default_rng(0).normal(size=(200, channels))
    return KnownImages.fit(means, [0], threshold, "rendered scenes")


def ask(scene, model, *words):
    return run(["ask", str(scene), *words, "--model", str(model), "--max-new-tokens", "8"])


def test_an_unknown_word_is_said_instead_of_an_answer(scene, checkpoint, capsys):
    assert ask(scene, checkpoint, "Where is the door?") == 3
    assert capsys.readouterr() == ("", f"panollava: {DOOR}\n")
    assert ask(scene, checkpoint, "Where are the door and the lamp?", "--json") == 3
    (report,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert report["answer"] is None
    assert report["unknown_words"] == ["door", "lamp"]
    assert report["unknown_image"] is False


def test_known_words_that_ask_nothing_of_a_scene(scene, checkpoint, capsys):
    assert ask(scene, checkpoint, "Where am I?") == 3
    assert capsys.readouterr() == (
        "",
        "panollava: this checkpoint knows the words of the question, but none of them says what to look for\n",
    )
    assert ask(scene, checkpoint, "여기가 어디예요?", "--json") == 3
    (report,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (report["answer"], report["unknown_words"], report["unknown_question"]) == (None, [], True)


def test_a_known_question_is_answered_as_before(scene, checkpoint, capsys):
    question = "How many objects are there?"
    assert ask(scene, checkpoint, question, "--json") == 0
    (report,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ask(scene, "embedded", question) == 0
    assert capsys.readouterr().out == report["answer"] + "\n"
    assert report["unknown_words"] == []


def test_the_others_of_several_questions_are_answered(scene, checkpoint, capsys):
    assert ask(scene, checkpoint, "How many objects are there?", "Where is the door?") == 3
    out, err = capsys.readouterr()
    first, second = out.split("\n\n")
    assert first.startswith("Q: How many objects are there?\nA: ")
    assert second == f"Q: Where is the door?\nUnknown: {DOOR}\n"
    assert err == f"panollava: question 2: {DOOR}\n"


def test_an_image_unlike_those_of_the_training_is_said(scene, strict, capsys):
    assert ask(scene, strict, "How many objects are there?") == 3
    assert capsys.readouterr() == (
        "",
        f"panollava: {UNLIKE}\n",
    )
    answer = Answerer.load(str(strict)).answer(scene, "How many objects are there?", max_new_tokens=8)
    assert answer.unknown_image == "rendered scenes"
    assert answer.unknown in answer.note
    assert answer.text, "the model's guess"


def test_a_guess_is_neither_drawn_nor_explained(scene, checkpoint, tmp_path, capsys, monkeypatch):
    drawn = []
    monkeypatch.setattr(_contact_sheet, "save_views", lambda *_, answers, **__: drawn.extend(answers) or [])
    questions = ["Where is the door?", "How many objects are there?"]
    files = ["--save-views", str(tmp_path / "views"), "--explain", str(tmp_path / "why.png"), "--json"]
    assert ask(scene, checkpoint, *questions, *files) == 3
    first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "evidence" not in first
    assert second["evidence"]["path"].endswith("why-2.png")
    assert [path.name for path in tmp_path.glob("why*")] == ["why-2.png"]
    assert drawn == [(questions[0], DOOR), (questions[1], second["answer"])]


def test_a_chat(scene, checkpoint, tmp_path, capsys, monkeypatch):
    drawn, lines = [], iter(["Where is the door?", f"/views {tmp_path / 'views'}"])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines, "/quit"))
    monkeypatch.setattr(_contact_sheet, "save_views", lambda *_, answers, **__: drawn.extend(answers) or [])
    answerer = Answerer.load(str(checkpoint))
    chat(answerer, answerer.prepare(scene), max_new_tokens=8)
    out, err = capsys.readouterr()
    assert out == ""
    assert f": {DOOR}\n" in err
    assert drawn == [("Where is the door?", DOOR)]


def test_there_is_no_caption_of_an_unknown_image(scene, strict, tmp_path, capsys):
    reason = UNLIKE
    words = ["caption", str(scene), "--model", str(strict), "--max-new-tokens", "8"]
    assert run(words) == 3
    assert capsys.readouterr() == ("", f"panollava: {reason}\n")
    assert run([*words, "--json"]) == 3
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["caption"], report["unknown_image"]) == (None, True)
    assert reason in err
    for _ in range(2):  # also when there is nothing left to do
        assert run([*words, "--output", str(tmp_path / "captions.jsonl")]) == 3
        lines = capsys.readouterr().err.splitlines()
        assert "0 of 1 rows have a result" in lines[0]
        assert "1 has no answer, because of what the model does not know:" in lines
    row = json.loads((tmp_path / "captions.jsonl").read_text())
    assert (row["caption"], row["error"]) == (None, None)
    assert reason in row["note"]


def test_a_statistic_of_another_tower_is_named(scene, tmp_path, capsys):
    def change(config):
        config["known_images"] = {**known_images(1.0), "layers": [1, 2]}

    assert ask(scene, changed(tmp_path / "model", change), "How many objects are there?") == 2
    assert "does not fit its vision tower" in capsys.readouterr().err


def test_the_evaluation_counts_what_is_reported(scene, checkpoint, tmp_path, capsys):
    rows = [("How many objects are there?", "3"), ("Where is the door?", "left"), ("Is there a tree?", "no")]
    table = scene.with_name("table.jsonl")
    table.write_text("".join(json.dumps({"image": scene.name, "question": q, "answer": a}) + "\n" for q, a in rows))
    output = tmp_path / "results"
    assert run(["eval", "--data", str(table), "--model", str(checkpoint), "--output", str(output)]) == 0
    results = json.loads((output / "results.json").read_text())
    assert results["unknown"]["share"] == pytest.approx(2 / 3)
    assert "reported as unknown" in (output / "results.md").read_text()
    lines = [json.loads(line) for line in (output / "predictions.jsonl").read_text().splitlines()]
    assert ["unknown" in line for line in lines] == [False, True, True]
    assert [(line["prediction"], line["correct"]) for line in lines[1:]] == [(None, False)] * 2
    assert run(["eval", "--data", str(table), "--model", str(checkpoint), "--output", str(output)]) == 0
    again = json.loads((output / "results.json").read_text())
    assert again["unknown"] == results["unknown"], "also when the predictions are read again"
