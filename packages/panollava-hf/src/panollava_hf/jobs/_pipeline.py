"""Reading ahead: threads decode and cut the next rows while the model works on a batch."""

import os
import queue
import sys
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from panollava_hf.jobs._job import Batch, Job, Prepared

#: Batches that are read while the model works on one.
AHEAD = 2


@dataclass
class Chunk:
    """Rows that the model takes together.

    Attributes:
        owner: What they belong to, which comes back with the results.
        rows: The rows.
        last: Whether these are the owner's last ones.
    """

    owner: Any
    rows: Sequence[Mapping[str, Any]]
    last: bool


def computed(
    job: Job, chunks: Iterable[Chunk], readers: int, threads: int | None = None
) -> Generator[tuple[Chunk, dict[str, list[Any]]]]:
    """The results of chunks, in order. `chunks` is iterated in a thread, a few chunks ahead of the model.

    Args:
        job: The job. Its model is loaded in this thread, when there are rows.
        chunks: What is computed. A chunk without rows has no results, and needs no model.
        readers: Threads that read images.
        threads: Threads of torch for the model; default: as they are.
    """
    ready, stop, room = threading.Event(), threading.Event(), threading.Semaphore(AHEAD)
    queued: queue.SimpleQueue[tuple[Chunk, list[Future[Prepared]]] | BaseException | None] = queue.SimpleQueue()
    pool = ThreadPoolExecutor(readers, "panollava-read")

    def read(rows: Sequence[Mapping[str, Any]]) -> Prepared:
        ready.wait()  # the model is loaded in the main thread
        if stop.is_set():
            return Prepared([], [], [])
        _set_threads(1)  # several images are cut at the same time, each in one thread
        return job.prepare(batch_of(rows))

    def feed() -> None:
        try:
            for chunk in chunks:
                room.acquire()
                if stop.is_set():
                    return
                slices = _slices(chunk.rows, readers)
                queued.put((chunk, [pool.submit(read, rows) for rows in slices]))
            queued.put(None)
        except BaseException as error:  # raised again below, unless nobody wants results any more
            if not stop.is_set():
                queued.put(error)

    feeder = threading.Thread(target=feed, name="panollava-feed", daemon=True)
    feeder.start()
    try:
        while (item := queued.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            chunk, reading = item
            if reading and not ready.is_set():
                _ = job.model
                threads = threads or _threads()
                _set_threads(threads)
                ready.set()
            prepared = [future.result() for future in reading]
            room.release()
            yield chunk, (job.finish(_joined(prepared)) if prepared else {})
    finally:
        stop.set()
        ready.set()
        room.release()
        pool.shutdown(wait=True, cancel_futures=True)
        _set_threads(threads)  # the number that threads start with is the last one that was set


def batch_of(rows: Sequence[Mapping[str, Any]]) -> Batch:
    """Rows as columns: all that any of them has, and None where a row does not have it."""
    names = dict.fromkeys(("id", "path", "image")) | {name: None for row in rows for name in row}
    return {name: [row.get(name) for row in rows] for name in names}


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _slices(rows: Sequence[Mapping[str, Any]], readers: int) -> list[Sequence[Mapping[str, Any]]]:
    size = max(1, -(-len(rows) // readers))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _joined(slices: Sequence[Prepared]) -> Prepared:
    whole = Prepared([], [], [])
    for prepared in slices:
        whole.items += prepared.items
        whole.inputs += prepared.inputs
        whole.errors += prepared.errors
    return whole


def _threads() -> int | None:
    torch = sys.modules.get("torch")
    return None if torch is None else torch.get_num_threads()


def _set_threads(number: int | None) -> None:
    """Set how many threads torch uses in this thread; without torch there is nothing to set."""
    torch = sys.modules.get("torch")
    if torch is not None and number is not None and torch.get_num_threads() != number:
        torch.set_num_threads(number)
