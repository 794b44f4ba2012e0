"""`panollava caption`."""

import json

import numpy as np
import pytest
from panollava_hf.asking import Answerer
from panollava_hf.asking._captions import VIEW, WHOLE
from panollava_hf.cli import run
from panollava_hf.panoshapes import questions, render_scene, sample_scene
from PIL import Image


@pytest.fixture
def scene():
    """A scene whose caption is known, of the test split."""
    return next(
        (scene, caption.answer)
        for index in range(100)
        for scene in [sample_scene(0, "test", index)]
        for caption in questions(scene, np.random.default_rng(0))
        if caption.program["family"] == "caption"
    )


def test_the_whole_panorama(echo, at_endpoint, panorama_file, capsys):
    assert run(["caption", str(panorama_file), *at_endpoint]) == 0
    assert capsys.readouterr().out == f"{WHOLE} (6 images)\n"
    assert run(["caption", str(panorama_file), *at_endpoint, "--prompt", "One word."]) == 0
    assert capsys.readouterr().out == "One word. (6 images)\n"


def test_each_view_with_its_direction(echo, at_endpoint, panorama_file, capsys):
    assert run(["caption", str(panorama_file), *at_endpoint, "--per-view", "--view-size", "32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"left (yaw -90°, pitch 0°): {VIEW} (1 images)"
    assert [line.partition(" (")[0] for line in lines] == ["left", "ahead", "right", "behind", "above", "below"]
    shown = [request.messages[-1]["content"] for request in echo.requests]
    assert ["left" in str([part for part in parts if part["type"] == "text"]) for parts in shown] == [True] + [
        False
    ] * 5


def test_json_of_views(echo, at_endpoint, panorama_file, capsys):
    arguments = ["caption", str(panorama_file), *at_endpoint, "--per-view", "--view-size", "32", "--json"]
    assert run(arguments) == 0
    first, *rest = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rest) == 5
    assert first["direction"] == "left (yaw -90°, pitch 0°)"
    assert first["caption"] == f"{VIEW} (1 images)"
    assert first["calls"] == 1
    assert [view["yaw_deg"] for view in first["views"]] == [-90.0]
    assert run([*arguments, "--dry-run"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert (cost["calls"], cost["images"], cost["views"]) == (6, 6, 6)


def test_several_panoramas_have_their_names(echo, at_endpoint, panorama_file, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("not an image")
    files = [str(panorama_file), str(tmp_path / "text.jpg"), str(panorama_file)]
    assert run(["caption", *files, *at_endpoint, "--prompt", "One word."]) == 2
    out, err = capsys.readouterr()
    assert out == f"{panorama_file}: One word. (6 images)\n" * 2
    first, last = err.splitlines()
    assert first.startswith(f"panollava: {tmp_path / 'text.jpg'}: ")
    assert last == "panollava: 1 caption is missing"
    assert run(["caption", *files, *at_endpoint, "--json"]) == 2
    assert ["error" in json.loads(line) for line in capsys.readouterr().out.splitlines()] == [False, True, False]


def test_a_budget_counts_the_views(echo, at_endpoint, panorama_file, capsys):
    arguments = ["caption", str(panorama_file), *at_endpoint, "--per-view", "--budget"]
    assert run([*arguments, "5calls"]) == 2
    assert "6 calls" in capsys.readouterr().err
    assert echo.requests == []
    assert run([*arguments, "6calls"]) == 0


def test_one_view_that_fails_has_its_error_in_its_place(echo, panorama):
    answerer = Answerer(echo, view_size=32)
    captions = answerer.caption(panorama, per_view=True, prompt="What? fail")
    assert [str(caption) for caption in captions] == ["echo: the server answered 500"] * 6


def test_the_small_checkpoint_describes_its_scenes(scene, tmp_path, capsys):
    found, expected = scene
    Image.fromarray(render_scene(found, width=512)).save(tmp_path / "scene.png")
    assert run(["caption", str(tmp_path / "scene.png"), "--model", "embedded"]) == 0
    caption = capsys.readouterr().out
    named = [name for name in expected.split(", ") if name in caption]
    assert len(named) >= 0.6 * len(expected.split(", "))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "embedded", "--per-view"], "--per-view does not work with embedded"),
        (["--base-url", "http://x/v1", "--model", "m", "--per-view", "--strategy", "zoom"], "remove --strategy"),
        (["--model", "embedded", "--prompt", " "], "--prompt is empty"),
    ],
)
def test_usage_errors(panorama_file, capsys, options, message):
    assert run(["caption", str(panorama_file), *options]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert message in err
    assert run(["caption", str(panorama_file), "missing.jpg", *options]) == 2
    assert capsys.readouterr().err.endswith("\n")
