"""A deadline, and a limit of memory, for calls that have none of their own."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


#: A call that computes may take this many times its seconds on a busy machine.
_PATIENCE = 10
_LOOK_EVERY = 0.2


def within(seconds: float, call: Callable[[], Result], *, computing: bool = False) -> Result:
    """The result of a call that runs in another thread.

    Args:
        seconds: How long to wait.
        call: What is called. After the deadline its thread goes on, but does not keep the process alive.
        computing: Count the seconds that the call computes, so that other processes do not make it fail; ten times
            as many may pass. A system that cannot tell counts all seconds.

    Raises:
        TimeoutError: The call takes longer.

    Example:
        >>> within(1.0, lambda: 2 + 2), within(1.0, lambda: 2 + 2, computing=True)
        (4, 4)
    """
    results: queue.SimpleQueue[Result] = queue.SimpleQueue()
    errors: list[BaseException] = []
    clocks: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done = threading.Event()

    def run() -> None:
        try:
            clocks.put(_clock_of_this_thread() if computing else None)
            results.put(call())
        except BaseException as error:  # raised again by the thread that waits
            errors.append(error)
        done.set()

    threading.Thread(target=run, daemon=True).start()
    if not _is_done_in_time(done, seconds, clocks.get()):
        raise TimeoutError(f"no result within {seconds:g} seconds")
    if errors:
        raise errors[0]
    return results.get()


def _is_done_in_time(done: threading.Event, seconds: float, clock: int | None) -> bool:
    if clock is None:
        return done.wait(seconds)
    last = time.monotonic() + _PATIENCE * seconds
    while not done.wait(min(_LOOK_EVERY, seconds)):
        try:
            if time.clock_gettime(clock) >= seconds or time.monotonic() >= last:
                return False
        except OSError:  # the thread has ended just now
            return done.is_set()
    return True


def _clock_of_this_thread() -> int | None:
    """The clock that counts the seconds in which this thread computes; None where the system has none."""
    if hasattr(time, "pthread_getcpuclockid"):
        return time.pthread_getcpuclockid(threading.get_ident())
    return None


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
