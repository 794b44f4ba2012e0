"""How far a job is: a bar with rate and time left on a terminal, else a line now and then."""

import time
from collections import Counter
from types import TracebackType
from typing import Any

from panollava_hf import _console
from panollava_hf.jobs._kinds import rows_of
from panollava_hf.jobs._work import Part, PartReport

#: Seconds between two lines where stderr is not a terminal.
INTERVAL = 10.0


class Progress:
    """Shows the progress of a job on stderr while a block runs.

    Args:
        total: Rows of the job.
        before: Rows that an earlier run has computed.
        show: Whether anything is shown.
    """

    def __init__(self, total: int, before: int, show: bool = True) -> None:
        self._total, self._before, self._show = total, before, show
        self._done, self._failed, self._ahead = before, 0, Counter[int]()
        self._started = self._shown = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        if self._show and _console.console().is_terminal:
            from rich.progress import TextColumn

            self._bar = _console.progress()
            self._bar.columns = (*self._bar.columns, TextColumn("{task.fields[rate]}", markup=False))
            self._task = self._bar.add_task("rows", total=self._total, completed=self._before, rate="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def rows(self, part: Part, number: int) -> None:
        """Some rows of a part were computed."""
        self._ahead[part.index] += number
        self._done += number
        self._update()

    def report(self, report: PartReport) -> None:
        """A part is finished."""
        part = report.part
        self._done += part.stop - part.start - self._ahead.pop(part.index, 0)
        self._failed += rows_of(report.failed)
        self._update()

    def _update(self) -> None:
        now = time.monotonic()
        seconds, computed = now - self._started, self._done - self._before
        rate = computed / seconds if seconds else 0.0
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rate=_rate(rate))
        elif self._show and now - self._shown >= INTERVAL and self._done < self._total:
            self._shown = now
            left = f", about {_duration((self._total - self._done) / rate)} left" if rate else ""
            failed = f", {self._failed:,} failed" if self._failed else ""
            _console.say(f"{self._done:,} of {self._total:,} rows, {_rate(rate)}{left}{failed}")


def _rate(rate: float) -> str:
    return f"{rate:,.1f}/s" if rate >= 1 or not rate else f"{60 * rate:,.1f}/min"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"
