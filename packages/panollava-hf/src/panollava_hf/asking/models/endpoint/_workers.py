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
    finished: SimpleQueue[tuple[int, Result | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        while not stopped.is_set():
            with lock:
                number, item = next(todo, (None, None))
            if number is None:
                return
            try:
                finished.put((number, function(item), None))  # type: ignore[arg-type]
            except BaseException as error:  # raised again by the caller's thread
                finished.put((number, None, error))

    for _ in range(min(workers, len(items))):
        threading.Thread(target=work, daemon=True).start()
    results: dict[int, Result] = {}
    try:
        for _ in items:
            number, result, error = finished.get()
            if error is not None:
                raise error
            results[number] = result  # type: ignore[assignment]
    finally:
        stopped.set()
    return [results[number] for number in range(len(items))]
