"""`panollava ask --explain`: images of evidence, their report, and their cost."""

import json

import pytest
from panollava_hf.cli import run
from PIL import Image

EMBEDDED = ["--model", "embedded", "--max-new-tokens", "4"]


def ask(file, *rest):
    return run(["ask", str(file), *rest])


def test_one_image_for_each_question(scene_file, tmp_path, capsys):
    out = tmp_path / "new" / "why.png"
    assert ask(scene_file, "How many objects are there?", *EMBEDDED, "--explain", str(out)) == 0
    found = capsys.readouterr()
    assert f"Wrote {out} (evidence: integrated gradients" in found.err
    with Image.open(out) as image:
        assert image.width == 1600
    assert ask(scene_file, "Is it blue?", "Where is the cube?", *EMBEDDED, "--explain", str(out)) == 0
    assert sorted(path.name for path in out.parent.iterdir()) == ["why-1.png", "why-2.png", "why.png"]


def test_the_report(scene_file, tmp_path, capsys):
    out = tmp_path / "why.jpg"
    options = [*EMBEDDED, "--explain", str(out), "--explain-method", "views", "--json"]
    assert ask(scene_file, "Where is the cube?", *options) == 0
    evidence = json.loads(capsys.readouterr().out)["evidence"]
    assert evidence.keys() == {"path", "method", "yaw_deg", "pitch_deg", "calls", "seconds", "note"}
    assert (evidence["path"], evidence["method"], evidence["calls"]) == (str(out), "views", 7)
    with Image.open(out) as image:
        assert image.format == "JPEG"


def test_other_models(echo, at_endpoint, panorama_file, tmp_path, capsys):
    out = tmp_path / "why.png"
    assert ask(panorama_file, "Where?", *at_endpoint, "--explain", str(out)) == 0
    assert len(echo.requests) == 7
    assert "the answer changes without 6 of 6 views; without left: Where? (5 images)" in capsys.readouterr().err
    assert ask(panorama_file, "Where?", *at_endpoint, "--explain", str(out), "--explain-method", "gradient") == 2
    found = capsys.readouterr()
    assert "Where? (6 images)" in found.out, "the answer is printed all the same"
    assert "echo: method gradient needs a PanoLLaVA checkpoint" in found.err


def test_a_question_without_an_answer_has_no_image(echo, at_endpoint, panorama_file, tmp_path, capsys):
    options = [*at_endpoint, "--explain", str(tmp_path / "why.png"), "--json"]
    assert ask(panorama_file, "fail?", "Where?", *options) == 2
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert "evidence" not in first
    assert second["evidence"]["path"].endswith("why-2.png")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("why")] == ["why-2.png"]


def test_the_cost_is_stated_before(echo, at_endpoint, panorama_file, tmp_path, capsys):
    options = [*at_endpoint, "--explain", str(tmp_path / "why.png")]
    assert ask(panorama_file, "A?", "B?", *options, "--dry-run", "--json") == 0
    cost = json.loads(capsys.readouterr().out)
    assert (cost["calls"], cost["steps"]["answer"]["calls"], cost["steps"]["explain"]["calls"]) == (14, 2, 12)
    assert len(cost["questions"]) == 2
    assert ask(panorama_file, "A?", *options, "--budget", "6calls") == 2
    assert "takes up to 7 calls" in capsys.readouterr().err
    assert ask(panorama_file, "A?", *options, "--budget", "7calls") == 0
    assert len(echo.requests) == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--explain", "why.txt"], "--explain why.txt: the name must end in .png, .jpg, .jpeg, .webp"),
        (["--explain", "{folder}/a.png"], "this is a folder; name an image file"),
        (["--explain", "{file}/a.png"], "--explain"),
        (["--explain-method", "views"], "--explain-method views needs an image to write; add --explain OUT.png"),
        (["--explain", "a.png", "--explain-method", "grad"], "did you mean gradient?"),
    ],
)
def test_bad_options_are_reported_before_the_model_loads(options, said, panorama_file, tmp_path, capsys, monkeypatch):
    from panollava_hf.cli import _model_options

    monkeypatch.setattr(_model_options, "load", lambda *names, **more: pytest.fail("the model was loaded"))
    (tmp_path / "a.png").mkdir()
    options = [text.format(folder=tmp_path, file=panorama_file) for text in options]
    assert ask(panorama_file, "Where?", *EMBEDDED, *options) == 2
    assert said in capsys.readouterr().err


def test_evidence_needs_a_question(panorama_file, capsys, monkeypatch):
    monkeypatch.setattr("panollava_hf.cli._questions.is_terminal", lambda stream: True)
    assert ask(panorama_file, *EMBEDDED, "--explain", "why.png") == 2
    assert "--explain need a question" in capsys.readouterr().err
