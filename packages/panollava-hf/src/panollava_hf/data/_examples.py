"""Panoramas with questions and answers from any table: files, folders, or a dataset on the Hub.

A row names its image by path or URL, or contains the encoded image. Images are not decoded here. CSV and JSON files are
read by this package, with every text exactly as written, and kept in memory. Parquet files and datasets are read
through `datasets` and stay on disk.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from panollava_hf._errors import TableError
from panollava_hf.data._arrow import read_hub, read_parquet
from panollava_hf.data._columns import COLUMNS, OPTIONAL, choose_columns, column_names, find_column, find_options
from panollava_hf.data._csv import CsvTable
from panollava_hf.data._json_rows import read_json
from panollava_hf.data._options import read_options
from panollava_hf.data._row_checks import ImageFolder, Unusable, unusable_rows
from panollava_hf.data._rows import Rows, TextRows

#: Most columns of a JSON file.
MAX_COLUMNS = 1000
#: What each kind of file is.
READERS = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


@dataclass(frozen=True)
class Example:
    """One row.

    Attributes:
        image: The panorama: a path, a URL, the bytes of a file, or an image.
        question: The question.
        answer: The expected answer.
        where: File and row, for messages.
        extra: `family`, `scene`, `program` and `wordings` where the table has them.
    """

    image: Any
    question: str
    answer: str
    where: str
    extra: Mapping[str, Any]


class Examples(Sequence[Example]):
    """Rows of a table, see `read_examples`.

    Args:
        rows: All rows.
        columns: The columns of image, question and answer, and of the optional ones.
        name: The table, for messages.
        folder: Where relative paths of images start; None for a dataset on the Hub.
        kept: The rows that can be used.
        unusable: The others.
    """

    def __init__(
        self,
        rows: Rows,
        columns: Mapping[str, str],
        name: str,
        folder: Path | None,
        kept: np.ndarray,
        unusable: Unusable,
    ) -> None:
        self.rows = rows
        self.columns = dict(columns)
        self.name = name
        self.folder = folder
        self.unusable = unusable
        self._kept = kept
        self._images = ImageFolder(folder)
        self.option_columns = find_options(rows.column_names, set(self.columns.values()))

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = self.row(index)
        where = self.where(index)
        image, question, answer = (self.rows.cell(row, self.columns[role]) for role in COLUMNS)
        extra = {
            name: cell
            for name in OPTIONAL
            if name in self.columns and (cell := self.rows.cell(row, self.columns[name])) is not None
        }
        return Example(self._image(image, where), question, answer, where, extra)

    def options(self, index: int) -> tuple[str, ...]:
        """The options of a multiple-choice question, from one column or from one column each; empty if it has none.

        Raises:
            TableError: The options cannot be read.
        """
        row = self.row(index)
        cells = [self.rows.cell(row, column) for column in self.option_columns]
        texts = ["" if cell is None else str(cell) for cell in cells]
        while texts and not texts[-1].strip():
            texts.pop()
        if not texts or len(self.option_columns) > 1:
            return tuple(texts)
        try:
            return read_options(texts[0])
        except TableError as error:
            raise TableError(f"{self.where(index)}: {error}") from error

    def row(self, index: int) -> int:
        """The row of the table, from 0, that an index stands for; rows that cannot be used are counted."""
        return int(self._kept[index])

    def where(self, index: int) -> str:
        """File and row, for messages."""
        return f"{self.name}, row {self.row(index) + 1}"

    def groups(self) -> list[list[int]]:
        """The rows of each panorama, in the order in which the panoramas first appear.

        Rows with the same scene belong together if they have the same image too; otherwise rows with the same image.
        """
        images = list(self.cells(self.columns["image"]))
        named = all(isinstance(image, str) for image in images)
        if "scene" in self.columns:
            scenes = list(self.cells(self.columns["scene"]))
            image_of = dict(zip(scenes, images, strict=True))
            one_each = all(image_of[scene] == image for scene, image in zip(scenes, images, strict=True))
            if None not in image_of and (one_each or not named):
                return _grouped(scenes)
        return _grouped(images) if named else [[index] for index in range(len(self))]

    def cells(self, column: str) -> Iterator[Any]:
        """The cells of a column, of the rows that can be used."""
        cells = self.rows.cells(column)
        if len(self._kept) == len(self.rows):
            return cells
        kept = np.zeros(len(self.rows), dtype=bool)
        kept[self._kept] = True
        return (cell for cell, is_kept in zip(cells, kept, strict=True) if is_kept)

    def numbers(self, column: str) -> np.ndarray:
        """A column of numbers, `[rows]`.

        Raises:
            TableError: The column does not exist, or it does not hold finite numbers.
        """
        cells = self._column(column)
        for kind in (int, float):
            try:
                values = np.asarray([kind(cell) for cell in cells])
            except (ValueError, TypeError, OverflowError):
                continue
            if np.issubdtype(values.dtype, np.number) and np.isfinite(values).all():
                return values
        raise TableError(f"{self.name}: the column {column!r} must hold numbers")

    def weights(self, column: str, given: Mapping[str, float]) -> np.ndarray:
        """A weight for each row by its value in a column, `[rows]`; 1 for values that are not given.

        Raises:
            TableError: The column does not exist, or no row has one of the given values.
        """
        values = self._column(column)
        unknown = sorted(set(given) - set(values))
        if unknown:
            known = column_names(sorted({str(value) for value in values}))
            raise TableError(f"{self.name}: no row has {unknown[0]!r} in the column {column!r}; its values are {known}")
        return np.asarray([given.get(value, 1.0) for value in values])

    def unusable_images(self) -> Unusable:
        """Images that are not there, or that the table must not name. Files are not opened, URLs are not asked."""
        found = Unusable()
        seen: set[str] = set()
        for index, image in enumerate(self.cells(self.columns["image"])):
            if isinstance(image, str) and image not in seen:
                seen.add(image)
                reason = self._images.fault(image)
                if reason is not None:
                    found.first = found.first or self.where(index)
                    found.add(f"{self.rows.place(self.row(index))}: {reason}")
        return found

    def _column(self, column: str) -> list[Any]:
        names = self.rows.column_names
        found = find_column(names, column)
        if found is None:
            raise TableError(f"{self.name} has no column {column!r}; its columns are {column_names(names)}")
        return list(self.cells(found))

    def _image(self, cell: Any, where: str) -> Any:
        if not isinstance(cell, str):
            return cell
        try:
            return self._images.locate(cell)
        except TableError as error:
            raise TableError(f"{where}: {error}") from error


def _grouped(values: Sequence[str]) -> list[list[int]]:
    found: dict[str, list[int]] = {}
    for index, value in enumerate(values):
        found.setdefault(value, []).append(index)
    return list(found.values())


def find_table(source: str | Path, split: str = "train") -> Path | None:
    """The file of a table, without reading it; None when `source` can only be a dataset on the Hub.

    Raises:
        TableError: The file or folder does not exist, or the folder has no such split.
    """
    path = Path(source)
    if path.is_dir():
        for suffix in READERS:
            if (path / f"{split}{suffix}").is_file():
                return path / f"{split}{suffix}"
        tables = sorted(p.name for p in path.iterdir() if p.suffix in READERS)
        hint = f"; its tables are {', '.join(tables[:20])}: choose another split" if tables else ""
        raise TableError(f"{path} contains no {split}.csv, {split}.jsonl or {split}.parquet{hint}")
    if path.is_file():
        return path
    if path.suffix.lower() in READERS or str(source).startswith((".", "/", "~")):
        raise TableError(f"{source}: no such file or folder")
    return None


def read_examples(
    source: str | Path,
    split: str = "train",
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    *,
    skip_bad: bool = False,
) -> Examples:
    r"""Read a table of panoramas, questions and answers, and check every row.

    Args:
        source: A `.csv`, `.jsonl` or `.parquet` file, a folder that contains `<split>` as one of these, or the id of a
            dataset on the Hub. Relative paths of images start at the table's folder and must stay inside.
        split: Split of a folder or dataset.
        columns: Names of the columns `image`, `question` and `answer` if they differ from the usual ones.
        limit: Largest number of rows to read.
        skip_bad: Leave out rows that cannot be used, and count them in `unusable`, instead of raising an error.

    Raises:
        TableError: The table or a column does not exist (the message names those that do), or rows cannot be used (it
            lists the first ten with their lines, and their number).

    Example:
        >>> from pathlib import Path
        >>> from panollava_hf.data import read_examples
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "train.csv").write_text("url,query,annotation\nroom.jpg,What is this?,A room.\n")
        >>> read_examples(folder)[0].answer
        'A room.'
    """
    path = find_table(source, split)
    unusable = Unusable()
    rows: Rows
    if path is None:
        rows, name, folder = read_hub(str(source), split), str(source), None
        chosen = choose_columns(rows.column_names, columns or {}, name)
    else:
        rows, chosen = read_rows(path, columns or {}, limit, unusable)
        name, folder = str(path), path.parent
        if unusable.count and not skip_bad:
            raise _misread(path, unusable)
    count = len(rows) if limit is None else min(limit, len(rows))
    kept = np.ones(count, dtype=bool)
    for row, reason in unusable_rows(rows, chosen, count):
        kept[row] = False
        unusable.add(f"{rows.place(row)}: {reason}")
    if unusable.count and not skip_bad:
        raise TableError(
            f"{name}: {unusable.count} rows cannot be used: {unusable.listed()}; correct them, or leave them out with "
            "--skip-bad"
        )
    if not kept.any():
        reason = f" that can be used: {unusable.listed()}" if unusable.count else ""
        raise TableError(f"{name} has no rows{reason}")
    return Examples(rows, chosen, name, folder, np.flatnonzero(kept), unusable)


def read_rows(
    path: Path, columns: Mapping[str, str], limit: int | None, unusable: Unusable
) -> tuple[Rows, dict[str, str]]:
    """The rows of a file, and the columns of image, question and answer; rows that cannot be read are counted."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise TableError(f"{path}: expected .csv, .jsonl or .parquet")
    if reader == "parquet":
        stored = read_parquet(path)
        return stored, choose_columns(stored.column_names, columns, str(path))
    if reader == "csv":
        return _read_csv(path, columns, limit, unusable)
    rows = TextRows()
    for line, cells in islice(read_json(path), limit):
        if isinstance(cells, str):
            unusable.add(f"line {line}: {cells}")
        else:
            rows.append_named(line, cells)
            if len(rows.column_names) > MAX_COLUMNS:
                raise TableError(f"{path}, line {line}: more than {MAX_COLUMNS} different keys")
    rows.finish()
    if not len(rows):
        raise _misread(path, unusable) if unusable.count else TableError(f"{path} has no rows")
    return rows, choose_columns(rows.column_names, columns, str(path))


def _read_csv(
    path: Path, columns: Mapping[str, str], limit: int | None, unusable: Unusable
) -> tuple[TextRows, dict[str, str]]:
    table = CsvTable(path, columns)
    chosen = choose_columns(table.names, columns, str(path))
    first = {name: index for index, name in reversed(list(enumerate(table.names)))}  # of columns with the same name
    indices = sorted(first.values())
    rows = TextRows([table.names[index] for index in indices])
    for record in islice(table, limit):
        if record.fields is None:
            unusable.add(f"line {record.line}: {record.reason}")
        else:
            rows.append(record.line, [record.fields[index] for index in indices])
    return rows, chosen


def _misread(path: Path, unusable: Unusable) -> TableError:
    """The error for rows that cannot be divided into cells."""
    if READERS[path.suffix.lower()] == "json":
        return TableError(f"{path} cannot be read as json: {unusable.count} rows are damaged: {unusable.listed()}")
    first = unusable.reasons[0].partition(":")[0]
    return TableError(
        f"{path}: {unusable.count} rows would be misread, the first in {first}; run `panollava data check {path} --fix "
        f"REPAIRED.csv`; {unusable.listed()}"
    )
