"""Several requests at the same time, with their results in order."""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> list[Result]:
    """Apply a function to items in several threads; the results are in the order of the items.

    The threads are daemons, unlike those of `ThreadPoolExecutor`: Ctrl-C ends the program at once instead of after the
    time-out of the requests that are under way.

    Example:
        >>> in_order(abs, [-1, -2, -3], 2)
        [1, 2, 3]
    """
    todo = iter(enumerate(items))
    lock, stopped = threading.Lock(), threading.Event()
    finished: SimpleQueue[tuple[int, Result] | BaseException] = SimpleQueue()

    def work() -> None:
        while not stopped.is_set():
            with lock:
                job = next(todo, None)
            if job is None:
                return
            number, item = job
            try:
                finished.put((number, function(item)))
            except BaseException as error:  # raised again by the caller's thread
                finished.put(error)

    for _ in range(min(workers, len(items))):
        threading.Thread(target=work, daemon=True).start()
    results: dict[int, Result] = {}
    try:
        for _ in items:
            found = finished.get()
            if isinstance(found, BaseException):
                raise found
            number, result = found
            results[number] = result
    finally:
        stopped.set()
    return [results[number] for number in range(len(items))]
