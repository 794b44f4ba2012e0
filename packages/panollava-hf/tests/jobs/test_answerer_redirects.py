"""URLs in a table redirect from public to private addresses only where that is allowed."""

import http.server
import io
import json
import threading
from contextlib import contextmanager

import pytest

pytest.importorskip("openai")

from loopback import fine, serve
from panollava_geometry._sources import _address
from panollava_hf.cli import run
from panollava_hf.jobs import PanoramaAnswerer, PanoramaCaptioner
from PIL import Image


@contextmanager
def photo_server(host, location=None):
    """A server of one panorama, or of a redirect; its URL and the paths that were asked for."""
    buffer, asked = io.BytesIO(), []
    Image.new("RGB", (64, 32), (200, 10, 10)).save(buffer, "PNG")

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            asked.append(self.path)
            self.send_response(302 if location else 200)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0" if location else str(len(buffer.getvalue())))
            self.end_headers()
            self.wfile.write(b"" if location else buffer.getvalue())

    server = http.server.ThreadingHTTPServer((host, 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://{host}:{server.server_port}/pano.png", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def redirecting(monkeypatch):
    """A public URL that redirects to a private one, and what the private server was asked for."""
    monkeypatch.setattr(_address, "is_private", lambda ip: ip == "127.0.0.2")
    with photo_server("127.0.0.2") as (inside, asked), photo_server("127.0.0.1", inside) as (outside, _):
        yield outside, asked


@pytest.mark.parametrize(
    ("kind", "reading", "at_endpoint"),
    [(PanoramaAnswerer, {}, True), (PanoramaCaptioner, {"whole_sphere": True}, True), (PanoramaAnswerer, {}, False)],
)
def test_jobs_follow_a_redirect_to_a_private_address_only_if_allowed(redirecting, kind, reading, at_endpoint):
    outside, asked = redirecting
    batch = {"image": [outside], "question": ["What is here?"]}
    with serve(lambda request: fine("a wall")) as server:
        model = {"model": "m", "base_url": server.url, "view_size": 16} if at_endpoint else {"model": "embedded"}
        options = model | reading | {"max_new_tokens": 2}
        (error,) = kind(**options)(batch)["error"]
        assert "private address" in error
        assert "private_redirects=True (--private-redirects)" in error
        assert asked == server.requests == []
        assert kind(**options, private_redirects=True)(batch)["error"] == [None]
    assert asked


@pytest.mark.parametrize("command", ["answer", "caption"])
def test_commands_follow_a_redirect_to_a_private_address_only_if_allowed(redirecting, tmp_path, capsys, command):
    (outside, asked), table = redirecting, tmp_path / "table.jsonl"
    table.write_text(json.dumps({"image": outside, **({"question": "Why?"} if command == "answer" else {})}))
    with serve(lambda request: fine("a wall")) as server:
        options = ["--base-url", server.url, "--model", "m", "--view-size", "16", "-o", str(tmp_path / "out.jsonl")]
        assert run([command, str(table), *options, "--dry-run"]) == 2
        assert "private address" in capsys.readouterr().err
        assert run([command, str(table), *options]) == 1
        assert "--private-redirects" in json.loads((tmp_path / "out.jsonl").read_text())["error"]
        assert asked == []
        assert run([command, str(table), *options, "--private-redirects", "--retry-errors"]) == 0
    assert asked


def test_the_option_is_for_urls_of_tables(capsys):
    assert run(["caption", "http://127.0.0.1:9/a.png", "--private-redirects"]) == 2
    assert "--private-redirects is for many panoramas" in capsys.readouterr().err
