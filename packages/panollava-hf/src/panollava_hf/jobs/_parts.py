"""The work of a job on its parts, in any process: read ahead, compute, write each part whole."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from panollava_hf._errors import JobError, reason
from panollava_hf.jobs._job import Job
from panollava_hf.jobs._kinds import Kinds, add_kinds, kind_of, rows_of
from panollava_hf.jobs._known import Known
from panollava_hf.jobs._pipeline import Chunk, available_cores, computed
from panollava_hf.jobs._sink import Sink
from panollava_hf.jobs._source import Source
from panollava_hf.jobs._warned import collected
from panollava_hf.jobs._work import Part, PartReport

#: Threads that read images, at most.
MAX_READERS = 16


@dataclass
class _Begun:
    """A part whose rows are being computed."""

    part: Part
    ids: list[str]
    known: dict[int, Mapping[str, Any]]
    columns: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class PartWork:
    """A job, a source and a folder of parts.

    Attributes:
        job: The job.
        source: Where its rows come from.
        sink: The format of the parts.
        folder: Where they are written.
        tag: Part of their names.
        batch_size: Rows that the model works on together.
        known: Rows of earlier runs.
        readers: Threads that read images; default: one per core.
        threads: Threads of torch; default: as it chooses.
    """

    job: Job
    source: Source
    sink: Sink
    folder: Path
    tag: str
    batch_size: int
    known: Known | None = None
    readers: int | None = None
    threads: int | None = None

    def path_of(self, part: Part) -> Path:
        """The file of a part."""
        return self.folder / f"part-{part.index:06d}-{self.tag}{self.sink.suffix}"

    def do(self, part: Part) -> PartReport:
        """Compute a part and write its file."""
        return next(self.do_all([part]))

    def do_all(
        self, parts: Iterable[Part], on_rows: Callable[[Part, int], None] = lambda part, rows: None
    ) -> Generator[PartReport]:
        """Compute parts and write their files; the images of the next part are read while the model works on this one.

        Args:
            parts: The parts. They are iterated in a thread, which may wait for them.
            on_rows: Called after each batch with the part and its number of rows.

        Yields:
            A report per part, in order.

        Raises:
            JobError: A file cannot be written.
        """
        readers = self.readers or min(MAX_READERS, available_cores())
        with (
            collected() as warned,
            closing(computed(self.job, self._chunks(parts), readers, self.threads)) as results,
        ):
            for chunk, columns in results:
                begun: _Begun = chunk.owner
                for name, cells in columns.items():
                    begun.columns.setdefault(name, []).extend(cells)
                on_rows(begun.part, len(chunk.rows))
                if chunk.last:
                    yield replace(self._write(begun), warned=warned.take())

    def report_of(self, part: Part) -> PartReport | None:
        """The report of a part that an earlier run wrote; None if its file does not exist or is damaged.

        Raises:
            JobError: Its file cannot be read.
        """
        path, total = self.path_of(part), 0
        failed: Kinds = {}
        unknown: Kinds = {}
        if not path.exists():
            return None
        try:
            for row in self.sink.find(path, self.job.answer_column):
                total += 1
                if row.error is not None:
                    add_kinds(failed, [kind_of(row.error, row.path, row.id)])
                elif row.unknown is not None:
                    add_kinds(unknown, [kind_of(row.unknown, row.path, row.id)])
        except PermissionError as error:
            raise JobError(f"{path} cannot be read ({reason(error)}); change its permissions") from error
        except damaged():
            return None
        done = total - rows_of(failed) - rows_of(unknown)
        return PartReport(part, done, 0, failed, unknown) if total == part.stop - part.start else None

    def _chunks(self, parts: Iterable[Part]) -> Iterator[Chunk]:
        """The rows that have to be computed, in batches."""
        for part in parts:
            ids = self.source.ids(part.start, part.stop)
            begun = _Begun(part, ids, self.known.find(ids) if self.known is not None else {})
            wanted = [row for row in range(part.start, part.stop) if row - part.start not in begun.known]
            batches = [wanted[start : start + self.batch_size] for start in range(0, len(wanted), self.batch_size)]
            for number, batch in enumerate(batches):
                yield Chunk(begun, self._rows(batch), number == len(batches) - 1)
            if not batches:
                yield Chunk(begun, [], True)

    def _rows(self, numbers: list[int]) -> list[Mapping[str, Any]]:
        """Rows of the source, read in runs of neighbours."""
        rows: list[Mapping[str, Any]] = []
        start = 0
        for end in range(1, len(numbers) + 1):
            if end == len(numbers) or numbers[end] != numbers[end - 1] + 1:
                rows += self.source.rows(numbers[start], numbers[end - 1] + 1)
                start = end
        return rows

    def _write(self, begun: _Begun) -> PartReport:
        part, known, columns = begun.part, begun.known, begun.columns
        number = len(columns.get("id", ()))
        names = list(columns) or list(next(iter(known.values())))
        fresh = iter(range(number))
        whole: dict[str, list[Any]] = {name: [] for name in names}
        for position in range(part.stop - part.start):
            old = known.get(position)
            row = next(fresh) if old is None else -1
            for name in names:
                whole[name].append(columns[name][row] if old is None else old[name])
        path = self.path_of(part)
        try:
            self.sink.write(path, whole, self._schema)
        except OSError as error:
            raise cannot_write(path, error) from error
        failed: Kinds = {}
        unknown: Kinds = {}
        answer = self.job.answer_column
        for row in range(part.stop - part.start):
            about = (whole["path"][row], whole["id"][row])
            if whole["error"][row] is not None:
                add_kinds(failed, [kind_of(whole["error"][row], *about)])
            elif answer is not None and whole[answer][row] is None and whole["note"][row] is not None:
                add_kinds(unknown, [kind_of(whole["note"][row], *about)])
        done = part.stop - part.start - rows_of(failed) - rows_of(unknown)
        return PartReport(part, done, number, failed, unknown)

    def _schema(self) -> Any:
        """The schema of the results: that of an earlier run, which needs no model, or the job's."""
        return (self.known and self.known.schema()) or self.job.schema()


def cannot_write(path: Path, error: Exception) -> JobError:
    """The error of a file that the system refuses."""
    return JobError(
        f"{path} cannot be written ({reason(error)}); free some space or change its permissions, then run the same "
        "command again to go on"
    )


def damaged() -> tuple[type[Exception], ...]:
    """What the readers of a damaged file raise."""
    import sys

    arrow = sys.modules.get("pyarrow")
    return (ValueError, KeyError, TypeError, OSError, *((arrow.ArrowException,) if arrow is not None else ()))
