"""The options of models: what is refused before torch is imported, and which model is used."""

import json
import subprocess
import sys

import pytest
from panollava_hf._errors import UsageError
from panollava_hf.asking._default_model import DEFAULT_MODEL
from panollava_hf.asking._families import Labels
from panollava_hf.asking.strategies import STRATEGIES
from panollava_hf.cli import _model_options, run
from panollava_hf.cli._model_options import ModelChoice, check

URL = "http://localhost:8000/v1"


def test_the_names_are_those_of_the_library():
    assert set(_model_options.STRATEGIES) == set(STRATEGIES)
    assert set(_model_options.LABELS) == set(Labels.__args__)


WRONG = {
    "no name": (["--model", " "], "the name of the model is empty"),
    "no name at an endpoint": (["--base-url", URL, "--model", ""], "the name of the model is empty"),
    "a strategy": (["--strategy", "discribe"], "--strategy discribe: did you mean describe? expected views, describe"),
    "labels": (["--labels", "burnt"], "--labels burnt: did you mean burnt-in?"),
    "a dtype": (["--dtype", "bf16"], "--dtype bf16: did you mean bfloat16? expected float32, bfloat16 or float16"),
    "another dtype": (["--dtype", "int8"], "--dtype int8: "),
    "a small view": (["--view-size", "15"], "'--view-size': expected greater than or equal to 16, got '15'"),
    "a large view": (["--view-size", "1025"], "'--view-size': expected less than or equal to 1024"),
    "a device": (["--device", "gpu"], "did you mean cuda?"),
    "no time": (["--timeout", "0"], "--timeout 0: expected a number of seconds above 0"),
    "endless time": (["--base-url", URL, "--timeout", "nan"], "--timeout nan: expected"),
    "time without endpoint": (["--timeout", "9"], "--timeout is for endpoints"),
    "no scheme": (
        ["--base-url", "localhost:8000/v1"],
        "must begin with http:// or https:// and a host, got 'localhost:8000/v1'",
    ),
    "another scheme": (
        ["--base-url", "ftp://x/v1"],
        "must begin with http:// or https:// and a host, got 'ftp://x/v1'",
    ),
    "no host": (["--base-url", "http:///v1"], "and a host"),
    "a port": (["--base-url", "http://x:99999/v1"], "--base-url is not a valid address"),
    "empty": (["--base-url", ""], "--base-url must begin with"),
    "a device at an endpoint": (["--base-url", URL, "--device", "cpu"], "the model runs at the endpoint"),
    "a dtype at an endpoint": (["--base-url", URL, "--dtype", "float16"], "remove --dtype"),
    "embedded at an endpoint": (["--base-url", URL, "--model", "embedded"], "not a model of an endpoint"),
    "a strategy of PanoLLaVA": (["--model", "embedded", "--strategy", "zoom"], "cuts its own views"),
    "a view size of PanoLLaVA": (["--model", "embedded", "--view-size", "99"], "--view-size 99 does not work with"),
    "labels of PanoLLaVA": (["--model", "embedded", "--labels", "both"], "--labels both does not work with"),
    "a prompt of PanoLLaVA": (["--model", "embedded", "--system", "Be brief."], "--system does not work with"),
}


@pytest.mark.parametrize("command", ["ask", "caption"])
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_option_is_one_line(panorama_file, capsys, monkeypatch, command, case):
    monkeypatch.setattr(_model_options, "load", lambda choice, **_: pytest.fail("the model was loaded"))
    options, message = WRONG[case]
    arguments = [command, str(panorama_file), *(["What?"] if command == "ask" else []), *options]
    if "--model" not in options and "--base-url" not in options:
        arguments += ["--model", "embedded"]
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert line.startswith("panollava: ")
    assert message in line


def test_secrets_of_an_address_are_not_printed(panorama_file, capsys):
    url = "ftp://user:s3cret@host/v1?key=t0ken#f4ag"
    assert run(["ask", str(panorama_file), "What?", "--base-url", url, "--model", "x"]) == 2
    err = capsys.readouterr().err
    assert not any(secret in err for secret in ("s3cret", "t0ken", "f4ag", "user"))


def test_the_model_of_an_endpoint_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("PANOLLAVA_MODEL", "qwen")
    assert check(ModelChoice(base_url=URL)).model == "qwen"
    assert check(ModelChoice("other", base_url=URL)).model == "other"


def test_the_environment_names_the_model(monkeypatch, tmp_path):
    monkeypatch.setenv("PANOLLAVA_MODEL", "embedded")
    assert check(ModelChoice()).model == "embedded"
    monkeypatch.setenv("PANOLLAVA_MODEL", str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match=r"^PANOLLAVA_MODEL .*nothing: there is no such folder"):
        check(ModelChoice())
    with pytest.raises(UsageError, match=r"^--model .*else: there is no such folder"):
        check(ModelChoice(str(tmp_path / "else")))


OTHERS = {
    "qwen2_5_vl": ({"vision_config": {}, "vocab_size": 9}, None),
    "internvl": ({"vision_config": {}, "text_config": {"vocab_size": 9}}, None),
    "qwen2": ({"vocab_size": 9}, "this is a qwen2 model, which reads no images; expected a PanoLLaVA checkpoint, or"),
    "dinov2": ({"image_size": 8, "patch_size": 2}, "this is a dinov2 model, which writes no text"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_models_are_checked_by_their_config(tmp_path, checkpoint, kind):
    fields, message = OTHERS[kind]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **fields}))
    (tmp_path / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes())
    if message is None:
        assert check(ModelChoice(str(tmp_path))).kind == kind
        (tmp_path / "model.safetensors").write_bytes(b"\0" * 99)
        with pytest.raises(UsageError, match="not a safetensors file"):
            check(ModelChoice(str(tmp_path)))
    else:
        with pytest.raises(UsageError, match=message):
            check(ModelChoice(str(tmp_path)))


def test_export_keeps_needing_a_panollava_checkpoint(tmp_path, capsys):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "qwen3_vl", "vision_config": {}, "text_config": {}})
    )
    assert run(["export", str(tmp_path / "out"), "--model", str(tmp_path)]) == 2
    assert "is not a PanoLLaVA checkpoint" in capsys.readouterr().err


CHECKED = """
import sys
from panollava_hf.cli import run
code = run({arguments!r})
assert not {{"torch", "transformers"}} & sys.modules.keys(), "torch was imported"
sys.exit(code)
"""


@pytest.mark.parametrize(
    "options",
    [
        ["--strategy", "x"],
        ["--base-url", "x"],
        ["--model", "embedded", "--view-size", "99"],
        [],  # the default model, offline
    ],
    ids=" ".join,
)
def test_checks_do_not_import_torch(panorama_file, tmp_path, monkeypatch, options):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("PANOLLAVA_MODEL", raising=False)
    program = CHECKED.format(arguments=["ask", str(panorama_file), "What?", *options])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("panollava: ")
    if not options:
        assert DEFAULT_MODEL in line
        assert all(way in line for way in ("connect to the network", "--base-url", "--model embedded"))
        assert "offline mode" in line
