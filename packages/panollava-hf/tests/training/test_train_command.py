"""`panollava train`: one clear line for a mistake, the folder on stdout when all went well."""

import re

import pytest
from panollava_hf.cli import run


def test_list_names_every_recipe_with_its_purpose(capsys):
    assert run(["train", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["original", "panoshapes", "panoshapes-pairs", "tiny"]
    names = [re.match(r"\S+ +", line).end() for line in lines]
    assert len(set(names)) == 1, "purposes stand below one another"
    assert all(len(line.split()) > 5 for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a recipe with --config"),
        (["--config", "tinny"], "did you mean 'tiny'"),
        (["--config", "tiny", "--stage", "vicrg"], "expected vicreg, resampler, finetune or all"),
        (["--config", "tiny", "--set", "data.sorce=x"], "did you mean 'source'"),
        (["--config", "tiny", "--set", "data.source=/nowhere/x.csv"], "no such file or folder"),
        (["--confg", "tiny"], "No such option"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_a_bad_picture_is_one_line_too(shapes, tmp_path, capsys):
    (tmp_path / "train.jsonl").write_text((shapes / "train.jsonl").read_text())
    changes = ["--set", f"data.source={tmp_path}", "--set", f"output={tmp_path / 'run'}"]
    assert run(["train", "--config", "tiny", *changes]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "train.jsonl, row" in last
    assert "--skip-bad" in last


def test_a_stage_is_trained_and_named(shapes, tmp_path, capsys):
    output = tmp_path / "run"
    changes = [f"data.source={shapes}", f"output={output}", "stages.vicreg.steps=2", "stages.vicreg.log_every=1"]
    words = [word for change in changes for word in ("--set", change)]
    assert run(["train", "--config", "tiny", "--stage", "vicreg", *words]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(output / "vicreg")
    assert "vicreg 2/2 loss" in err


def test_bad_pictures_are_passed_over_and_counted(shapes, tmp_path, capsys):
    folder = tmp_path / "spoilt"
    (folder / "images").mkdir(parents=True)
    for path in (shapes / "images").glob("train-*"):
        (folder / "images" / path.name).write_bytes(path.read_bytes())
    (folder / "train.jsonl").write_text((shapes / "train.jsonl").read_text())
    bad = sorted((folder / "images").iterdir())[3]
    bad.write_bytes(b"no picture at all")
    changes = [f"data.source={folder}", f"output={tmp_path / 'run'}", "stages.vicreg.steps=6"]
    words = [word for change in changes for word in ("--set", change)]
    assert run(["train", "--config", "tiny", "--stage", "vicreg", "--skip-bad", *words]) == 0
    err = capsys.readouterr().err
    assert f"passed over 1 bad pictures, the first: {folder / 'train.jsonl'}, row" in err
    assert bad.name in err
