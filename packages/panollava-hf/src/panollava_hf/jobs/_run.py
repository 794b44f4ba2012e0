"""`run_job`: a job on all rows of a source, with results in a file that a killed run goes on with."""

import hashlib
import sqlite3
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from panollava_hf._errors import UsageError
from panollava_hf.jobs._job import Job
from panollava_hf.jobs._kinds import Kinds, add_kinds, rows_of
from panollava_hf.jobs._known import index_rows
from panollava_hf.jobs._local import run_local
from panollava_hf.jobs._lock import lock_file
from panollava_hf.jobs._manifest import Manifest
from panollava_hf.jobs._merge import finish
from panollava_hf.jobs._parts import PartWork, cannot_write, damaged
from panollava_hf.jobs._place import INDEX, Place
from panollava_hf.jobs._progress import Progress
from panollava_hf.jobs._source import Source
from panollava_hf.jobs._summary import Summary
from panollava_hf.jobs._work import Part, PartReport
from panollava_hf.jobs.sources import open_source

ENGINES = ("local", "ray")


def run_job(
    job: Job,
    source: Source | str | Path,
    output: str | Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    batch_size: int | None = None,
    limit: int | None = None,
    resume: bool = True,
    retry_errors: bool = False,
    progress: bool = True,
) -> Summary:
    """Run a job on all rows of a source.

    The results are in the order of the source. A row that fails has a text in `error`; the others are unaffected. If
    the run is stopped, the same call goes on with what is missing. Rows of a source that has grown, shrunk or was
    reordered are found by their id: those without an error are kept, the others are computed.

    Args:
        job: The job.
        source: Its rows, or what `open_source` opens.
        output: A file that ends in `.parquet` or `.jsonl`, or a folder for Parquet files. While the job runs, finished
            parts are in a folder next to it.
        engine: "local", or "ray" for the cluster of Ray Data.
        workers: Number of processes with a model each. Default: 1, or as many as the cluster of Ray has room for.
        batch_size: Rows that the model works on together. Default: `job.batch_size`.
        limit: Use only the first rows.
        resume: Keep what an earlier run has computed. If False, an existing output is replaced, when the new one is
            complete.
        retry_errors: Compute rows with an error again.
        progress: Show the progress on stderr.

    Returns:
        What came of it.

    Raises:
        JobError: The output belongs to another job or source, cannot be written, or another process is working on it.
        UsageError: An argument has an impossible value.

    Example:
        >>> from panollava_hf.jobs import run_job
        >>> from panollava_hf import PanoramaEmbedder  # doctest: +SKIP
        >>> run_job(PanoramaEmbedder(), "photos", "vectors.parquet").done  # doctest: +SKIP
        16
    """
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r}: expected {' or '.join(ENGINES)}")
    for name, value in (("workers", workers), ("batch_size", batch_size), ("limit", limit)):
        if value is not None and value < 1:
            raise UsageError(f"{name} {value}: expected a number of 1 or more")
    started = time.monotonic()
    place = Place.of(Path(output))
    if isinstance(source, str | Path):
        source = open_source(source)
    if limit is not None and limit < len(source):
        source = _First(source, limit)
    rows = batch_size or job.batch_size
    wanted = Manifest.of(job, source, _part_rows(job, len(source), rows, workers or 1))
    try:
        place.output.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_file(place.lock, place.shown)
    except OSError as error:
        raise cannot_write(place.lock, error) from error
    with lock:
        try:
            run = _begin(place, wanted, resume=resume, retry_errors=retry_errors)
        except OSError as error:
            raise cannot_write(place.parts, error) from error
        if isinstance(run, Summary):
            return run
        try:
            return _compute(place, run, job, source, engine, workers, rows, progress, started)
        except BaseException:
            if not place.has_parts():
                place.remove_parts()
            raise


def _part_rows(job: Job, total: int, batch_size: int, workers: int) -> int:
    """Rows per part: whole batches, and several parts for each worker."""
    share = -(-total // (4 * workers)) if workers > 1 else total
    batches = max(1, -(-min(job.part_rows, share) // batch_size))
    return batches * batch_size


def _begin(place: Place, wanted: Manifest, *, resume: bool, retry_errors: bool) -> Manifest | Summary:
    """The manifest of the run that begins or goes on; the old summary if there is nothing to do."""
    if not resume:
        place.check_replaceable()
        place.remove_parts()
        begun, wanted = None, replace(wanted, keep=False)
    else:
        begun = Manifest.read(place.part_manifest)
        if begun is not None and not place.has_parts() and not begun.same_job(wanted):
            begun = None  # it was stopped before its first results: other settings lose nothing
    if begun is None:
        place.remove_parts()  # what is left of them without a manifest
        finished = place.finished() if resume else None
        place.clear_staged()
        if finished is not None:
            finished.check_same_job(wanted, place.shown)
            failed = (finished.summary or {}).get("failed", 0)
            if finished.same_rows(wanted) and not (retry_errors and failed):
                return _old_summary(place, finished)
            retrying = retry_errors and finished.same_rows(wanted)
            wanted = replace(wanted, part_rows=finished.part_rows, retrying=retrying)
    else:
        begun.check_same_job(wanted, place.shown)
        wanted = replace(wanted, part_rows=begun.part_rows, keep=begun.keep, retries=begun.retries)
        wanted = replace(wanted, retrying=begun.retrying and begun.same_rows(wanted))
        if retry_errors and not begun.retrying:
            wanted = replace(wanted, retries=begun.retries + 1, retrying=True)
    if begun is None or begun.tag() != wanted.tag() or begun.retrying != wanted.retrying:
        place.make_parts()
        wanted.write(place.part_manifest)
    return wanted


def _compute(
    place: Place,
    manifest: Manifest,
    job: Job,
    source: Source,
    engine: str,
    workers: int | None,
    batch_size: int,
    progress: bool,
    started: float,
) -> Summary:
    work = PartWork(job, source, place.sink, place.parts, manifest.tag(), batch_size)
    parts = manifest.parts()
    total = _Total()
    todo = [part for part in parts if not total.add(work.report_of(part))]
    resumed = total.rows
    own = f"-{manifest.tag()}{place.sink.suffix}"
    old = [] if not todo else [path for path in place.files(output=manifest.keep) if not path.name.endswith(own)]
    if old:
        try:
            work = replace(work, known=index_rows(place.parts / INDEX, old, place.sink, damaged()))
        except (OSError, sqlite3.Error) as error:
            raise cannot_write(place.parts / INDEX, error) from error
    with (
        Progress(len(source), resumed, progress) as shown,
        closing(_engine(engine, work, todo, workers, shown)) as done,
    ):
        for report in done:
            total.add(report)
            shown.report(report)
    summary = Summary(
        output=place.shown,
        total=len(source),
        done=total.done,
        failed=rows_of(total.failed),
        unknown=rows_of(total.unknown),
        kinds=tuple(total.failed.values()),
        unknown_kinds=tuple(total.unknown.values()),
        seconds=time.monotonic() - started,
        computed=total.computed,
        resumed=len(source) - total.computed,
        warned=tuple(total.warned.values()),
    )
    finish(place, work, parts, manifest, summary)
    return summary


def _engine(
    engine: str, work: PartWork, parts: Sequence[Part], workers: int | None, shown: Progress
) -> Generator[PartReport]:
    if not parts:
        return
    if engine == "local":
        yield from run_local(work, parts, workers, shown.rows)
        return
    from panollava_hf.jobs._ray import run_ray

    yield from run_ray(work, parts, workers)


class _Total:
    """The sum of reports."""

    def __init__(self) -> None:
        self.rows = self.done = self.computed = 0
        self.failed: Kinds = {}
        self.unknown: Kinds = {}
        self.warned: Kinds = {}

    def add(self, report: PartReport | None) -> bool:
        """Add a report; False if there is none."""
        if report is None:
            return False
        self.rows += report.part.stop - report.part.start
        self.done += report.done
        self.computed += report.computed
        add_kinds(self.failed, report.failed.items())
        add_kinds(self.unknown, report.unknown.items())
        add_kinds(self.warned, report.warned.items())
        return True


def _old_summary(place: Place, finished: Manifest) -> Summary:
    figures = finished.summary or {}
    return Summary(
        output=place.shown,
        total=finished.rows,
        done=figures["done"],
        failed=figures["failed"],
        unknown=figures.get("unknown", 0),
        kinds=finished.kinds("kinds"),
        unknown_kinds=finished.kinds("unknown_kinds"),
        resumed=finished.rows,
        complete_before=True,
    )


@dataclass(frozen=True)
class _First:
    """The first rows of a source."""

    source: Source
    rows_: int

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def notes(self) -> tuple[str, ...]:
        return self.source.notes

    def __len__(self) -> int:
        return self.rows_

    def fingerprint(self) -> str:
        found = hashlib.sha256()
        for start in range(0, self.rows_, 10_000):
            for name in self.ids(start, min(start + 10_000, self.rows_)):
                found.update(name.encode("utf-8", "surrogatepass") + b"\0")
        return found.hexdigest()

    def ids(self, start: int, stop: int) -> list[str]:
        return self.source.ids(start, min(stop, self.rows_))

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return self.source.rows(start, min(stop, self.rows_))
