import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from panollava_hf._errors import UsageError
from panollava_hf.cli import run
from panollava_hf.demo._run import _shared

COMMAND = [sys.executable, "-m", "panollava_hf", "demo", "--model", "embedded", "--port", "0"]


def test_missing_gradio_is_one_line(monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else found(name, *rest)
    )
    assert run(["demo", "--model", "embedded"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'pip install "panollava-hf[demo]"' in line


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--model", "embedded", "--model", "embedded"], "given twice"),
        (["--model", "embedded", "--host", "no such host"], "--host"),
        (["--model", "/no/such/folder"], "--model"),
        (["--model", "embedded", "--strategy", "zoom"], "cuts its own views"),
        (["--model", "embedded", "--share", "maybe"], "--share"),
    ],
)
def test_wrong_options_are_one_line(arguments, part, capsys):
    pytest.importorskip("gradio")
    assert run(["demo", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert part in lines[-1]


@pytest.mark.slow  # each starts a process with torch and Gradio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number, tmp_path):
    pytest.importorskip("gradio")
    environment = {**os.environ, "TMPDIR": str(tmp_path), "GRADIO_TEMP_DIR": str(tmp_path / "unused")}
    with subprocess.Popen(
        COMMAND, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        lines = iter(process.stderr.readline, "")
        address = next(found[0] for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        with urllib.request.urlopen(address, timeout=20) as reply:
            assert reply.status == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert out == ""
    assert [path for path in tmp_path.rglob("*") if path.name.startswith("panollava-demo-")] == []


def test_a_public_address_is_asked_for_with_share_only(monkeypatch, capsys):
    """`--share yes` without a connection is one line; with one, the address is printed and closed at the end."""
    networking = pytest.importorskip("gradio.networking")
    tunneling = pytest.importorskip("gradio.tunneling")
    killed, asked = [], []

    class Tunnel:
        def kill(self):
            killed.append(self)

    def tunnel(host, port, token, *rest):
        asked.append((host, port))
        tunneling.CURRENT_TUNNELS.append(Tunnel())
        return "https://x.gradio.live"

    with socket.create_server(("127.0.0.1", 0)) as place:
        monkeypatch.setattr(networking, "setup_tunnel", tunnel)
        with _shared(place):
            assert asked == [place.getsockname()]
        assert len(killed) == 1
        monkeypatch.setattr(networking, "setup_tunnel", lambda *given: 1 / 0)
        with pytest.raises(UsageError, match="--share yes: no public address"), _shared(place):
            pass
    assert "https://x.gradio.live" in capsys.readouterr().err
