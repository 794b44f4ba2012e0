"""`panollava train`: one line for a usage error, the folder on stdout when training is complete."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from panollava_hf.cli import run
from panollava_hf.training import shipped_recipes


def test_list_names_every_recipe_with_its_purpose(capsys):
    assert run(["train", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(shipped_recipes())
    names = [re.match(r"\S+ +", line).end() for line in lines]
    assert len(set(names)) == 1, "the purposes are aligned"
    assert all(len(line.split()) > 5 for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "choose a recipe with --config, or write one with --init; --list shows those in this package"),
        (["--show", "towrs"], "--show: 'towrs' is not a recipe in this package; did you mean 'towers'"),
        (["--init", "x.yaml"], "--init x.yaml needs --data, --vision, --text, too"),
        (["--data", "x.csv", "--config", "tiny"], "--data goes with --init; change a recipe with --set"),
        (["--config", "tiny", "--stage", "finetun"], "or all; did you mean finetune?"),
        (["--config", "towers", "--set", "model.vision=./no", "--set", "data.source=."], "contains no train.csv"),
        (["--config", "tinny"], "did you mean 'tiny'"),
        (["--config", "tiny", "--stage", "vicrg"], "expected vicreg, resampler, finetune, refine, polish or all"),
        (["--config", "tiny", "--set", "data.sorce=x"], "did you mean 'source'"),
        (["--config", "tiny", "--set", "data.source=/nowhere/x.csv"], "no such file or folder"),
        (["--config", "lora", "--stage", "vicreg"], "the recipe has no stage 'vicreg'"),
        (["--config", "tiny", "--stage", "refine"], "the recipe has no stage 'refine'"),
        (["--confg", "tiny"], "No such option"),
    ],
)
def test_a_usage_error_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_show_prints_a_recipe_as_it_is(capsys):
    assert run(["train", "--show", "lora"]) == 0
    assert capsys.readouterr().out == shipped_recipes()["lora"].read_text()


def test_a_missing_image_is_one_line_too(shapes, tmp_path, capsys):
    (tmp_path / "train.jsonl").write_text((shapes / "train.jsonl").read_text())
    changes = ["--set", f"data.source={tmp_path}", "--set", f"output={tmp_path / 'run'}"]
    assert run(["train", "--config", "tiny", *changes]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "train.jsonl, row" in last
    assert "--skip-bad" in last


def test_a_stage_is_trained_and_its_folder_printed(shapes, tmp_path, capsys):
    output = tmp_path / "run"
    changes = [f"data.source={shapes}", f"output={output}", "stages.vicreg.steps=2", "stages.vicreg.log_every=1"]
    words = [word for change in changes for word in ("--set", change)]
    assert run(["train", "--config", "tiny", "--stage", "vicreg", *words]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(output / "vicreg")
    assert "vicreg 2/2 loss" in err


def test_unreadable_images_are_skipped_and_counted(shapes, tmp_path, capsys):
    folder = tmp_path / "spoilt"
    (folder / "images").mkdir(parents=True)
    for path in (shapes / "images").glob("train-*"):
        (folder / "images" / path.name).write_bytes(path.read_bytes())
    (folder / "train.jsonl").write_text((shapes / "train.jsonl").read_text())
    bad = sorted((folder / "images").iterdir())[3]
    bad.write_bytes(b"not an image")
    changes = [f"data.source={folder}", f"output={tmp_path / 'run'}", "stages.vicreg.steps=6"]
    words = [word for change in changes for word in ("--set", change)]
    assert run(["train", "--config", "tiny", "--stage", "vicreg", "--skip-bad", *words]) == 0
    err = capsys.readouterr().err
    assert f"skipped 1 unreadable images, the first: {folder / 'train.jsonl'}, row" in err
    assert bad.name in err


def test_unusable_rows_are_reported_before_the_first_step_or_counted(shapes, tmp_path, capsys):
    lines = (shapes / "train.jsonl").read_text().splitlines()
    for number in (3, 8):
        lines[number - 1] = json.dumps({**json.loads(lines[number - 1]), "answer": " "})
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    shutil.copytree(shapes / "images", tmp_path / "images")
    changes = [f"data.source={tmp_path}", f"output={tmp_path / 'run'}", "stages.vicreg.steps=2"]
    words = [word for change in changes for word in ("--set", change)]
    assert run(["train", "--config", "tiny", "--stage", "vicreg", *words]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "2 rows cannot be used: line 3: the answer is blank; line 8: the answer is blank" in last
    assert not (tmp_path / "run" / "start").exists()
    assert run(["train", "--config", "tiny", "--stage", "vicreg", "--skip-bad", "--resume", *words]) == 0
    err = capsys.readouterr().err
    assert f"vicreg: skipped 2 rows that cannot be used, the first: {tmp_path / 'train.jsonl'}, line 3: the" in err


#: Runs the command alone, whatever the package of all commands imports.
ALONE = """
import sys, types
import panollava_hf, typer
sys.modules["panollava_hf.cli"] = package = types.ModuleType("panollava_hf.cli")
package.__path__ = [panollava_hf.__path__[0] + "/cli"]
from panollava_hf.cli._train import train
app = typer.Typer()
app.command()(train)
try:
    app(standalone_mode=False)
except Exception as error:
    print(error)
sys.exit(" ".join(sys.modules.keys() & {"torch", "transformers"}))
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--list"], "panoshapes"),
        (["--show", "towers"], "resampler_type: spatial_pool"),
        (["--init", "x.yaml", "--data", "x.csv", "--vision", "./no", "--text", "./no"], "./no: there is no such"),
        (["--config", "lora", "--set", "model.path=./no"], "no such file or folder"),
        (["--help"], "--skip-bad"),
        (["--config", "tinny"], "did you mean 'tiny'"),
        (["--config", "tiny", "--stage", "vicrg"], "expected vicreg, resampler, finetune, refine, polish or all"),
        (["--config", "tiny", "--set", "data.source=missing.csv"], "missing.csv: no such file or folder"),
    ],
)
def test_recipes_and_usage_errors_need_no_torch(arguments, message, tmp_path):
    done = subprocess.run([sys.executable, "-c", ALONE, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr.strip() == "", "the heavy packages that were imported"
    assert message in done.stdout


def test_a_renamed_key_is_a_note(capsys):
    assert run(["train", "--config", "tiny", "--set", "data.roll=true", "--set", "data.source=/nowhere/x.csv"]) == 2
    err = capsys.readouterr().err
    assert "Note: tiny.yaml: the key data.roll is now data.yaw_augmentation; rename it" in err
