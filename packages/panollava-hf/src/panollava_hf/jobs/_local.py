"""The engine of one machine: this process, or several processes with a model each."""

import contextlib
import multiprocessing
import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

from panollava_hf._child_processes import end_with_parent
from panollava_hf._errors import JobError, PanoLLaVaError
from panollava_hf.jobs._parts import PartWork
from panollava_hf.jobs._pipeline import available_cores
from panollava_hf.jobs._work import Part, PartReport

#: Parts that a process holds: one in work, and one whose images are read ahead.
HELD = 2

OnRows = Callable[[Part, int], None]


def run_local(
    work: PartWork, parts: Sequence[Part], workers: int | None = None, on_rows: OnRows = lambda part, rows: None
) -> Generator[PartReport]:
    """Do parts on this machine.

    Args:
        work: The work.
        parts: The parts.
        workers: Number of processes; 1 or None is this process.
        on_rows: Called after each batch with its part and number of rows.

    Yields:
        A report per part, in the order in which they are finished.

    Raises:
        JobError: A process has died, or a file cannot be written.
    """
    workers = min(workers or 1, len(parts))
    if workers <= 1:
        yield from work.do_all(parts, on_rows)
        return
    share = max(1, available_cores() // workers)
    work = replace(work, readers=work.readers or share, threads=work.threads or share)
    waiting = deque(parts)
    processes = [_Process(work, number + 1) for number in range(workers)]
    try:
        for process in processes:
            process.fill(waiting)
        yield from _reports(processes, waiting, on_rows)
    finally:
        for process in processes:
            process.end()


class _Process:
    """A process that does parts, as its parent sees it."""

    def __init__(self, work: PartWork, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.number, self.held = number, deque[Part]()
        self._process = context.Process(target=_serve, args=(work, theirs), name=f"panollava-{number}", daemon=False)
        self._process.start()
        theirs.close()

    def fill(self, waiting: deque[Part]) -> None:
        """Hand out parts; None says that there are no more."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its death is reported where it is read
            while waiting and len(self.held) < HELD:
                self.held.append(waiting.popleft())
                self.connection.send(self.held[-1])
            if not waiting and len(self.held) < HELD:
                self.connection.send(None)

    def death(self) -> JobError:
        """The error of a process that ended before its parts were done."""
        self._process.join()
        code = self._process.exitcode or 0
        how = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        part = self.held[0]
        hint = "; if memory was short, use fewer --workers or a smaller --batch-size" if code == -9 else ""
        return JobError(
            f"worker {self.number} {how} while it worked on rows {part.start + 1:,} to {part.stop:,} (part "
            f"{part.index}){hint}; finished parts are kept, and the same command goes on"
        )

    def end(self) -> None:
        """End the process."""
        self.connection.close()
        self._process.terminate()
        self._process.join()
        self._process.close()


def _reports(processes: Sequence[_Process], waiting: deque[Part], on_rows: OnRows) -> Iterator[PartReport]:
    busy = {process.connection: process for process in processes}
    while any(process.held for process in busy.values()):
        for ready in wait([connection for connection, process in busy.items() if process.held]):
            process = busy[ready]  # type: ignore[index]  # one of the connections that `wait` was given
            try:
                kind, content = process.connection.recv()
            except (EOFError, ConnectionResetError) as error:
                raise process.death() from error
            if kind == "rows":
                on_rows(*content)
            elif kind == "report":
                process.held.popleft()
                process.fill(waiting)
                yield content
            else:
                raise content


def _serve(work: PartWork, connection: "Connection[Any, Any]") -> None:
    """The main function of a process: it receives parts and sends reports. It ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    end_with_parent()
    try:
        for report in work.do_all(
            iter(connection.recv, None), lambda part, rows: connection.send(("rows", (part, rows)))
        ):
            connection.send(("report", report))
    except BaseException as error:  # raised again in the process that waits for the parts
        connection.send(("error", _portable(error)))


def _portable(error: BaseException) -> BaseException:
    """An exception that pickles, with its traceback as a note."""
    if isinstance(error, PanoLLaVaError):
        error.__cause__ = error.__context__ = None
    else:
        error.add_note("In a worker:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever another library's exception does when it is pickled: its text is kept
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
