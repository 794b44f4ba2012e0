"""Results as Parquet."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from panollava_hf._errors import JobError
from panollava_hf._files import write_whole
from panollava_hf.jobs._sink import Columns, Found, clean

#: Rows per row group of a merged file.
GROUP = 1024


class ParquetSink:
    """Parquet files that pyarrow writes."""

    suffix = ".parquet"

    def write(self, path: Path, columns: Columns, schema: Callable[[], Any]) -> None:
        """Write a part."""
        pa, pq = _pyarrow()
        fields = schema()
        arrays = [pa.array([clean(cell) for cell in columns[field.name]], type=field.type) for field in fields]
        table = pa.Table.from_arrays(arrays, schema=fields)
        stream = io.BytesIO()
        with pq.ParquetWriter(stream, fields, use_dictionary=False) as writer:
            writer.write_table(table, row_group_size=max(1, len(table)))
        write_whole(path, stream.getvalue())

    def find(self, path: Path, answer: str | None = None) -> Iterator[Found]:
        """The rows of a file; their places are row groups and numbers in them."""
        file = _opened(path)
        names = ["id", "path", "error", *([answer, "note"] if answer else [])]
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=names)
            cells = (table.column(name).to_pylist() for name in names)
            for row, (name, image, error, *asked) in enumerate(zip(*cells, strict=True)):
                unknown = asked[1] if asked and error is None and asked[0] is None else None
                yield Found(name, image, error, unknown, (group, row))

    def take(self, path: Path, places: Sequence[tuple[int, int]]) -> Iterator[Mapping[str, Any]]:
        """Some rows."""
        file = _opened(path)
        for group, rows in groupby(places, key=lambda place: place[0]):
            table = file.read_row_group(group)
            for _, row in rows:
                yield table.slice(row, 1).to_pylist()[0]

    def schema(self, path: Path) -> Any:
        """The schema of a file."""
        return _opened(path).schema_arrow

    def merge(self, parts: Iterable[Path], target: Path, schema: Callable[[], Any]) -> None:
        """Copy the rows into row groups of one size, so that the file does not depend on the sizes of the parts."""
        _, pq = _pyarrow()
        writer = None
        with open(target, "wb") as stream:
            try:
                for table in _groups(parts):
                    writer = writer or pq.ParquetWriter(stream, table.schema, use_dictionary=False)
                    writer.write_table(table, row_group_size=len(table))
                writer = writer or pq.ParquetWriter(stream, schema(), use_dictionary=False)
            finally:
                if writer is not None:
                    writer.close()
            stream.flush()
            os.fsync(stream.fileno())


def _groups(parts: Iterable[Path]) -> Iterator[Any]:
    """The rows of parts as tables of `GROUP` rows; the last one has the rest."""
    pa, pq = _pyarrow()
    waiting: list[Any] = []
    for part in parts:
        waiting.append(pq.ParquetFile(part).read())
        while sum(map(len, waiting)) >= GROUP:
            # Pages end where chunks end: the rows are copied into one chunk.
            table = pa.concat_tables(waiting).combine_chunks()
            yield table.slice(0, GROUP)
            waiting = [table.slice(GROUP)]
    if sum(map(len, waiting)):
        yield pa.concat_tables(waiting).combine_chunks()


def _opened(path: Path) -> Any:
    """A file with its footer read; a file that was replaced is read again."""
    status = path.stat()
    return _footer(path, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=4)
def _footer(path: Path, changed: int, number: int) -> Any:
    _, pq = _pyarrow()
    return pq.ParquetFile(path)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise JobError("Parquet files need the package pyarrow: pip install 'panollava-hf[jobs]'") from error
    return pyarrow, pyarrow.parquet
