"""Listen, and end cleanly at Ctrl-C or SIGTERM."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from panollava_hf._errors import UsageError, reason

#: Seconds that open connections get at the end; all requests have been stopped before.
_END_SECONDS = 5


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, before a model is loaded.

    Raises:
        UsageError: The address or port cannot be used.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, number)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host[:80]}: this address cannot be used ({reason(error)})") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(128)
    except OSError as error:
        found.close()
        raise UsageError(
            f"--host {host[:80]} --port {port}: cannot listen there ({reason(error)}); use another --port, or stop the "
            "other server"
        ) from error
    return found


class Server(uvicorn.Server):
    """A server that stops its requests at a signal, and then returns instead of raising the signal again."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        """End at a signal."""
        app: Any = self.config.app
        app.state.worker.stop()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals of a terminal and of service managers."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_server(app: FastAPI, place: socket.socket) -> None:
    """Serve until a signal comes.

    Args:
        app: The application.
        place: A socket that listens.
    """
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=_END_SECONDS, server_header=False
    )
    asyncio.run(Server(config).serve(sockets=[place]))
