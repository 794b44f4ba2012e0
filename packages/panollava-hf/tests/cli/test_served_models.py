"""An endpoint without `--model`: its only model is used and named; otherwise one line lists what it serves."""

import http.server
import json
import threading

import pytest
from panollava_hf._errors import ChatError
from panollava_hf.asking import Answerer
from panollava_hf.cli import run

KEY = "sk-thisKeyMustNeverBePrinted"


@pytest.fixture
def endpoint(monkeypatch):
    """Serve a list of models (or a status), and answer questions with the name of the model that was asked."""
    servers = []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("PANOLLAVA_MODEL", raising=False)

    def start(models, status=200):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def do_GET(self):
                listing = models if isinstance(models, bytes) else json.dumps(models).encode()
                self.reply(status, listing)

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                message = {"role": "assistant", "content": f"I am {request['model']}."}
                choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
                self.reply(200, json.dumps({"choices": choices}).encode())

            def reply(self, code, body):
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def listing(*names):
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "x"} for name in names],
    }


def test_the_only_model_is_used_and_named(endpoint, panorama_file, capsys):
    url = endpoint(listing("qwen-vl"))
    assert run(["ask", str(panorama_file), "Who?", "--base-url", f"{url}?token=t0ken"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("I am qwen-vl.\n", f"Using the model qwen-vl of {url}.\n")
    assert Answerer.load(base_url=url).name == "qwen-vl"


FAULTS = {
    "several": (listing("a", "b", "[red]c"), 200, "this endpoint serves 3 models; name one with --model: a, b, [red]c"),
    "many": (listing(*map(str, range(99))), 200, "0, 1, 2, 3, 4, 5 and 93 more"),
    "none": (listing(), 200, "this endpoint lists no model; name one with --model"),
    "no such path": ({"error": "not found"}, 404, "name the model with --model"),
    "key": ({"error": {"message": f"wrong key {KEY}"}}, 401, "the key was refused (401)"),
    "a page": (b"<html>Hello</html>", 200, "name the model with --model"),
    "another object": ({"models": ["a"]}, 200, "--model"),
    "a list": (["a"], 200, "--model"),
    "null": (None, 200, "--model"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_otherwise_one_line_says_what_to_name(endpoint, panorama_file, capsys, case):
    models, status, message = FAULTS[case]
    url = endpoint(models, status)
    assert run(["ask", str(panorama_file), "Who?", "--base-url", url]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert line.startswith(f"panollava: {url}: ")
    assert message in line
    assert KEY not in line
    with pytest.raises(ChatError):
        Answerer.load(base_url=url)


def test_an_endpoint_that_is_not_there(panorama_file, capsys, monkeypatch):
    monkeypatch.delenv("PANOLLAVA_MODEL", raising=False)
    assert run(["ask", str(panorama_file), "Who?", "--base-url", "http://127.0.0.1:9/v1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "connection refused" in line
