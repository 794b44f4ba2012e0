"""Start the app in a process of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

#: Seconds until the app must answer.
START = 180.0


@dataclass
class Server:
    """The running app.

    Attributes:
        address: Where it answers.
        process: Its process.
        temporary: Where it writes temporary files.
        log: What it prints.
        release: Lets a slow model answer, where it has one.
    """

    address: str
    process: subprocess.Popen
    temporary: Path
    log: Path
    release: threading.Event | None = None


def free_port():
    """A port that nothing uses now."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]


def command(port, options):
    """The command, or without options the app of a Space, and the folder to run it in."""
    space = os.environ.get("PANOLLAVA_SPACE")
    if space and not options:
        return [os.environ.get("PANOLLAVA_SPACE_PYTHON", sys.executable), "app.py"], space
    options = options or ("--model", "embedded", "--device", "cpu")
    return [sys.executable, "-m", "panollava_hf", "demo", "--port", str(port), *options], None


@contextlib.contextmanager
def running(folder, *options):
    """Start the app, wait until it answers, and end it.

    Args:
        folder: An empty folder for its temporary files and its log.
        options: Options of `panollava demo`; default: the embedded checkpoint, or the app of a Space.
    """
    port = free_port()
    arguments, place = command(port, options)
    (folder / "tmp").mkdir()
    own = {"TMPDIR": str(folder / "tmp"), "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    own |= {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **own}
    if place:
        environment.pop("PYTHONPATH", None)  # the Space has its own packages
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(arguments, cwd=place, env=environment, stdout=log, stderr=log)
    try:
        _wait(process, f"http://127.0.0.1:{port}/", folder / "log.txt")
        yield Server(f"http://127.0.0.1:{port}", process, folder / "tmp", folder / "log.txt")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process, address, log):
    end = time.monotonic() + START
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(address, timeout=5) as reply:
            if reply.status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"the app did not start: {log.read_text()[-2000:]}")
