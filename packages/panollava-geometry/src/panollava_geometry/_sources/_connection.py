"""Connections of one download, with one deadline for all that they do, and a check of the address they reach."""

import functools
import http.client
import io
import socket
import time
import urllib.request
from typing import Any

from panollava_geometry._errors import PanoramaError
from panollava_geometry._sources import _address


class DeadlineError(Exception):
    """The download takes too long."""


class TooMuchDataError(Exception):
    """The server sent more than any image, its headers and the overhead of its chunks need."""


class Exchange:
    """The limits of one download, over all its redirects.

    Args:
        timeout: Longest wait for the server, in seconds.
        seconds: Longest time in total, in seconds. The look-up of a name cannot be interrupted; the system limits it.
        max_bytes: Most bytes received, headers included.
    """

    def __init__(self, timeout: float, seconds: float, max_bytes: int) -> None:
        self.timeout, self.end, self.bytes_left = timeout, time.monotonic() + seconds, max_bytes
        #: Raised instead of a connection to a private address.
        self.refuse_private: PanoramaError | None = None
        #: Whether the last connection reached a private address.
        self.reached_private = False

    def wait(self) -> float:
        """Longest time in seconds for the next operation of a socket."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise DeadlineError
        return min(self.timeout, left)

    def connect(self, address: tuple[str, int], *_: Any) -> socket.socket:
        """Connect to a host. The addresses that are checked are those that are connected to."""
        failure: OSError | None = None
        for family, kind, protocol, _name, target in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
            self.reached_private = _address.is_private(str(target[0]))
            if self.refuse_private and self.reached_private:
                raise self.refuse_private
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(self.wait())
                connection.connect(target)
                connection.settimeout(self.wait())
            except OSError as error:
                connection.close()
                failure = error
            except DeadlineError:
                connection.close()
                raise
            else:
                return connection
        raise failure or OSError("the host has no address")

    def opener(self) -> urllib.request.OpenerDirector:
        """An opener for http and https, through the environment's proxies. It follows no redirects."""
        opener = urllib.request.OpenerDirector()  # the default opener would also open files and ftp://
        for handler in (urllib.request.ProxyHandler(), _Handler(self), _SecureHandler(self)):
            opener.add_handler(handler)
        opener.add_handler(urllib.request.UnknownHandler())
        return opener


class _Reader(io.RawIOBase):
    """Reads a socket until the deadline: a server that sends a byte now and then does not extend it."""

    def __init__(self, connection: socket.socket, exchange: Exchange) -> None:
        self._connection, self._exchange = connection, exchange
        self._raw = connection.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._connection.settimeout(self._exchange.wait())
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            self._exchange.wait()  # the deadline, if it has passed
            raise
        self._exchange.bytes_left -= count or 0
        if self._exchange.bytes_left < 0:
            raise TooMuchDataError
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """What `HTTPResponse` needs of a socket."""

    def __init__(self, connection: socket.socket, exchange: Exchange) -> None:
        self._connection, self._exchange = connection, exchange

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._connection, self._exchange))


def _response(exchange: Exchange, connection: socket.socket, *args: Any, **options: Any) -> http.client.HTTPResponse:
    return http.client.HTTPResponse(_TimedSocket(connection, exchange), *args, **options)  # type: ignore[arg-type]


def _prepare(connection: http.client.HTTPConnection, exchange: Exchange) -> None:
    connection._create_connection = exchange.connect  # type: ignore[attr-defined]  # for what connects and tunnels
    connection.response_class = functools.partial(_response, exchange)  # type: ignore[assignment]


class _Connection(http.client.HTTPConnection):
    def __init__(self, *args: Any, exchange: Exchange, **options: Any) -> None:
        super().__init__(*args, **options)
        _prepare(self, exchange)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, exchange: Exchange, **options: Any) -> None:
        super().__init__(*args, **options)
        _prepare(self, exchange)


class _Handler(urllib.request.HTTPHandler):
    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_Connection, exchange=self._exchange), req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_SecureConnection, exchange=self._exchange), req)
