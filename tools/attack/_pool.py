"""Run inputs in worker processes with limits of time and memory, so that a crash or a hang is a finding.

Workers are forked from one server process that has imported the library already, and live for many inputs. A worker's
stdin answers "y" to every question, and a file that hostile code would write shows whether code of an input ran.
"""

import contextlib
import gc
import importlib
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tools.attack._kinds import Attempt, Noise, Refused

#: Address space that an input may use above what the worker has before it.
ADDRESS_SPACE = 4 * 2**30
#: Inputs after which a worker is replaced, so that what one leaves behind does not add up.
INPUTS_PER_WORKER = 150
GOOD = ("result", "our error")


@dataclass(frozen=True)
class Outcome:
    """What an input did.

    Attributes:
        status: `result`, `our error`, or what may not happen: `accepted`, `refused`, `noise`, `traceback`, `crash`,
            `time`, `memory`, `code`, `secret`.
        text: The message.
        seconds: How long it took.
        megabytes: Memory that it added at its peak.
    """

    status: str
    text: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0

    @property
    def good(self) -> bool:
        """Whether the input ended as every input must."""
        return self.status in GOOD


class Pool:
    """Worker processes that try inputs one at a time.

    Args:
        runs: What to call for each kind, by its name; a function at the top level of a module.
        preload: Modules that the server imports once.
        seconds: Longest time for one input.
        megabytes: Most memory that one input may add.
        stdin: Text on the worker's stdin, again for each input.
    """

    def __init__(
        self,
        runs: Callable[[str], Callable[[Path, Attempt], None]],
        *,
        preload: tuple[str, ...] = (),
        seconds: float = 10.0,
        megabytes: float = 2048.0,
        stdin: str = "y\n" * 1000,
    ) -> None:
        self.runs, self.preload, self.seconds, self.megabytes = runs, preload, seconds, megabytes
        self.home = Path(tempfile.mkdtemp(prefix="panollava-attack-"))
        (self.home / "stdin").write_text(stdin, encoding="utf-8")
        self.settings = _environment(self.home)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([*preload, "tools.attack._pool"])
        self.worker: Any = None
        self.inputs = self.count = 0

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, name: str, attempt: Attempt) -> Outcome:
        """Try one input of a kind."""
        if self.worker is None or self.inputs >= INPUTS_PER_WORKER:
            self._start()
        self.inputs += 1
        self.count += 1
        folder = self.home / f"input-{self.count}"
        folder.mkdir()
        canary = self.home / "canary"
        canary.unlink(missing_ok=True)
        started = time.monotonic()
        try:
            self.connection.send((name, attempt, folder))
            if self.connection.poll(self.seconds):
                outcome = self.connection.recv()
            else:
                self._stop()
                outcome = Outcome("time", f"not finished within {self.seconds:g} s")
        except (EOFError, OSError):
            self.worker.join(5)
            code = self.worker.exitcode
            reason = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
            outcome = Outcome("crash", f"{reason}: {self._tail()}")
            self._stop()
        finally:
            _remove(folder)
        if canary.exists():
            outcome = Outcome("code", f"code of the input ran; then {outcome.status}: {outcome.text}")
        text = outcome.text.replace(str(folder), "INPUT").replace(str(self.home), "HOME")
        return Outcome(outcome.status, text, time.monotonic() - started, outcome.megabytes)

    def _start(self) -> None:
        self._stop()
        self.connection, theirs = self.context.Pipe()
        worker = self.context.Process(
            target=_work,
            args=(theirs, self.runs, self.preload, str(self.home), self.settings, self.megabytes),
            daemon=True,
        )
        worker.start()
        self.worker = worker
        theirs.close()
        self.inputs = 0
        try:
            ready = self.connection.poll(300) and self.connection.recv() == "ready"
        except EOFError:
            ready = False
        if not ready:
            raise RuntimeError(f"the worker did not start: {self._tail()}")

    def _stop(self) -> None:
        if self.worker is not None:
            self.worker.kill()
            self.worker.join()
            self.connection.close()
            self.worker = None

    def _tail(self) -> str:
        path = self.home / "stderr"
        return " ".join(path.read_text(errors="replace")[-300:].split()) if path.exists() else ""


def _environment(home: Path) -> dict[str, str]:
    """Environment of the workers: no network, no caches of this user, a stand-in for Ghostscript on PATH."""
    programs = home / "bin"
    programs.mkdir()
    for name in ("gs", "gswin64c"):
        (programs / name).write_text(f"#!/bin/sh\n: > '{home / 'canary'}'\n")
        (programs / name).chmod(0o755)
    return {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home / "hf"),
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "PANOLLAVA_CANARY": str(home / "canary"),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "COLUMNS": "400",
        **{name: "" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "HF_TOKEN")},
    }


def _work(
    connection: Connection,
    runs: Callable[[str], Callable[[Path, Attempt], None]],
    preload: tuple[str, ...],
    home: str,
    settings: dict[str, str],
    megabytes: float,
) -> None:
    os.environ.update(settings)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which then ends this process
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{home}/{name}", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND), number)
    os.dup2(os.open(f"{home}/stdin", os.O_RDONLY), 0)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False, errors="backslashreplace") for n in (1, 2))
    for module in preload:  # nothing to do if this process was forked from a server that has them
        importlib.import_module(module)
    ours = _our_errors()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_kilobytes("VmSize") * 1024 + ADDRESS_SPACE,) * 2)
    gc.freeze()  # the library's own objects need not be looked through again
    connection.send("ready")
    while True:
        name, attempt, folder = connection.recv()
        for number in (1, 2):
            os.ftruncate(number, 0)
        os.lseek(0, 0, os.SEEK_SET)
        sys.stdin = os.fdopen(0, "r", closefd=False)
        for file, content in attempt.files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        os.chdir(folder)
        before = _reset_peak()
        outcome = _outcome(runs(name), folder, attempt, ours)
        megabytes_used = max(0.0, (_kilobytes("VmHWM") - before) / 1024)
        if outcome.status in GOOD and megabytes_used > megabytes:
            outcome = Outcome("memory", f"{megabytes_used:.0f} MB")
        os.chdir(home)
        gc.collect()
        connection.send(Outcome(outcome.status, outcome.text, 0.0, megabytes_used))


def _outcome(
    run: Callable[[Path, Attempt], None], folder: Path, attempt: Attempt, ours: tuple[type[BaseException], ...]
) -> Outcome:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(folder, attempt)
        outcome = Outcome("accepted" if attempt.must_fail else "result")
    except ours as error:
        text = str(error)
        if attempt.secret is not None and attempt.secret in text:
            outcome = Outcome("secret", text[:300])
        elif "\n" in text.strip() or len(text) > 2000:
            outcome = Outcome("noise", f"a message of {len(text)} characters: {text[:200]!r}")
        else:
            outcome = Outcome("refused" if attempt.must_pass else "our error", text[:300])
    except Noise as error:
        outcome = Outcome("noise", str(error)[:300])
    except BaseException as error:
        outcome = Outcome("traceback", _place(error))
    return outcome


def _our_errors() -> tuple[type[BaseException], ...]:
    with contextlib.suppress(ImportError):
        from panollava_geometry import PanoramaError
        from panollava_hf._errors import PanoLLaVaError

        return (Refused, PanoramaError, PanoLLaVaError)
    return (Refused,)


def _place(error: BaseException) -> str:
    """An exception in one line, with the last frame of ours and the last frame at all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "panollava" in frame.filename and "/tools/" not in frame.filename]
    shown = [f"{'/'.join(Path(f.filename).parts[-2:])}:{f.lineno}" for f in (*ours[-1:], *frames[-1:])]
    text = " ".join(repr(str(error)[:160]).split())
    return f"{type(error).__name__} {text} at {' → '.join(dict.fromkeys(shown))}"


def _kilobytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def _reset_peak() -> int:
    """Let the kernel measure the peak of the resident memory from here; returns the present one in kilobytes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _kilobytes("VmRSS")


def _remove(folder: Path) -> None:
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():  # a file may be a hard link to one of the checkout
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
