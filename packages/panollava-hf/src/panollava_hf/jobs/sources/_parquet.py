"""Parquet files, read a few rows at a time."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from panollava_hf._errors import TableError, boundary
from panollava_hf.data._row_checks import ImageFolder
from panollava_hf.jobs.sources._arrow_rows import ArrowRow, ArrowRows, needs
from panollava_hf.jobs.sources._names import shown_name
from panollava_hf.jobs.sources._walk import Walked

#: Rows that are decoded at a time: without images, and with images.
_LIGHT, _HEAVY = 4096, 16
#: Bytes that are read from a file at a time; whole column chunks can be as large as the file.
_BUFFER = 2**20
_REMEDY = "write it again, or check that it is complete"


class ParquetSource(Walked):
    """The rows of one or more Parquet files with the same columns.

    Args:
        paths: The files, in order.
        given: Columns that the user named, by what they hold.
        limit: Largest number of rows.
        name: The source as messages name it.

    Raises:
        TableError: A file cannot be read, or has other columns; there are no rows, no column with images, or two rows
            with the same id.
    """

    def __init__(self, paths: Sequence[Path], given: Mapping[str, str], limit: int | None, name: str) -> None:
        super().__init__()
        self.name = name
        self._paths = [Path(path).absolute() for path in paths]
        digest, counts, schema = hashlib.sha256(), [], None
        for path in self._paths:
            with (
                boundary(TableError, f"{shown_name(str(path))} cannot be read as Parquet", _REMEDY),
                _open(path) as file,
            ):
                own, count = file.schema_arrow, file.metadata.num_rows
            schema = own if schema is None else schema
            if set(own.names) != set(schema.names):
                raise TableError(f"{shown_name(str(path))} has other columns than {shown_name(self._paths[0].name)}")
            digest.update(_footer(path))
            counts.append(count)
        assert schema is not None
        self._starts = [0, *accumulate(counts)]
        self._count = self._starts[-1] if limit is None else min(limit, self._starts[-1])
        if not self._count:
            raise TableError(f"{name} has no rows")
        self._table = ArrowRows(schema, given, name, self._paths[0].parent)
        self.notes: tuple[str, ...] = self._table.notes
        self._fingerprint = self._table.check(self._all_ids) or f"{digest.hexdigest()}-{self._count}"

    def _all_ids(self) -> Iterator[str]:
        for start in range(0, self._count, _LIGHT):
            yield from self.ids(start, start + _LIGHT)

    def _walk(self, start: int, part: str) -> Iterator[ArrowRow]:
        columns = self._table.light if part == "ids" else self._table.read
        stored = len(columns) and part == "all" and self._table.columns.image not in self._table.light
        for index, path in enumerate(self._paths):
            if self._starts[index + 1] > start:
                skip = max(0, start - self._starts[index])
                count = self._starts[index + 1] - self._starts[index]
                yield from _rows_in(path, count, skip, columns, _HEAVY if stored else _LIGHT)

    def __len__(self) -> int:
        return self._count

    def fingerprint(self) -> str:
        """A hash of the ids in order; without a column of ids, of the footers of the files."""
        return self._fingerprint

    def ids(self, start: int, stop: int) -> list[str]:
        """The ids of some rows."""
        stretch = self._stretch(start, min(stop, self._count), "ids")
        return [self._table.id(row, values) for row, values in enumerate(stretch, start)]

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        """Some rows: `id`, `path`, `image` and the other columns; `error` in a row that cannot be read."""
        images = ImageFolder(self._table.folder)
        stretch = self._stretch(start, min(stop, self._count))
        ids = self.ids(start, stop)
        pairs = zip(ids, stretch, strict=True)
        return [self._table.row(row, identity, values, images) for row, (identity, values) in enumerate(pairs, start)]


def _open(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise needs("pyarrow") from error
    return parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def _footer(path: Path) -> bytes:
    """The size of a file and its footer, which contains the sizes and statistics of all its columns."""
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(-8, os.SEEK_END)
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(-8 - length, os.SEEK_END)
        return size.to_bytes(8, "little") + stream.read(length)


def _rows_in(path: Path, count: int, skip: int, columns: list[str], most: int) -> Iterator[ArrowRow]:
    """The rows of a file after the first `skip`; those of a damaged group of rows are texts that say so."""
    name = shown_name(str(path))
    with boundary(TableError, f"{name} cannot be read as Parquet", _REMEDY):
        file = _open(path)
    with file:
        groups = [file.metadata.row_group(index).num_rows for index in range(file.metadata.num_row_groups)]
        if sum(groups) != count:
            raise TableError(f"{name} was changed while the job ran; start the job again")
        for index, length in enumerate(groups):
            if skip >= length:
                skip -= length
                continue
            done = 0
            try:
                for batch in _batches(file, name, index, columns, most):
                    yield from batch.slice(max(0, skip - done)).to_pylist() if done + len(batch) > skip else ()
                    done += len(batch)
            except TableError as error:
                for _ in range(max(done, skip), length):
                    yield str(error)
            skip = 0


def _batches(file: Any, name: str, group: int, columns: list[str], most: int) -> Iterator[Any]:
    """The batches of a group of rows."""
    with boundary(TableError, f"{name}, row group {group + 1} cannot be read", _REMEDY):
        batches = iter(file.iter_batches(most, row_groups=[group], columns=columns, use_threads=False))
    while True:
        with boundary(TableError, f"{name}, row group {group + 1} cannot be read", _REMEDY):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
