"""A deadline, and a limit of memory, for calls that have none of their own."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """The result of a call that runs in another thread.

    Args:
        seconds: How long to wait.
        call: What is called. After the deadline its thread goes on, but does not keep the process alive.

    Raises:
        TimeoutError: The call takes longer.

    Example:
        >>> within(1.0, lambda: 2 + 2)
        4
    """
    results: queue.SimpleQueue[Result] = queue.SimpleQueue()
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.put(call())
        except BaseException as error:  # raised again by the thread that waits
            errors.append(error)
        done.set()

    threading.Thread(target=run, daemon=True).start()
    if not done.wait(seconds):
        raise TimeoutError(f"no result within {seconds:g} seconds")
    if errors:
        raise errors[0]
    return results.get()


@contextmanager
def limited_memory(more: int) -> Iterator[None]:
    """Let allocations fail in a block that takes more than this many bytes, with a MemoryError; Linux alone.

    The limit holds for the whole process, also for its other threads: keep the block short.

    Example:
        >>> with limited_memory(2**30):
        ...     len("a" * 1000)
        1000
    """
    usage = Path("/proc/self/statm")
    if not usage.exists():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = int(usage.read_text().split()[0]) * resource.getpagesize() + more
    if soft not in (-1, resource.RLIM_INFINITY):
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
