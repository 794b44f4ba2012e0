"""Shared by all sections: interleaved timing, other processes, peak memory, tables, and the page they go to."""

import contextlib
import gc
import multiprocessing
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
ASSETS = PAGE.parent / "assets"


def compare(candidates: dict[str, Callable[[], object]], *, rounds: int = 9, seconds: float = 20.0) -> dict[str, float]:
    """Median seconds of each candidate, measured in turns so that a noisy moment affects all of them.

    Each candidate runs once before the measurement; rounds stop early when `seconds` are over (never before three).
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for function in candidates.values():
        function()
    start = time.perf_counter()
    for done in range(rounds):
        if done >= 3 and time.perf_counter() - start > seconds:
            break
        for name, function in candidates.items():
            gc.collect()
            begin = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def start_up_seconds(commands: dict[str, Sequence[str]], *, rounds: int = 9) -> dict[str, float]:
    """Median CPU seconds, user and system, of new Python processes, run in turns.

    Args:
        commands: Arguments for Python, by name. A command may end with an error.
        rounds: How often each runs, after one that compiles bytecode.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, arguments in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *arguments], capture_output=True, check=False, env=environment)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


#: A process that uses one core until it is killed or its parent has ended.
SPIN = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextlib.contextmanager
def busy(processes: int = 2) -> Iterator[None]:
    """Run other processes next to the block; each of them uses a core and does nothing else."""
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(processes)]
    try:
        time.sleep(0.5)  # until they spin
        if any(other.poll() is not None for other in others):
            raise RuntimeError("a process that should use a core has ended")
        yield
    finally:
        for other in others:
            other.kill()
        for other in others:
            other.wait()


def compare_quiet_and_busy(
    candidates: dict[str, Callable[[], object]], *, processes: int = 2, rounds: int = 9, seconds: float = 20.0
) -> tuple[dict[str, float], dict[str, float]]:
    """`compare` without other processes, then next to `processes` that use a core each."""
    quiet = compare(candidates, rounds=rounds, seconds=seconds)
    with busy(processes):
        return quiet, compare(candidates, rounds=rounds, seconds=seconds)


def load() -> str:
    """One line about what else runs on the machine; call it before a section starts its own work."""
    return f"*Load average of the machine before this run: {os.getloadavg()[0]:.2f}.*"


def _resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def _measure(prepare: Callable[[], Callable[[], object]], pipe: Any) -> None:
    work = prepare()
    gc.collect()
    before = peak = _resident_bytes()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, _resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    kept = work()
    peak = max(peak, _resident_bytes())
    done.set()
    watcher.join()
    del kept
    pipe.send((peak, peak - before))


def peak_memory(prepare: Callable[[], Callable[[], object]]) -> tuple[int, int]:
    """Peak resident bytes of a fresh process that runs what `prepare()` returns, in total and above its start.

    `prepare` must be importable (a module-level function or a `functools.partial` of one).
    """
    result: tuple[int, int] = _of_new_process(_measure, prepare)
    return result


def _reach(make: Callable[[], Callable[[], object]], calls: Sequence[int], pipe: Any) -> None:
    work, found = make(), []
    for number in range(1, max(calls) + 1):
        work()
        if number in calls:
            gc.collect()
            found.append(_resident_bytes())
    pipe.send(found)


def resident_after(make: Callable[[], Callable[[], object]], calls: Sequence[int]) -> list[int]:
    """Resident bytes of a fresh process that calls what `make()` returns, after each number of calls in `calls`.

    `make` must be importable. The numbers must increase.
    """
    return _of_new_process(_reach, make, calls)


def _of_new_process(function: Callable[..., None], *arguments: object) -> Any:
    """What a function sends through the pipe that is its last argument, in a new process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=function, args=(*arguments, theirs))
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the process whose memory was measured ended with exit code {process.exitcode}") from None
    process.join()
    return result


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def milliseconds(seconds: float) -> str:
    """A time in milliseconds with three digits."""
    value = seconds * 1e3
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def machine(*packages: str) -> str:
    """One line about the machine and the versions."""
    found = ", ".join(f"{p} {version(p)}" for p in ("torch", "numpy", *packages))
    cores = f"{os.cpu_count()} cores ({platform.machine()}), {torch.get_num_threads()} threads"
    return f"*Measured {time.strftime('%Y-%m-%d')} on {cores}, Python {platform.python_version()}, {found}.*"


def write_section(name: str, text: str) -> None:
    """Replace one marked section of docs/benchmarks.md, or append it."""
    page = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n\nWritten by `nox -s bench`; each table is one run.\n"
    block = f"<!-- bench:{name} -->\n{text.strip()}\n<!-- /bench:{name} -->"
    pattern = re.compile(rf"<!-- bench:{name} -->.*?<!-- /bench:{name} -->", re.DOTALL)
    page = pattern.sub(lambda _: block, page) if pattern.search(page) else f"{page.rstrip()}\n\n{block}\n"
    PAGE.write_text(page)
