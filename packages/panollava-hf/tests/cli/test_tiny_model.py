"""The commands with a real model of transformers: Qwen3-VL with tiny random weights."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from panollava_hf.cli import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = Path(__file__).parents[1] / "asking" / "tiny_vlm.py"
    spec = importlib.util.spec_from_file_location("tiny_vlm_of_the_commands", path)
    tiny = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = tiny
    spec.loader.exec_module(tiny)
    if tiny.is_missing("qwen3_vl"):
        pytest.skip("this release of transformers does not have Qwen3-VL")
    model, processor = tiny.TINY["qwen3_vl"].build()
    folder = tmp_path_factory.mktemp("tiny") / "qwen3-vl"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_the_answers_cost_what_the_dry_run_says(folder, panorama_file, capsys):
    arguments = ["ask", str(panorama_file), "What is left?", "And right?", "--model", str(folder), "--view-size", "56"]
    arguments += ["--max-new-tokens", "3", "--json"]
    assert run([*arguments, "--dry-run"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    assert sum(answer["image_tokens"] for answer in answers) == cost["image_tokens"] == 2 * 6 * 4
    assert sum(answer["prompt_tokens"] for answer in answers) == cost["prompt_tokens"]
    assert sum(answer["calls"] for answer in answers) == cost["calls"] == 2
    assert all(0 < answer["new_tokens"] <= 3 for answer in answers)
    assert "embedded" not in err
    assert "PanoShapes" not in err


@pytest.mark.parametrize(
    "command", [["ask", "Where?"], ["caption"], ["caption", "--per-view"], ["locate", "a door"]], ids=" ".join
)
def test_a_dry_run_does_not_read_the_weights(folder, panorama_file, monkeypatch, capsys, command):
    from transformers import AutoModelForImageTextToText

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", lambda *_, **__: pytest.fail("read"))
    name, *rest = command
    arguments = [name, str(panorama_file), *rest, "--model", str(folder), "--view-size", "56", "--dry-run", "--json"]
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["image_tokens"] > 0


def test_captions_of_views(folder, panorama_file, capsys):
    options = ["--per-view", "--view-size", "56", "--max-new-tokens", "2", "--dtype", "bfloat16", "--device", "cpu"]
    assert run(["caption", str(panorama_file), "--model", str(folder), *options, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["image_tokens"] for line in lines] == [4] * 6
    assert [line["direction"].partition(" (")[0] for line in lines][:3] == ["left", "ahead", "right"]
