"""What runs in the processes of a Ray cluster: a worker that does parts, and the count of attempts at each."""

import dataclasses
import os
import pickle
import socket
import sys
import traceback
from collections import Counter
from dataclasses import dataclass
from typing import Any

from panollava_hf._errors import PanoLLaVaError, one_line
from panollava_hf.jobs._work import Part, PartReport, Work

#: How often a part is begun whose process dies, before the job stops. Machines of a cluster may be taken away.
ATTEMPTS = 3


@dataclass(frozen=True)
class Outcome:
    """A part that ended.

    Attributes:
        part: The part.
        host: The machine.
        report: What came of it; None if it failed.
        error: Why it failed, in one line.
        trace: Where it failed, for the developer.
    """

    part: Part
    host: str
    report: PartReport | None = None
    error: str = ""
    trace: str = ""


class Attempts:
    """Counts how often each part was begun; a process of its own, since those of the workers may die."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, index: int) -> int:
        """Count one more attempt, and return its number."""
        self._begun[index] += 1
        return self._begun[index]


class PartWorker:
    """Does one part per call. It raises nothing: an exception would make Ray stop with a stack of its own lines."""

    def __init__(self, work: Work, attempts: Any, threads: int, folder: str) -> None:
        self._work, self._attempts = _with_threads(work, threads), attempts
        if os.path.isdir(folder):  # relative paths mean the same as in the process that started the job
            os.chdir(folder)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # Ray sets it to 1
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)

    def __call__(self, batch: Any) -> Any:
        """A batch with one pickled `Part`; back comes a pickled `Outcome`."""
        import pyarrow as pa

        outcome = self._outcome(pickle.loads(batch.column("part")[0].as_py()))
        return pa.table({"outcome": pa.array([pickle.dumps(outcome)], pa.large_binary())})

    def _outcome(self, part: Part) -> Outcome:
        import ray

        host = socket.gethostname()
        attempt = ray.get(self._attempts.begin.remote(part.index))
        if attempt > ATTEMPTS:
            reason = f"its process died {ATTEMPTS} times; a worker may need more memory: fewer workers, smaller batches"
            return Outcome(part, host, error=reason)
        try:
            return Outcome(part, host, self._work.do(part))
        except (Exception, SystemExit) as error:  # reported by the process that started the job
            text = one_line(error)
            kind = "" if isinstance(error, PanoLLaVaError) else f"{type(error).__name__}: "
            return Outcome(
                part, host, error=text if text.startswith(kind) else kind + text, trace=traceback.format_exc()
            )


def _with_threads(work: Work, threads: int) -> Work:
    """The same work with as many threads as a worker may use, unless it has a number of its own."""
    if not dataclasses.is_dataclass(work) or isinstance(work, type):
        return work
    free = [
        f.name for f in dataclasses.fields(work) if f.name in ("readers", "threads") and getattr(work, f.name) is None
    ]
    return dataclasses.replace(work, **dict.fromkeys(free, threads))
