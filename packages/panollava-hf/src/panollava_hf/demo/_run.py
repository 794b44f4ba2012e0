"""Serve the page until Ctrl-C or SIGTERM, and leave nothing behind."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from panollava_hf import _console
from panollava_hf._errors import UsageError, boundary
from panollava_hf.demo._models import Models
from panollava_hf.demo._settings import DemoSettings

#: Where Gradio puts uploads until their event has read them.
_FOLDER_VARIABLE = "GRADIO_TEMP_DIR"


def run_demo(
    models: Models,
    place: socket.socket,
    settings: DemoSettings | None = None,
    *,
    on_start: Callable[[], None] = lambda: None,
    share: bool = False,
) -> None:
    """Serve the page until a signal comes.

    Args:
        models: The models.
        place: A socket that listens, of `serving._server.listen`.
        settings: The limits.
        on_start: Called when the page is ready to be served.
        share: Whether Gradio's servers give the page a public address.

    Raises:
        UsageError: Gradio's servers give no address.
        PanoramaError: The first sample is not a panorama.
    """
    folder = tempfile.mkdtemp(prefix="panollava-demo-")
    os.environ[_FOLDER_VARIABLE] = folder
    try:
        from panollava_hf.demo._app import build_app
        from panollava_hf.demo._samples import SAMPLES, read_sample
        from panollava_hf.serving._server import run_server

        app = build_app(models, settings)
        samples = (settings or DemoSettings()).samples or SAMPLES
        read_sample(next(iter(samples)), samples)  # what a page shows first
        on_start()
        with _shared(place) if share else nullcontext():
            run_server(app, place)
    finally:
        models.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _shared(place: socket.socket) -> Iterator[None]:
    """A public address while the block runs.

    Raises:
        UsageError: Gradio's servers give none.
    """
    import secrets

    from gradio.networking import setup_tunnel
    from gradio.tunneling import CURRENT_TUNNELS

    before = len(CURRENT_TUNNELS)
    with boundary(UsageError, "--share yes: no public address", "check the connection, or use --share no"):
        address = setup_tunnel("127.0.0.1", place.getsockname()[1], secrets.token_urlsafe(32), None, None)
    _console.say(f"Everyone with this address can use the page for 72 hours, through servers of Gradio: {address}")
    try:
        yield
    finally:
        for tunnel in CURRENT_TUNNELS[before:]:
            tunnel.kill()
