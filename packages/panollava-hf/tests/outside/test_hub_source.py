"""A Hub id: found within seconds, or one line says why not, without repeated requests and without a token."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOKEN = "hf_tokenThatMustNeverBePrinted"


def load_loopback():
    path = Path(__file__).parents[1] / "hub" / "loopback.py"
    spec = importlib.util.spec_from_file_location("panollava_loopback", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def in_process(program, endpoint, home, offline="0", token=TOKEN):
    """Run a program whose huggingface_hub uses an endpoint; the deadline is short."""
    own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": offline, "HF_TOKEN": token}
    setup = "import json, sys, time\nfrom panollava_hf.outside import _hub_source\n_hub_source.DEADLINE = 1.0\n"
    return subprocess.run(
        [sys.executable, "-c", setup + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **own, "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_XET": "1"},
    )


FAILS = """
started = time.perf_counter()
try:
    _hub_source.find_source("owner/name")
except _hub_source.ModelError as error:
    print(json.dumps([str(error), time.perf_counter() - started, "torch" in sys.modules]))
"""


def failure(endpoint, home, **options):
    done = in_process(FAILS, endpoint, home, **options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no "Retrying in 8s"
    text, seconds, torch = json.loads(done.stdout)
    assert seconds < 5
    assert not torch
    assert len(text.splitlines()) == 1
    assert TOKEN not in text
    assert "127.0.0.1" not in text
    return text


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def answering():
    """A server that answers every request with one status."""
    servers = []

    def start(status, headers=()):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_GET

            def log_message(self, *arguments):
                pass

        requests = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_closed_port(tmp_path):
    text = failure(f"http://127.0.0.1:{closed_port()}", tmp_path)
    assert text == (
        "owner/name: no such folder, and the Hub cannot be reached (Connection refused); check the network, or use a "
        "local folder, which works offline"
    )


def test_a_misspelt_embedded_checkpoint(tmp_path):
    failing = FAILS.replace("owner/name", "embeded")
    done = in_process(failing, f"http://127.0.0.1:{closed_port()}", tmp_path)
    assert json.loads(done.stdout)[0].endswith("; did you mean embedded?")


def test_a_host_that_does_not_exist(tmp_path):
    assert "the Hub cannot be reached (" in failure("http://no-such-host.invalid", tmp_path)


def test_a_password_in_the_endpoint_is_not_printed(tmp_path):
    assert "secret" not in failure(f"http://user:secret@127.0.0.1:{closed_port()}", tmp_path)


@pytest.mark.parametrize("endpoint", ["http://[::1", "http://127.0.0.1:99999"])
def test_an_impossible_endpoint_is_one_line(tmp_path, endpoint):
    assert "HF_ENDPOINT" in json.loads(in_process(FAILS, endpoint, tmp_path).stdout)[0]


def test_a_silent_server_is_waited_for_once(tmp_path):
    program = """
    times = []
    for name in ("owner/name", "owner/other", "owner/third"):
        started = time.perf_counter()
        try:
            _hub_source.find_source(name)
        except _hub_source.ModelError as error:
            times.append([str(error), time.perf_counter() - started])
    print(json.dumps(times))
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = in_process(program, f"http://127.0.0.1:{server.getsockname()[1]}", tmp_path)
    times = json.loads(done.stdout)
    assert all("no answer within" in text for text, _ in times)
    assert all(seconds < 0.5 for _, seconds in times[1:])


def test_a_server_that_never_answers(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        text = failure(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path)
    assert "no answer within 1 seconds" in text


STATUSES = {
    "404": (404, [], "no model of this name on the Hub"),
    "repository": (401, [("X-Error-Code", "RepoNotFound")], "no model of this name on the Hub"),
    "revision": (404, [("X-Error-Code", "RevisionNotFound")], "has no such revision"),
    "gated": (403, [("X-Error-Code", "GatedRepo")], "is gated; request access"),
    "401": (401, [], "refuses access to this model (HTTP status 401)"),
    "403": (403, [], "refuses access to this model (HTTP status 403)"),
    "429": (429, [], "HTTP status 429"),
    "500": (500, [], "the Hub does not work (HTTP status 500)"),
    "503": (503, [], "the Hub does not work (HTTP status 503)"),
    "200 without JSON": (200, [], "the Hub cannot be reached"),
}


@pytest.mark.parametrize(("status", "headers", "message"), STATUSES.values(), ids=STATUSES.keys())
def test_each_answer_is_one_line_after_one_request(tmp_path, answering, status, headers, message):
    endpoint, requests = answering(status, headers)
    assert message in failure(endpoint, tmp_path)
    assert len([path for path in requests if "owner/name" in path]) == 1


def test_offline_mode_asks_nobody(tmp_path, answering):
    endpoint, requests = answering(200)
    assert "not in the local cache (offline mode, HF_HUB_OFFLINE)" in failure(endpoint, tmp_path, offline="1")
    assert requests == []


FINDS = """
folder = _hub_source.find_source("owner/export", {wanted!r})
print(json.dumps(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())))
"""


def test_a_model_is_downloaded_once_and_found_without_a_network(tmp_path, checkpoint):
    loopback = load_loopback()
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    more = {"modeling_panollava.py": b"raise SystemExit", "run/model.safetensors": b"x", "pytorch_model.bin": b"x"}
    with loopback.Hub() as hub:
        repository = hub.repositories["owner/export"] = loopback.Repository(private=True)
        repository.commit("main", {**files, **more, "adapter/adapter_config.json": b"{}"}, "all")
        options = {"endpoint": hub.endpoint, "home": tmp_path, "token": loopback.TOKEN}
        config = in_process(FINDS.format(wanted="config"), **options)
        everything = in_process(FINDS.format(wanted="everything"), **options)
        wrong = failure(hub.endpoint, tmp_path, token="hf_another")
        asked = len(hub.requests)
        again = in_process(FINDS.format(wanted="everything"), **options)
        files_asked = [path for _, path in hub.requests[asked:] if "/resolve/" in path]
        assert files_asked == ["/owner/export/resolve/main/config.json"]
    assert json.loads(config.stdout) == ["config.json"], config.stderr
    wanted = sorted([*files, "adapter/adapter_config.json"])  # README.md states the licence
    assert json.loads(everything.stdout) == wanted
    assert json.loads(again.stdout) == wanted
    assert "no model of this name" in wrong
    # the same folder when the Hub is gone, or must not be asked
    gone = f"http://127.0.0.1:{closed_port()}"
    for offline in ("0", "1"):
        found = in_process(FINDS.format(wanted="everything"), gone, tmp_path, offline=offline)
        assert json.loads(found.stdout) == wanted, found.stderr


def test_a_model_of_the_hub_answers_without_a_network(tmp_path, checkpoint, scene_file):
    loopback = load_loopback()
    program = f"""
    from panollava_hf.cli import run
    from panollava_hf import Answerer
    code = run(["ask", {str(scene_file)!r}, "What is ahead?", "--model", "owner/export", "--max-new-tokens", "2"])
    answerer = Answerer.load("owner/export")
    print(json.dumps([code, answerer.name, answerer.fingerprint(), answerer.model.name_or_path]))
    """
    with loopback.Hub() as hub:
        repository = hub.repositories["owner/export"] = loopback.Repository(private=False)
        commit = repository.commit("main", {path.name: path.read_bytes() for path in checkpoint.iterdir()}, "all")
        online = in_process(program, hub.endpoint, tmp_path)
    offline = in_process(program, hub.endpoint, tmp_path)  # the server has gone
    for done in (online, offline):
        assert json.loads(done.stdout.splitlines()[-1]) == [0, "owner/export", commit, "owner/export"], done.stderr
        assert "Retry" not in done.stderr
