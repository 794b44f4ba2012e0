"""A deadline for calls that have none of their own."""

import queue
import threading
from collections.abc import Callable
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
