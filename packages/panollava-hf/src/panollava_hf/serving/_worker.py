"""One thread that computes one request at a time, in the order in which they came."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from panollava_hf.serving._settings import RequestError

_log = logging.getLogger(__name__)
#: What the thread calls: it gets a function for pieces of text and one that says whether to stop.
Compute = Callable[[Callable[[str], None], Callable[[], bool]], Any]


class Worker:
    """The thread, and the requests that wait for it.

    Args:
        max_waiting: Requests that wait or are computed.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting, self._tasks, self._stopping = max_waiting, set[Task](), False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="panollava-model")

    def check_free(self) -> None:
        """Check that a further request can wait.

        Raises:
            RequestError: Too many requests wait, or the server is stopping.
        """
        if self._stopping:
            raise RequestError("the server is stopping; try again later", 503, "server_error")
        if len(self._tasks) >= self._max_waiting:
            text = f"the server is busy: {len(self._tasks)} requests wait; try again later"
            raise RequestError(text, 503, "server_error")

    def submit(self, compute: Compute) -> "Task":
        """Queue a request. Call it in the event loop.

        Raises:
            RequestError: Too many requests wait, or the server is stopping.
        """
        self.check_free()
        task = Task(compute, asyncio.get_running_loop())
        self._tasks.add(task)
        task.future = self._thread.submit(task.run)
        return task

    def done(self, task: "Task") -> None:
        """A request is no longer waited for; if it is still computed, it stops after the next token."""
        task.cancel()
        self._tasks.discard(task)

    @property
    def waiting(self) -> int:
        """Requests that wait or are computed."""
        return len(self._tasks)

    def stop(self) -> None:
        """Stop all requests. Safe in a signal handler."""
        self._stopping = True
        for task in list(self._tasks):
            task.cancel()
            task.give(RequestError("the server is stopping; try again later", 503, "server_error"))

    def close(self) -> None:
        """Wait for the thread to end."""
        self.stop()
        self._thread.shutdown(wait=True, cancel_futures=True)


class Task:
    """A request in the queue. Its events are pieces of text, then the result or an exception."""

    def __init__(self, compute: Compute, loop: asyncio.AbstractEventLoop) -> None:
        self._compute, self._loop = compute, loop
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._cancelled = threading.Event()
        self.future: Future[None] | None = None

    def run(self) -> None:
        """Compute the request, in the thread."""
        if self._cancelled.is_set():
            return
        try:
            result: Any = self._compute(self.give, self._cancelled.is_set)
        except RequestError as error:
            result = error
        except Exception as error:  # the thread serves all requests: it reports a failure and continues
            _log.exception("a request failed")
            result = RequestError(
                f"the model failed ({type(error).__name__}); see the log of the server", 500, "server_error"
            )
        self.give(result)

    def give(self, event: Any) -> None:
        """Hand an event to the event loop. Safe in any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def cancel(self) -> None:
        """Stop the computation, or do not begin it."""
        self._cancelled.set()
        if self.future is not None:
            self.future.cancel()

    async def next(self) -> Any:
        """The next event.

        Raises:
            RequestError: The request failed.
        """
        event = await self._events.get()
        if isinstance(event, RequestError):
            raise event
        return event

    async def events(self) -> AsyncIterator[Any]:
        """All events up to and with the result."""
        event: Any = ""
        while isinstance(event, str):
            event = await self.next()
            yield event
