"""The engine of Ray: Ray Data decides which process of a cluster does which part."""

import os
import pickle
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from panollava_hf import _console
from panollava_hf._errors import JobError, boundary
from panollava_hf.jobs._flow import GO_ON
from panollava_hf.jobs._ray_actor import Attempts, Outcome, PartWorker
from panollava_hf.jobs._ray_cluster import machines, quiet_ray_data, ray_cluster
from panollava_hf.jobs._ray_share import Share, share_out
from panollava_hf.jobs._work import Part, PartReport, Work

#: What is true whenever a job stops.
_KEPT = "the finished parts are kept, and the same command continues from there"
#: How long a shared file system may take to show a file that another machine wrote, in seconds.
_VISIBLE_AFTER = 30.0


class RemoteTraceback(Exception):
    """The traceback of another process, shown as the cause of an error."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def run_ray(
    work: Work, parts: Sequence[Part], workers: int | None = None, *, gpus_per_worker: float | None = None
) -> Generator[PartReport]:
    """Do parts on a Ray cluster, and report each one as it is finished.

    The cluster is the one that the caller or `RAY_ADDRESS` named, else one on this machine, which is stopped at the
    end. All machines must have this package, the source, and the folder of the results under the same path.

    Args:
        work: Does a part; pickled to each worker.
        parts: The parts to do.
        workers: Number of processes; None for one per GPU, or without GPUs one per four CPUs.
        gpus_per_worker: GPUs per worker, perhaps a fraction, 0 for none; None for what the job sets, else one if the
            cluster has any.

    Yields:
        Reports in the order in which parts are finished.

    Raises:
        JobError: Ray is missing or its cluster is not there; a part failed as a whole; its process died several times.
    """
    if not parts:
        return
    with ExitStack() as stack:
        ours = stack.enter_context(ray_cluster())
        stack.enter_context(quiet_ray_data())
        if gpus_per_worker is None:
            gpus_per_worker = getattr(getattr(work, "job", None), "gpus_per_worker", None)
        share = share_out(machines(), workers, gpus_per_worker, len(parts))
        _console.note(share.note)
        # Closed before the error of a part is raised: the workers of a cluster that stays must not go on.
        for outcome in stack.enter_context(closing(_outcomes(work, parts, share))):
            report = _report(outcome, alone=ours)
            _check_visible(work.path_of(outcome.part), outcome)
            yield report


def _outcomes(work: Work, parts: Sequence[Part], share: Share) -> Generator[Outcome]:
    """What Ray Data makes of the parts, as they end."""
    import ray

    threads = int(os.environ.get("OMP_NUM_THREADS") or share.threads)
    with boundary(JobError, "Ray cannot run the job", _KEPT):
        attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts).remote()
        rows = [{"part": pickle.dumps(part)} for part in parts]
        results = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            PartWorker,
            # One part at a time and none waiting: the last parts go to the workers that are free.
            compute=ray.data.ActorPoolStrategy(size=share.workers, max_tasks_in_flight_per_actor=1),
            batch_size=1,
            batch_format="pyarrow",
            fn_constructor_args=(work, attempts, threads, os.getcwd()),
            num_cpus=share.cpus,
            num_gpus=share.gpus or None,
        )
        batches: Any = iter(results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
    with closing(batches):  # a generator, whose end stops the workers
        while True:
            with boundary(JobError, "Ray stopped", _KEPT):
                batch = next(batches, None)
            if batch is None:
                return
            for cell in batch.column("outcome"):
                yield pickle.loads(cell.as_py())  # made by our own actors, never by a file


def _report(outcome: Outcome, *, alone: bool) -> PartReport:
    """The report of a part.

    Raises:
        JobError: It failed.
    """
    if outcome.report is not None:
        return outcome.report
    part, where = outcome.part, "" if alone else f" on {outcome.host}"
    message = f"part {part.index} (rows {part.start} to {part.stop - 1}) failed{where}: {outcome.error}"
    if not outcome.error.endswith(GO_ON):
        message += f"; {_KEPT}"
    raise JobError(message) from (RemoteTraceback(outcome.trace) if outcome.trace else None)


def _check_visible(path: Path, outcome: Outcome) -> None:
    """Check that this machine sees a file that a worker wrote.

    Raises:
        JobError: It does not.
    """
    until = time.monotonic() + _VISIBLE_AFTER
    while not path.exists():
        if time.monotonic() > until:
            raise JobError(
                f"part {outcome.part.index} was written on {outcome.host}, but {path} is not visible on this machine; "
                "choose an output on a file system that all machines share"
            )
        time.sleep(0.5)
