"""URLs, tested with a local server."""

import http.server
import io
import threading

import numpy as np
import pytest
from panollava_geometry import PanoramaError, _download, load_equirectangular
from PIL import Image


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        buffer = io.BytesIO()
        Image.fromarray(np.zeros((16, 32, 3), np.uint8)).save(buffer, "PNG")
        if self.path.startswith("/ok"):
            self.reply(200, buffer.getvalue())
        elif self.path.startswith("/moved"):
            self.reply(302, b"", Location="/ok")
        elif self.path.startswith("/ftp"):
            self.reply(302, b"", Location="ftp://127.0.0.1/a.png")
        elif self.path.startswith("/page"):
            self.reply(200, b"<html>sign in</html>")
        elif self.path.startswith("/nothing"):
            self.reply(200, b"")
        else:
            self.reply(404, b"")

    def reply(self, code, body, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/ok.png", "/moved"])
def test_an_image_is_downloaded(server, path):
    assert load_equirectangular(server + path).shape == (3, 16, 32)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/gone?key=secret", "the server returned 404"),
        ("/ftp", "ftp"),
        ("/page", "not an image that Pillow can read"),
        ("/nothing", "returned an empty file"),
    ],
)
def test_errors(server, path, message):
    with pytest.raises(PanoramaError, match=message) as caught:
        load_equirectangular(server + path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://127.0.0.1/a.jpg", "only http:// and https://"),
        ("file:///etc/passwd", "only http:// and https://"),
        ("http://127.0.0.1:1/a.jpg", "cannot be downloaded"),
        ("http://[broken/a.jpg", r"URL"),
    ],
)
def test_bad_urls(url, message):
    with pytest.raises(PanoramaError, match=message):
        load_equirectangular(url)


def test_the_size_of_a_download_is_limited(server, monkeypatch):
    monkeypatch.setattr(_download, "MAX_BYTES", 10)
    with pytest.raises(PanoramaError, match="larger than"):
        load_equirectangular(server + "/ok.png")
