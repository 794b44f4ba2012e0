"""`panollava export` and `panollava push`: errors of the user, reported early and in one line."""

import json
import os
import subprocess
import sys

import panollava_hf
import panollava_hf.hub
import pytest
from panollava_hf.cli import run


def error_line(capsys):
    """The only line on stderr that is an error; nothing may be on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = [line for line in err.strip().splitlines() if line.startswith("panollava: ")]
    assert "Traceback" not in err
    return line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "no/such"], "--model no/such: no such folder, and this model is not in the local cache"),
        (["--model", "no/such/folder"], "--model no/such/folder: there is no such folder, and it is not a Hub id"),
        (["--model", "."], "--model .: this folder has no config.json"),
        (["--results", "missing.json"], "--results missing.json: "),
        (["--results", "broken.json"], "broken.json: this is not valid JSON"),
        (["--results", "object.json"], "expected the results.json of `panollava eval`, or a JSON list"),
    ],
)
def test_export_errors_are_one_line_and_leave_nothing(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "object.json").write_text("{}")
    before = sorted(os.listdir(tmp_path))
    assert run(["export", "export", *arguments]) == 2
    assert message in error_line(capsys)
    assert sorted(os.listdir(tmp_path)) == before


def test_an_existing_folder_is_refused(tmp_path, capsys):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "mine").touch()
    assert run(["export", str(tmp_path / "export")]) == 2
    assert "this path already exists; choose a new folder" in error_line(capsys)
    assert os.listdir(tmp_path / "export") == ["mine"]


#: `panollava_hf.cli` imports the files of all commands; this imports the file of one command alone.
ONE_COMMAND = """
import importlib, json, os, sys, types
from pathlib import Path

import panollava_hf
import typer  # old releases import rich with it

loaded = set(sys.modules)
cli = sys.modules["panollava_hf.cli"] = types.ModuleType("panollava_hf.cli")
cli.__path__ = [str(Path(panollava_hf.__file__).parent / "cli")]
name, arguments = sys.argv[1], json.loads(sys.argv[2])
command = getattr(importlib.import_module(f"panollava_hf.cli._{name}"), name)
heavy = {"torch", "transformers", "rich", "panollava_geometry", "panollava_core", "pydantic", "datasets"} - loaded
assert not [module for module in heavy if module in sys.modules], "at import"
from panollava_hf._errors import PanoLLaVaError

for given in arguments:
    given = {key: Path(value[5:]) if value.startswith("path:") else value for key, value in given.items()}
    try:
        command(**given)
    except PanoLLaVaError as error:
        print(error)
print(sorted(module for module in heavy if module in sys.modules))
"""


def run_one(name, *arguments):
    command = [sys.executable, "-c", ONE_COMMAND, name, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    *messages, loaded = done.stdout.splitlines()
    return messages, loaded


def test_export_reports_missing_inputs_without_torch(tmp_path):
    missing = tmp_path / "missing"
    messages, loaded = run_one(
        "export",
        {"output": f"path:{__file__}"},
        {"output": f"path:{missing}", "model": str(missing)},
        {"output": f"path:{missing}", "results": f"path:{missing}.json"},
    )
    wanted = ["already exists", "there is no such folder", "No such file"]
    assert len(messages) == len(wanted)
    assert all(part in message for part, message in zip(wanted, messages, strict=True)), messages
    assert loaded == "['panollava_geometry']"  # its command line checks that the output can be written


def test_push_reports_an_incomplete_folder_without_torch(tmp_path):
    messages, loaded = run_one("push", {"folder": f"path:{tmp_path}", "repo_id": "owner/name"})
    assert messages == [
        f"cannot push {tmp_path}: {tmp_path} has no config.json: push a folder that `panollava export` wrote"
    ]
    assert loaded == "[]"


def test_an_unknown_name_of_the_hub_package():
    with pytest.raises(AttributeError, match="no attribute 'prepare'"):
        panollava_hf.hub.prepare  # noqa: B018
