"""Addresses and servers: malformed answers, redirects, slow servers, credentials, odd spellings."""

import socket
import threading
import time
from pathlib import Path
from random import Random

from tools.attack._commands import ASKED, command
from tools.attack._images import base
from tools.attack._kinds import Attempt, kind
from tools.attack._mutations import mutate_bytes

SECRET = "pw-8f3k2"


def fetch(folder: Path, attempt: Attempt) -> None:
    """Load from a server on this machine that sends the input's bytes, or from the input's address."""
    import panollava_geometry._sources._download as download
    from panollava_geometry import load_equirectangular

    for name, seconds in (("TIMEOUT", 1.0), ("MAX_SECONDS", 3.0)):
        if hasattr(download, name):
            setattr(download, name, seconds)
    with _Server(attempt.files.get("answer", b""), attempt.values.get("pause", 0.0)) as port:
        url = str(attempt.values["url"]).replace("{port}", str(port))
        if attempt.values.get("command"):
            command(["ask", url, "What?", "--max-new-tokens", "1"], codes=ASKED, secret=attempt.secret)
        else:
            load_equirectangular(url)


class _Server:
    """Answers every connection with the same bytes; with a pause, byte by byte."""

    def __init__(self, answer: bytes, pause: float) -> None:
        self.answer, self.pause = answer, pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.2)
        self.open = True

    def __enter__(self) -> int:
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return int(self.listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self.open = False
        self.thread.join(2)
        self.listener.close()

    def _serve(self) -> None:
        while self.open:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                continue
            try:
                with connection:
                    connection.settimeout(1)
                    connection.recv(65536)
                    self._send(connection)
            except OSError:
                continue

    def _send(self, connection: socket.socket) -> None:
        if not self.pause:
            connection.sendall(self.answer.replace(b"{port}", str(self.listener.getsockname()[1]).encode()))
            return
        for place in range(len(self.answer)):
            if not self.open:
                return
            connection.sendall(self.answer[place : place + 1])
            time.sleep(self.pause)


def _answer(head: bytes = b"HTTP/1.1 200 OK", *fields: bytes, body: bytes | None = None) -> bytes:
    body = base("JPEG") if body is None else body
    return b"\r\n".join([head, *(fields or (b"Content-Length: %d" % len(body),)), b"", body])


def _chunked(rng: Random) -> bytes:
    data = base("JPEG")
    size = rng.choice((b"%x" % len(data), b"ffffffffffffffff", b"-1", b"zz", b"", b"1" * 70_000))
    return _answer(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", body=size + b"\r\n" + data[:500])


@kind("address.answer", fetch, weight=2)
def answers(rng: Random, number: int) -> Attempt:
    """Answers that are cut, malformed, compressed, endless in their headers, or an error."""
    data = base("JPEG")
    made: tuple[bytes, ...] = (
        b"",
        b"\r\n",
        b"garbage\r\n\r\n",
        _answer(b"HTTP/9.9 200 OK"),
        _answer(b"HTTP/1.1 999 odd"),
        _answer(b"HTTP/1.1 two OK"),
        _answer(b"HTTP/1.1 200 " + b"x" * 70_000),
        _answer(b"HTTP/1.1 204 No Content", b"Content-Length: 0", body=b""),
        *(
            _answer(b"HTTP/1.1 %d E" % code, b"Content-Length: 0", body=b"")
            for code in (400, 401, 403, 404, 407, 429, 500)
        ),
        _answer(b"HTTP/1.1 200 OK", *(b"X-%d: y" % i for i in range(200))),
        _answer(b"HTTP/1.1 200 OK", b"X: " + b"y" * 70_000),
        _answer(b"HTTP/1.1 200 OK", b"Content-Length: %d" % (len(data) + 100)),
        _answer(b"HTTP/1.1 200 OK", b"Content-Length: 10"),
        _answer(b"HTTP/1.1 200 OK", b"Content-Length: -5"),
        _answer(b"HTTP/1.1 200 OK", b"Content-Length: x"),
        _answer(b"HTTP/1.1 200 OK", b"Content-Encoding: gzip"),
        _answer(b"HTTP/1.1 200 OK", b"Content-Length: 5", body=b"hello"),
        _chunked(rng),
        _answer(),
    )
    if number % 3 == 2:
        whole = mutate_bytes(rng, _answer(), 3)
    else:
        whole = made[(number * 2 // 3) % len(made)]
    return Attempt({"answer": whole}, {"url": "http://127.0.0.1:{port}/x.jpg", "command": number % 7 == 0})


@kind("address.slow", fetch, weight=0.3)
def slow(rng: Random, number: int) -> Attempt:
    """Servers that send a byte now and then, in the headers or in the body."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" if number % 2 else b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 900
    )
    values = {"url": "http://127.0.0.1:{port}/x.jpg", "pause": rng.choice((0.1, 0.4))}
    return Attempt({"answer": head + bytes(900)}, values, must_fail=True)


@kind("address.redirect", fetch)
def redirects(rng: Random, number: int) -> Attempt:
    """Redirects: endless, to other schemes, to malformed and secret addresses."""
    targets = (
        *("http://127.0.0.1:{port}/x.jpg", "file:///etc/passwd", "ftp://127.0.0.1/x", "data:image/png;base64,AAAA"),
        *("javascript:1", "//", "http://", "http:///x", "http://[::1", "http://a b/", "http://127.0.0.1:99999/", ""),
        *(
            f"http://user:{SECRET}@127.0.0.1:1/x",
            f"http://user:{SECRET}@@/",
            f"http://127.0.0.1:1/?t={SECRET}#{SECRET}",
        ),
        *("http://169.254.169.254/latest", "http://xn--/", "http://\u2603.test/", "x" * 70_000, "http://0/\x00"),
    )
    target = targets[number % len(targets)].encode()
    code = rng.choice((301, 302, 303, 307, 308, 300))
    answer = _answer(b"HTTP/1.1 %d Found" % code, b"Location: " + target, b"Content-Length: 0", body=b"")
    values = {"url": "http://127.0.0.1:{port}/x.jpg", "command": number % 5 == 0}
    return Attempt({"answer": answer}, values, secret=SECRET)


@kind("address.spelling", fetch, weight=2)
def spellings(rng: Random, number: int) -> Attempt:
    """Addresses with credentials, spaces, control characters, other scripts, wrong ports: no secret is shown."""
    forms = (
        *("http://user:{s}@127.0.0.1:{port}/x.jpg", "http://user:{s}@host/x.jpg", "http://user:{s}@host:port/x.jpg"),
        *("http://{s}@127.0.0.1:{port}/x.jpg", "http://u:{s}/more@127.0.0.1/x.jpg", "http://u:{s}@[::1/x.jpg"),
        *(
            "http://127.0.0.1:{port}/my pano.jpg?token={s}",
            "http://127.0.0.1:{port}/x.jpg?token={s}\x01",
        ),
        *("http://127.0.0.1:{port}/x.jpg#{s}", "http://127.0.0.1:{port}/\x7f?token={s}", "http://u:{s}@/x.jpg"),
        *("HTTP://127.0.0.1:{port}/파노라마.jpg", "http://127.0.0.1:{port}/%zz%", "http://bücher.test/x.jpg"),
        *("http://127.0.0.1:/x.jpg", "http://127.0.0.1:-1/x.jpg", "http://127.0.0.1:70000/x", "http://", "https://"),
        *("http://" + "a" * 300 + ".test/", "http://a..b/", "http://.", "ftp://u:{s}@h/x", "file:///etc/passwd"),
        *("http://127.0.0.1:{port}/\n?token={s}", "http://127.0.0.1:{port}\\x?token={s}", "javascript:1//x"),
        *("http://127.0.0.1:{port}/" + "a" * 100_000, " http://127.0.0.1:{port}/x.jpg ", "http://127.0.0.1:{port}?{s}"),
    )
    url = forms[number % len(forms)].replace("{s}", SECRET)
    return Attempt({"answer": _answer()}, {"url": url, "command": number // len(forms) % 2 == 1}, secret=SECRET)
