"""Options of `panollava serve` and the command of vLLM's server; nothing is served here."""

import importlib.util
import socket

import pytest
from panollava_hf._errors import UsageError
from panollava_hf.cli import run
from panollava_hf.serving._answer_text import AnswerText
from panollava_hf.serving._vllm_command import vllm_command

SECRET = "a key with blanks"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such-folder"], "no-such-folder"),
        (["embedded", "--api-key", SECRET], "--api-key is empty or has blanks"),
        (["embedded", "--name", " "], "--name"),
        (["embedded", "--dtype", "bf16"], "bfloat16"),
        (["embedded", "--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
        (["embedded", "--engine", "vllm", "--device", "cpu"], "--device"),
    ],
)
def test_usage_errors_are_one_line(arguments, words, capsys):
    assert run(["serve", *arguments]) == 2
    *notes, line = capsys.readouterr().err.splitlines()
    assert all(note.startswith("Note:") for note in notes)
    assert words in line
    assert SECRET not in line


def test_a_port_in_use_is_reported_before_the_model_is_loaded(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert run(["serve", "embedded", "--port", str(other.getsockname()[1])]) == 2
    assert "use another --port" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_missing_vllm_is_one_line():
    with pytest.raises(UsageError, match="pip install vllm"):
        vllm_command("m", name="panollava-m", host="127.0.0.1", port=8000, max_panoramas=1)


def test_the_key_is_not_in_the_command_of_vllm(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    command, more = vllm_command("m", name="n", host="h", port=1, max_panoramas=2, api_key="secret", dtype="float32")
    assert "secret" not in " ".join(command)
    assert more == {"VLLM_API_KEY": "secret"}
    assert command[command.index("--limit-mm-per-prompt") + 1] == '{"image": 2}'


@pytest.mark.parametrize("stop", [["END"], ["xyz"], ["b"], []])
def test_pieces_are_the_whole_text(stop):
    whole = " añ b \N{GRINNING FACE} END c "
    tokens = list(whole.encode())
    text = AnswerText(lambda ids: bytes(ids).decode("utf-8", "replace"), stop)
    pieces = []
    for count in range(1, len(tokens) + 1):
        pieces.append(text.add(tokens[:count]))
        if text.stopped:
            break
    pieces.append(text.end(tokens[:count]))
    ends = [whole.index(one) for one in stop if one in whole]
    assert "".join(pieces) == whole[: min(ends, default=None)].strip()
    assert text.stopped == bool(ends)
