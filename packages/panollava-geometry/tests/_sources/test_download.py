"""URLs, tested with a local server."""

import gzip
import http.server
import io
import runpy
import socket
import threading
import time
import traceback

import numpy as np
import pytest
from panollava_geometry import PanoramaError, load_equirectangular
from panollava_geometry._sources import _address, _download
from panollava_geometry._sources._address import untrusted_addresses
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


JPEG = io.BytesIO()
Image.new("RGB", (32, 16), (20, 200, 20)).save(JPEG, "JPEG")
JPEG = JPEG.getvalue()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(JPEG) + JPEG


class RawServer:
    """Answers every connection with the same bytes, in pieces with a pause after each, and keeps the requests."""

    def __init__(self, host="127.0.0.1"):
        self.pieces, self.pause, self.requests, self.stopped = [], 0.0, [], threading.Event()
        self.socket = socket.create_server((host, 0))
        self.url = f"http://{host}:{self.socket.getsockname()[1]}"
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.answer, args=(connection,)))
            self.threads[-1].start()

    def answer(self, connection):
        with connection:
            try:
                self.requests.append(connection.recv(65536))
                for piece in self.pieces:
                    connection.sendall(piece)
                    if self.pause and self.stopped.wait(self.pause):
                        return
            except OSError:
                return

    def stop(self):
        self.stopped.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def raw():
    servers = []

    def start(*pieces, pause=0.0, host="127.0.0.1"):
        server = RawServer(host)
        server.pieces, server.pause = pieces, pause
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def test_a_space_and_other_scripts_in_the_path(raw):
    server = raw(WHOLE)
    assert load_equirectangular(server.url + "/my pano.jpg?é=ü b#part").shape == (3, 16, 32)
    assert server.requests[0].startswith(b"GET /my%20pano.jpg?%C3%A9=%C3%BC%20b HTTP/1.1\r\n")


MALFORMED = [
    b"",
    b"nonsense\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 20000 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    b"HTTP/1.1 " + b"2" * 70_000,
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n" % len(JPEG) + JPEG[:300],
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nPW\r\n" + JPEG,
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + JPEG,
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"5" * 70_000,
    HEAD + b"Content-Length: 100000\r\n\r\n" + JPEG,
    HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + JPEG,
    HEAD + b"Content-Length: 30\r\n\r\n" + JPEG,
    HEAD + b"\r\n" + gzip.compress(JPEG)[:-20],
    HEAD + b"\r\n" + b"\x1f\x8b" + b"x" * 100,
    b"HTTP/1.1 302 Found\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://u:PW@127.0.0.1/\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[PW/\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
    b"HTTP/1.1 999 \x1b[31mPW\r\n\r\n",
    b"HTTP/1.1 401 PW\r\nContent-Length: 2\r\n\r\nPW",
    b"HTTP/1.1 204 No Content\r\n\r\n",
]


@pytest.mark.parametrize("answer", MALFORMED, ids=[str(index) for index in range(len(MALFORMED))])
def test_malformed_answers_are_one_line(raw, answer):
    url = raw(answer).url + "/x.jpg?token=PW"
    with pytest.raises(PanoramaError) as caught:
        load_equirectangular(url)
    assert "PW" not in "".join(traceback.format_exception(caught.value))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_endless_answers_end(raw, monkeypatch):
    monkeypatch.setattr(_download, "MAX_BYTES", 2**16)
    for pieces in (
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 100,
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", *[b"X: y\r\n" * 10_000] * 100],
        [HEAD + b"\r\n", *[JPEG * 100] * 100],
        [HEAD + b"\r\n" + gzip.compress(bytes(2**24))],
    ):
        with pytest.raises(PanoramaError, match=r"malformed|larger than"):
            load_equirectangular(raw(*pieces).url)


@pytest.mark.parametrize("start", [HEAD, HEAD + b"\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n5000\r\n", b""])
@pytest.mark.parametrize("proxied", [False, True])
def test_one_deadline_for_everything(raw, monkeypatch, start, proxied):
    monkeypatch.setattr(_download, "TIMEOUT", 0.5)
    monkeypatch.setattr(_download, "MAX_SECONDS", 0.3)
    server = raw(start, *[b"x"] * 100, pause=0.05)
    if proxied:
        monkeypatch.setenv("http_proxy", server.url)
    begin = time.monotonic()
    with pytest.raises(PanoramaError, match=r"takes longer than 0\.3 s"):
        load_equirectangular("http://elsewhere.invalid/x" if proxied else server.url)
    assert time.monotonic() - begin < 2


def test_redirects_share_the_deadline(raw, monkeypatch):
    monkeypatch.setattr(_download, "MAX_SECONDS", 0.4)
    server = raw(b"HTTP/1.1 302 Found\r\n", b"Location: /again\r\n\r\n", pause=0.15)
    with pytest.raises(PanoramaError, match=r"takes longer than 0\.4 s"):
        load_equirectangular(server.url)


def test_a_silent_server_and_a_silent_tls_handshake(raw, monkeypatch):
    monkeypatch.setattr(_download, "TIMEOUT", 0.2)
    server = raw(b"", pause=5.0)
    for url in (server.url, server.url.replace("http:", "https:")):
        with pytest.raises(PanoramaError, match=r"does not answer within 0\.2 s"):
            load_equirectangular(url)


def test_failures_of_tls_and_names_are_one_line(raw):
    url = raw(WHOLE).url.replace("http:", "https:")
    with pytest.raises(PanoramaError, match="the TLS connection failed"):
        load_equirectangular(url + "/x?token=PW")
    with pytest.raises(PanoramaError, match=r"http://name\.invalid/x: cannot be downloaded \([a-z -]+\)"):
        load_equirectangular("http://name.invalid/x?token=PW")


def test_proxies_of_the_environment(raw, monkeypatch):
    proxy = raw(WHOLE)
    monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://someone:PW@"))
    assert load_equirectangular("http://elsewhere.invalid/a b.jpg").shape == (3, 16, 32)
    assert proxy.requests[0].startswith(b"GET http://elsewhere.invalid/a%20b.jpg HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic" in proxy.requests[0]
    refusing = raw(b"HTTP/1.1 407 PW\r\n\r\n")
    monkeypatch.setenv("https_proxy", refusing.url.replace("://", "://someone:PW@"))
    with pytest.raises(PanoramaError, match=r"the proxy refused the connection with status 407\)"):
        load_equirectangular("https://elsewhere.invalid/x")
    for bad in ("http:PW", "socks5://u:PW@h:1", "http://u:PW@h:PW", "\x01PW"):
        monkeypatch.setenv("http_proxy", bad)
        with pytest.raises(PanoramaError, match="cannot be downloaded") as caught:
            load_equirectangular("http://elsewhere.invalid/x")
        assert "PW" not in "".join(traceback.format_exception(caught.value))


def test_a_compressed_answer_is_decompressed(raw):
    compressed = gzip.compress(JPEG)
    server = raw(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(compressed) + compressed)
    assert load_equirectangular(server.url).shape == (3, 16, 32)


@pytest.fixture
def private(monkeypatch):
    """127.0.0.2 alone is private."""
    monkeypatch.setattr(_address, "is_private", lambda ip: ip == "127.0.0.2")


def redirect(url):
    return b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % url.encode()


def test_redirects_from_public_to_private_addresses(raw, private):
    inside = raw(WHOLE, host="127.0.0.2")
    outside = raw(redirect(inside.url))
    detour = raw(redirect(outside.url), host="127.0.0.2")
    assert load_equirectangular(outside.url).shape == (3, 16, 32)  # a person's URL is followed
    assert len(inside.requests) == 1
    for url in (outside.url, detour.url):
        with (
            untrusted_addresses("--private-redirects"),
            pytest.raises(PanoramaError, match=r"private address.*allow it with --private-redirects"),
        ):
            load_equirectangular(url)
        with pytest.raises(PanoramaError, match=r"private address.*allow it with private_redirects=True"):
            _download.download(url, "n", private_redirects=False)
    assert len(inside.requests) == 1  # not even connected to
    with untrusted_addresses("--private-redirects"):
        assert load_equirectangular(inside.url).shape == (3, 16, 32)
        assert load_equirectangular(raw(redirect(inside.url), host="127.0.0.2").url).shape == (3, 16, 32)
        assert _download.download(outside.url, "n", private_redirects=True) == JPEG


def test_private_addresses_of_visitors_are_not_read_at_all(raw, private):
    inside = raw(WHOLE, host="127.0.0.2")
    outside = raw(WHOLE)
    with untrusted_addresses("another command", private=False):
        assert load_equirectangular(outside.url).shape == (3, 16, 32)
        with pytest.raises(PanoramaError, match=r"this is a private address; .*allow it with another command"):
            load_equirectangular(inside.url)
        with pytest.raises(PanoramaError, match="redirects to a private address"):
            load_equirectangular(raw(redirect(inside.url)).url)
    assert inside.requests == []  # not even connected to
    assert load_equirectangular(inside.url).shape == (3, 16, 32)


def test_the_address_that_is_checked_is_the_one_connected_to(raw, private, monkeypatch):
    """A name that resolves to a public address first and to a private one then (DNS rebinding)."""
    inside = raw(WHOLE, host="127.0.0.2")
    port = int(inside.url.rpartition(":")[2])
    outside = raw(redirect(f"http://rebound.example:{port}/"))
    real, answers = socket.getaddrinfo, iter(["127.0.0.1", "127.0.0.2", "127.0.0.2"])

    def resolve(host, *args):
        return real(next(answers) if host == "rebound.example" else host, *args)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for _ in range(2):
        with pytest.raises(PanoramaError, match=r"refused\)|private address"):
            _download.download(outside.url, "n", private_redirects=False)
    assert inside.requests == []


def test_redirects_through_a_proxy_are_checked_by_name(raw, private, monkeypatch):
    monkeypatch.setenv("http_proxy", raw(redirect("http://127.0.0.2/")).url)
    with pytest.raises(PanoramaError, match="private address"):
        _download.download("http://elsewhere.invalid/", "n", private_redirects=False)


def test_endless_redirects_end(raw):
    server = raw(redirect("/again"))
    with pytest.raises(PanoramaError, match="redirects more than 10 times"):
        load_equirectangular(server.url)
    assert len(server.requests) == 11


def test_the_shared_server_of_odd_urls(shared):
    """Its source, run on a free port: a space in the path, and an answer that is cut off."""
    path = shared / "cases" / "odd_urls.py"
    if not path.is_file():
        pytest.skip("no cases/odd_urls.py")
    handler = runpy.run_path(str(path))["Handler"]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{running.server_port}"
        assert load_equirectangular(url + "/my pano.jpg").shape == (3, 256, 512)
        with pytest.raises(PanoramaError, match="cut off"):
            load_equirectangular(url + "/cut")
        running.shutdown()
        thread.join()
