"""Rows in work at an endpoint: many at the same time, across batches, until the endpoint stops answering.

A batch that waited for its slowest request before the next one began would leave connections idle. So a job hands the
rows of a batch over as soon as the batch is read, and collects their results when the batch is finished.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from panollava_hf._errors import ChatError

Result = TypeVar("Result")

#: Attempts in a row without a connection that end a job after others were answered; before, the first one ends it.
UNREACHABLE_IN_A_ROW = 5
#: Questions in a row that end a job if the server was overloaded, failing or too slow for each, also after waiting.
UNAVAILABLE_IN_A_ROW = 24
GO_ON = "results are kept; run the same command again to go on"


class Watch:
    """Ends a job whose endpoint does not answer any more: a refused key, or a server that is down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contacts = self._unreachable = self._unavailable = 0
        self._stopped: ChatError | None = None

    @property
    def contacts(self) -> int:
        """How often the server answered or refused a row so far."""
        return self._contacts

    def check(self) -> None:
        """Check that the job goes on.

        Raises:
            ChatError: It has been stopped.
        """
        if self._stopped is not None:
            raise ChatError(str(self._stopped))

    def add(self, found: Sequence[Any], before: int) -> None:
        """Count an attempt to answer a row.

        Args:
            found: Its answers, or their errors.
            before: `contacts` when the attempt began: a failure while other rows were answered does not count.

        Raises:
            ChatError: The endpoint does not answer any more.
        """
        scopes = {one.scope if isinstance(one, ChatError) else "request": one for one in found}
        with self._lock:
            if "endpoint" in scopes:
                self._stop(scopes["endpoint"])
            elif "request" in scopes:
                self._contacts, self._unreachable, self._unavailable = self._contacts + 1, 0, 0
            elif "unreachable" in scopes:
                self._unreachable += 1
                if self._unreachable >= (UNREACHABLE_IN_A_ROW if self._contacts else 1):
                    self._stop(scopes["unreachable"])
            elif "unavailable" in scopes and self._contacts == before:
                self._unavailable += sum(isinstance(one, ChatError) for one in found)
                if self._unavailable >= UNAVAILABLE_IN_A_ROW:
                    self._stop(scopes["unavailable"], f"none of the last {self._unavailable} questions was answered: ")
        self.check()

    def _stop(self, error: ChatError, head: str = "") -> None:
        if self._stopped is None:
            text = f"{head}{str(error).rstrip('.')}"
            self._stopped = ChatError(f"{text} Finished {GO_ON}" if text.endswith("?") else f"{text}; finished {GO_ON}")


class Flow:
    """Threads that work on rows.

    The threads are daemons: Ctrl-C ends the program at once instead of after the timeout of the requests under way.

    Args:
        threads: How many rows are in work at the same time.
    """

    def __init__(self, threads: int) -> None:
        self.watch = Watch()
        self._threads, self._started = threads, 0
        self._tasks: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        self._lock = threading.Lock()

    def submit(self, task: Callable[[], Result]) -> "Future[Result]":
        """Work on a row as soon as a thread is free."""
        future: Future[Result] = Future()
        self._tasks.put((task, future))
        with self._lock:
            if self._started < self._threads:
                self._started += 1
                threading.Thread(target=self._work, daemon=True, name="row").start()
        return future

    def _work(self) -> None:
        while True:
            task, future = self._tasks.get()
            try:
                self.watch.check()
                future.set_result(task())
            except BaseException as error:  # raised again by who waits for the result
                future.set_exception(error)
