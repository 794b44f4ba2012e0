"""The line in front of a model: questions of all sessions are answered in the order in which they came."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from panollava_hf._errors import PanoLLaVaError, one_line
from panollava_hf.demo._stoppable import Control, Stopped

_log = logging.getLogger(__name__)
#: Seconds between two reports of the time that has passed.
_TICK_SECONDS = 0.5


class BusyError(PanoLLaVaError):
    """Too many questions wait."""


@dataclass(frozen=True)
class Progress:
    """What happens to a question.

    Attributes:
        before: Questions that are answered first; 0 while this one is answered.
        step: What the model does, in a few words.
        text: The answer as far as it is there.
        seconds: Since the question came to the model.
    """

    before: int
    step: str
    text: str
    seconds: float


@dataclass(frozen=True)
class Done:
    """The result of a question, and the seconds that it took after its turn came."""

    value: Any
    seconds: float


class Line:
    """Threads that compute, and the questions that wait for them.

    Args:
        threads: Questions that are answered at the same time.
        max_waiting: Questions that wait or are answered.
    """

    def __init__(self, threads: int = 1, max_waiting: int = 32) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="panollava-demo")
        self._threads, self._max_waiting, self._jobs = threads, max_waiting, list[_Job]()

    @property
    def length(self) -> int:
        """Questions that wait or are answered."""
        return len(self._jobs)

    async def run(
        self, compute: Callable[[Control, Callable[[str], None]], Any], control: Control
    ) -> AsyncIterator[Progress | Done]:
        """Wait for the turn of a question, and compute it.

        Args:
            compute: Gets the control and a function for pieces of text; it runs in a thread.
            control: Stops it, also while it waits.

        Yields:
            Progress at least twice per second, then the result.

        Raises:
            BusyError: Too many questions wait.
            Stopped: The user stopped it.
            PanoLLaVaError: The computation failed.
        """
        if len(self._jobs) >= self._max_waiting:
            raise BusyError(f"{len(self._jobs)} questions are waiting; try again in a minute")
        job = _Job(compute, control, asyncio.get_running_loop())
        self._jobs.append(job)
        future = self._pool.submit(job.run)
        try:
            while True:
                if control.stopped:
                    raise Stopped("stopped")
                try:
                    event = await asyncio.wait_for(job.events.get(), _TICK_SECONDS)
                except TimeoutError:
                    event = None
                while isinstance(event, str) and not job.events.empty():
                    event = job.events.get_nowait()
                if isinstance(event, BaseException):
                    raise event
                if isinstance(event, Done):
                    yield event
                    return
                yield Progress(self._before(job), job.step, job.text, job.seconds)
        finally:
            control.stop()
            future.cancel()
            self._jobs.remove(job)

    def stop(self) -> None:
        """Stop all questions. Safe in a signal handler."""
        for job in list(self._jobs):
            job.control.stop()

    def close(self) -> None:
        """Stop all questions and wait for the threads to end."""
        self.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _before(self, job: "_Job") -> int:
        if job.started is not None:
            return 0
        return max(1, self._jobs.index(job) + 1 - self._threads)


class _Job:
    """One question. Its events are "" for news, a `Done`, or an exception."""

    def __init__(self, compute: Callable[..., Any], control: Control, loop: asyncio.AbstractEventLoop) -> None:
        self._compute, self.control, self._loop = compute, control, loop
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.step, self.text, self.started = "", "", None

    step: str
    text: str
    started: float | None

    @property
    def seconds(self) -> float:
        return 0.0 if self.started is None else time.perf_counter() - self.started

    def run(self) -> None:
        """Compute, in a thread."""
        self.started = time.perf_counter()
        self.control.on_step = self._on_step
        event: Any
        try:
            self.control.check()
            value = self._compute(self.control, self._on_text)
            event = Done(value, self.seconds)
        except Stopped as error:
            event = error
        except PanoLLaVaError as error:
            event = error
        except Exception as error:  # the thread serves all sessions: it reports a failure and continues
            _log.exception("a question failed")
            event = PanoLLaVaError(f"the model failed ({type(error).__name__}: {one_line(error)}); see the log")
        self._give(event)

    def _on_step(self, text: str) -> None:
        self.step, self.text = text, ""
        self._give("")

    def _on_text(self, piece: str) -> None:
        self.text += piece
        self._give("")

    def _give(self, event: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.events.put_nowait, event)
