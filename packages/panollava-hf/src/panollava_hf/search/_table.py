"""Files of vectors, as `panollava embed` writes them, read in pieces of bounded size."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panollava_hf._errors import TableError, boundary
from panollava_hf._shown import shortened
from panollava_hf.search._query import Direction, Vectors, unit
from panollava_hf.search._vector_columns import BATCH, NEEDED, REMEDY, check_columns, matrix_of, rows_with_vectors

#: Panoramas whose mean is taken for the mean of the table.
SAMPLE = 4096


@dataclass(frozen=True)
class Rows:
    """Some panoramas of a table.

    Attributes:
        places: `[N]`, their places in the table.
        ids: Their ids.
        paths: Where their images came from; None if unknown.
        vectors: `[N, D]`, of unit length.
        views: `[N, V, D]`, of unit length.
        directions: Yaw and pitch of the V views.
    """

    places: npt.NDArray[np.int64]
    ids: Sequence[str]
    paths: Sequence[str | None]
    vectors: Vectors
    views: Vectors
    directions: tuple[Direction, ...]


@dataclass(frozen=True)
class VectorTable:
    """Vectors of panoramas in one or several Parquet files. They stay in the files, and are read when they are needed.

    Attributes:
        path: The file or folder.
        files: Its files in order.
        rows: Rows in all files; their numbers are the places of the panoramas.
        width: Length of a vector.
        errors: Rows without a vector. They are left out.
        settings: The settings of the job that made the vectors; None if they were not stored.
    """

    path: Path
    files: tuple[Path, ...]
    rows: int
    width: int
    errors: int
    settings: Mapping[str, Any] | None = None
    _groups: tuple[tuple[int, int, int], ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        """Panoramas that can be found."""
        return self.rows - self.errors

    def vectors(self) -> Iterator[tuple[npt.NDArray[np.int64], Vectors]]:
        """All vectors of panoramas, in pieces: their places `[N]`, and the unit vectors `[N, D]`."""
        for group in range(len(self._groups)):
            yield from self._vectors_of(group)

    def sampled(self, most: int = SAMPLE) -> Iterator[Rows]:
        """Panoramas of groups of rows that are spread evenly over the table, at least `most` if there are as many."""
        if not self._groups:
            return
        mean = max(1, self.rows // len(self._groups))
        count = min(len(self._groups), -(-most // mean))
        for group in np.unique(np.linspace(0, len(self._groups) - 1, count).round().astype(int)):
            left = most
            for rows in self._rows_of(int(group), None):
                yield rows
                left -= len(rows.ids)
                if left <= 0:
                    break

    def all_rows(self) -> Iterator[Rows]:
        """All panoramas with their views, in pieces."""
        for group in range(len(self._groups)):
            yield from self._rows_of(group, None)

    def take(self, places: Sequence[int] | npt.NDArray[np.int64]) -> Iterator[Rows]:
        """The panoramas at some places, in the order of the table."""
        wanted = np.unique(np.asarray(places, np.int64))
        for group, (_, first, count) in enumerate(self._bounds()):
            inside = wanted[(wanted >= first) & (wanted < first + count)]
            if len(inside):
                yield from self._rows_of(group, inside)

    def find(self, name: str) -> int | None:
        """The place of the panorama with this id; None if there is none, or it has no vector."""
        import pyarrow.compute as pc

        for group, (_, first, _) in enumerate(self._bounds()):
            start = first
            for batch in self._batches(group, ["id"]):
                found = pc.index(batch.column("id").cast("string"), name).as_py()
                if found >= 0:
                    return start + found if any(len(rows.ids) for rows in self.take([start + found])) else None
                start += len(batch)
        return None

    @cached_property
    def _firsts(self) -> list[int]:
        """The first place of each group of rows."""
        return [first for _, first, _ in self._bounds()]

    def _bounds(self) -> Iterator[tuple[int, int, int]]:
        """File, first place and number of rows of each group of rows."""
        first = 0
        for file, _, count in self._groups:
            yield file, first, count
            first += count

    def _batches(self, group: int, columns: list[str]) -> Iterator[Any]:
        file, number, _ = self._groups[group]
        path = self.files[file]
        with boundary(TableError, f"{path}: cannot be read", REMEDY):
            parquet = _opened(path, path.stat().st_mtime_ns)
            batches = parquet.iter_batches(BATCH, row_groups=[number], columns=columns, use_threads=False)
        while True:
            with boundary(TableError, f"{path}: cannot be read", REMEDY):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _vectors_of(self, group: int) -> Iterator[tuple[npt.NDArray[np.int64], Vectors]]:
        first = self._firsts[group]
        for batch in self._batches(group, ["vector"]):
            column = batch.column("vector")
            good = rows_with_vectors(column)
            yield first + np.flatnonzero(good), unit(matrix_of(column, self.width, self.path)[good])
            first += len(batch)

    def _rows_of(self, group: int, places: npt.NDArray[np.int64] | None) -> Iterator[Rows]:
        first = self._firsts[group]
        for batch in self._batches(group, list(NEEDED)):
            numbers = np.arange(first, first + len(batch))
            first += len(batch)
            keep = rows_with_vectors(batch.column("vector"))
            if places is not None:
                keep &= np.isin(numbers, places)
            if keep.any():
                import pyarrow as pa

                yield from self._with_views(batch.filter(pa.array(keep)), numbers[keep])

    def _with_views(self, batch: Any, numbers: npt.NDArray[np.int64]) -> Iterator[Rows]:
        """Rows, split where the directions of the views change."""
        lists = batch.column("views")
        counts = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        cells = lists.flatten()
        yaws, pitches = (cells.field(name).to_numpy(zero_copy_only=False) for name in ("yaw_deg", "pitch_deg"))
        if not all(np.isfinite(np.asarray(angles, np.float64)).all() for angles in (yaws, pitches)):
            raise TableError(f"{self.path}: a view has no yaw or pitch; {REMEDY}")
        matrix = matrix_of(cells.field("vector"), self.width, self.path)
        matrix[~np.isfinite(matrix).all(1)] = 0  # such a view resembles nothing
        matrix = unit(matrix)
        ends = np.cumsum(counts)
        keys = [
            tuple(zip(yaws[end - n : end].tolist(), pitches[end - n : end].tolist(), strict=True))
            for end, n in zip(ends, counts, strict=True)
        ]
        vectors = unit(matrix_of(batch.column("vector"), self.width, self.path))
        ids = batch.column("id").to_pylist()
        paths = [None if path is None else str(path) for path in batch.column("path").to_pylist()]
        start = 0
        for stop in range(1, len(keys) + 1):
            if stop < len(keys) and keys[stop] == keys[start]:
                continue
            count = int(counts[start])
            views = matrix[ends[start] - count : ends[stop - 1]].reshape(stop - start, count, self.width)
            span = slice(start, stop)
            yield Rows(numbers[span], [str(name) for name in ids[span]], paths[span], vectors[span], views, keys[start])
            start = stop


def read_vectors(path: str | Path) -> VectorTable:
    """Open a Parquet file of vectors, or a folder of such files.

    Only the footers and the column `error` are read.

    Args:
        path: What `panollava embed` wrote.

    Raises:
        TableError: There is no such file, it is not Parquet, or it does not have the columns of vectors.
    """
    _require_pyarrow()
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.exists():
        from panollava_hf.jobs.sources._open import near

        raise TableError(
            f"{path}: no such file or folder{near(str(path))}; expected vectors that 'panollava embed' wrote"
        )
    files = _files_of(path) if path.is_dir() else (path,)
    if not files:
        raise TableError(f"{path}: this folder has no .parquet files; {REMEDY}")
    groups: list[tuple[int, int, int]] = []
    width, errors, stored = 0, 0, None
    for number, file in enumerate(files):
        with boundary(TableError, f"{file}: not a readable Parquet file", REMEDY):
            parquet = pq.ParquetFile(file, memory_map=True)
        with parquet:
            meta = parquet.metadata
            if meta.num_rows == 0:
                continue
            found, problems = check_columns(file, parquet, width)
            width, errors = found or width, errors + problems
            groups += [(number, group, meta.row_group(group).num_rows) for group in range(meta.num_row_groups)]
            stored = stored or (parquet.schema_arrow.metadata or {}).get(b"panollava")
    rows = sum(count for _, _, count in groups)
    if not rows or rows == errors:
        raise TableError(f"{path}: no row has a vector ({rows} rows, {errors} of them with errors)")
    return VectorTable(path, files, rows, width, errors, _settings(path, stored), tuple(groups))


def _files_of(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(file for file in folder.glob("*.parquet") if not file.name.startswith((".", "_"))))


def _settings(path: Path, stored: bytes | None) -> Mapping[str, Any] | None:
    """The settings of the job: from the Parquet file, or from the manifest next to it."""
    names = [path / "_manifest.json"] if path.is_dir() else [Path(f"{path}.manifest.json")]
    for text in [stored] if stored else [file.read_bytes() for file in names if file.is_file()]:
        try:
            content = json.loads(text)
        except ValueError as error:
            raise TableError(f"{path}: its manifest is not JSON ({shortened(str(error), 80)}); {REMEDY}") from error
        found = content.get("settings", content) if isinstance(content, dict) else None
        if isinstance(found, dict):
            return found
    return None


@lru_cache(maxsize=4)
def _opened(path: Path, changed: int) -> Any:
    """A file with its footer read; a file that has changed is read again."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, memory_map=True)


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise TableError("files of vectors need the package pyarrow: pip install 'panollava-hf[search]'") from error
