"""The model card and the command that writes it."""

import json
import os

import pytest
from huggingface_hub import ModelCard
from panollava_hf.cli import run
from panollava_hf.hub._card import point_card


def results_file(tmp_path, entries):
    path = tmp_path / "results.json"
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return path


ENTRY = {
    "dataset_type": "owner/panoshapes",
    "dataset_name": "PanoShapes",
    "dataset_split": "test",
    "metric_type": "accuracy",
    "metric_value": 0.75,
}


def test_what_the_card_says(make_checkpoint, tmp_path, capsys):
    source = make_checkpoint(tmp_path / "checkpoint", connector_trained=True)
    arguments = ["--repo-id", "owner/pano", "--license", "apache-2.0", "--dataset", "owner/panoshapes"]
    results = results_file(tmp_path, [ENTRY])
    output = tmp_path / "export"
    assert run(["export", str(output), "--model", str(source), *arguments, "--results", str(results)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "Wrote" in err
    card = ModelCard.load(output / "README.md")
    assert card.data.pipeline_tag == "image-text-to-text"
    assert card.data.library_name == "transformers"
    assert card.data.license == "apache-2.0"
    assert card.data.datasets == ["owner/panoshapes"]
    assert "custom_code" in card.data.tags
    (result,) = card.data.eval_results
    assert (result.dataset_type, result.metric_type, result.metric_value) == ("owner/panoshapes", "accuracy", 0.75)
    assert "| visual-question-answering | PanoShapes (test) | accuracy | 0.75 |" in card.text
    assert 'model_id, revision = "owner/pano", "main"' in card.text
    assert "untrained" not in card.text
    assert "7 views of 32x32 pixels" in card.text


def test_an_untrained_connector_is_said(make_checkpoint, tmp_path):
    source = make_checkpoint(tmp_path / "checkpoint")
    assert run(["export", str(tmp_path / "export"), "--model", str(source)]) == 0
    assert "connector between the towers is untrained" in (tmp_path / "export" / "README.md").read_text()


def test_how_it_was_trained_is_told(make_checkpoint, tmp_path):
    made = {"stage": "vicreg", "steps": 20, "panoramas_per_step": 16, "mean_loss": 17.25, "seconds": 90}
    source = make_checkpoint(tmp_path / "checkpoint", training_history=[made, {**made, "stage": "finetune"}])
    assert run(["export", str(tmp_path / "export"), "--model", str(source)]) == 0
    lines = (tmp_path / "export" / "README.md").read_text().splitlines()
    place = lines.index("## Training")
    assert lines[place + 4 : place + 6] == ["| vicreg | 20 | 16 | 17.2 | 1.5 |", "| finetune | 20 | 16 | 17.2 | 1.5 |"]


def test_only_the_examples_model_line_is_pointed_elsewhere(embedded_export):
    card = (embedded_export / "README.md").read_text()
    pointed = point_card(card, "owner/pano", "v1")
    changed = [line for line in pointed.splitlines() if line not in card.splitlines()]
    assert changed == ['model_id, revision = "owner/pano", "v1"']


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "no/such"], "cannot export no/such"),
        (["--model", "CHECKPOINTLESS"], "cannot export"),
        (["--results", "MISSING"], "--results"),
        (["--results", "BROKEN"], "is no JSON"),
        (["--results", "OBJECT"], "must hold a JSON list"),
        (["--results", "SHORT"], "result 0: missing 4 required positional arguments"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, capsys, arguments, message):
    made = {
        "CHECKPOINTLESS": str(tmp_path),
        "MISSING": str(tmp_path / "nothing.json"),
        "BROKEN": str(results_file(tmp_path, "{")),
    }
    contents = {"OBJECT": {}, "SHORT": [{}], "BROKEN": "{"}
    name = arguments[1]
    if name in contents:
        made[name] = str(results_file(tmp_path, contents[name]))
    before = sorted(os.listdir(tmp_path))
    assert run(["export", str(tmp_path / "export"), *[made.get(a, a) for a in arguments]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = [line for line in err.strip().splitlines() if line.startswith("panollava: ")]
    assert message in line
    assert sorted(os.listdir(tmp_path)) == before


def test_a_folder_with_something_in_it_is_refused(tmp_path, capsys):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "mine").touch()
    assert run(["export", str(tmp_path / "export")]) == 2
    assert "exists already: name a new folder" in capsys.readouterr().err
    assert os.listdir(tmp_path / "export") == ["mine"]
