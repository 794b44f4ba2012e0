"""Panoramas with questions and answers from any table: files, folders, or a dataset on the Hub.

Rows are read through `datasets`, so a table of any size stays on disk. A row names its image by path or URL, or
contains the encoded image. Images are not decoded here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panollava_hf._errors import TableError
from panollava_hf.data._tables import LAYOUTS, check_csv

if TYPE_CHECKING:
    from datasets import Dataset

#: Names that a column can have, the most likely first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "image": ("image", "panorama", "url", "image_path", "path", "file_name"),
    "question": ("question", "query", "instruction", "prompt"),
    "answer": ("answer", "annotation", "response", "output", "caption"),
}
#: Optional columns: the kind of question, the scene it belongs to, and the question in a form for programs.
OPTIONAL = ("family", "scene", "program")
#: The reader in `datasets` for each kind of file.
READERS = {".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


@dataclass(frozen=True)
class Example:
    """One row.

    Attributes:
        image: The panorama: a path, a URL, the bytes of a file, or an image.
        question: The question.
        answer: The expected answer.
        where: File and row, for messages.
        extra: `family`, `scene` and `program` where the table has them.
    """

    image: Any
    question: str
    answer: str
    where: str
    extra: Mapping[str, Any]


class Examples(Sequence[Example]):
    """Rows of a table, see `read_examples`."""

    def __init__(self, rows: "Dataset", columns: Mapping[str, str], name: str, folder: Path | None) -> None:
        self.rows = rows
        self.columns = dict(columns)
        self.name = name
        self.folder = folder

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = self.rows[int(index)]
        where = f"{self.name}, row {int(index) + 1}"
        question, answer = (row[self.columns[name]] for name in ("question", "answer"))
        if not isinstance(question, str) or not isinstance(answer, str) or not question.strip() or not answer.strip():
            raise TableError(f"{where}: question and answer must be non-empty texts, got {question!r} and {answer!r}")
        extra = {name: row[name] for name in OPTIONAL if row.get(name) is not None}
        return Example(self._image(row[self.columns["image"]], where), question, answer, where, extra)

    def groups(self) -> list[list[int]]:
        """The rows of each panorama, in the order in which the panoramas first appear."""
        for name in ("scene", self.columns["image"]):
            if name in self.rows.column_names:
                values = self.rows.select_columns([name])[name][:]
                if all(isinstance(value, str) for value in values):
                    found: dict[str, list[int]] = {}
                    for index, value in enumerate(values):
                        found.setdefault(value, []).append(index)
                    return list(found.values())
        return [[index] for index in range(len(self))]  # embedded images without a name

    def numbers(self, column: str) -> np.ndarray:
        """A column of numbers, `[rows]`.

        Raises:
            TableError: The column does not exist, or it does not hold finite numbers.
        """
        values = np.asarray(self._column(column))
        if not np.issubdtype(values.dtype, np.number) or not np.isfinite(values).all():
            raise TableError(f"{self.name}: the column {column!r} must hold numbers")
        return values

    def weights(self, column: str, given: Mapping[str, float]) -> np.ndarray:
        """A weight for each row by its value in a column, `[rows]`; 1 for values that are not given.

        Raises:
            TableError: The column does not exist, or no row has one of the given values.
        """
        values = self._column(column)
        unknown = sorted(set(given) - set(values))
        if unknown:
            known = ", ".join(sorted({str(value) for value in values})[:20])
            raise TableError(f"{self.name}: no row has {unknown[0]!r} in the column {column!r}; its values are {known}")
        return np.asarray([given.get(value, 1.0) for value in values])

    def _column(self, column: str) -> list[Any]:
        if column not in self.rows.column_names:
            raise TableError(
                f"{self.name} has no column {column!r}; its columns are {', '.join(self.rows.column_names)}"
            )
        return list(self.rows.select_columns([column])[column][:])

    def _image(self, value: Any, where: str) -> Any:
        if isinstance(value, Mapping):  # an undecoded image of `datasets`
            value = value["bytes"] if value.get("bytes") is not None else value["path"]
        if not isinstance(value, str):
            if value is None:
                raise TableError(f"{where}: the column {self.columns['image']!r} holds no image")
            return value
        if value.startswith(("http://", "https://")):
            return value
        if self.folder is None:
            raise TableError(f"{where}: a dataset on the Hub must not name files of this machine, got {value!r}")
        path = Path(value)
        if not path.is_absolute():
            path = self.folder / path
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise TableError(f"{where}: the path {value!r} leads out of the table's folder {self.folder}")
        return path


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
        hint = f"; its tables are {', '.join(tables)}: choose another split" if tables else ""
        raise TableError(f"{path} contains no {split}.csv, {split}.jsonl or {split}.parquet{hint}")
    if path.is_file():
        return path
    if path.suffix.lower() in READERS or str(source).startswith((".", "/", "~")):
        raise TableError(f"{source}: no such file or folder")
    return None


def read_examples(
    source: str | Path, split: str = "train", columns: Mapping[str, str] | None = None, limit: int | None = None
) -> Examples:
    r"""Read a table of panoramas, questions and answers.

    Args:
        source: A `.csv`, `.jsonl` or `.parquet` file, a folder that contains `<split>` as one of these, or the id of a
            dataset on the Hub. Relative paths of images start at the table's folder and must stay inside.
        split: Split of a folder or dataset.
        columns: Names of the columns `image`, `question` and `answer` if they differ from the usual ones.
        limit: Largest number of rows to read.

    Raises:
        TableError: The table or a column does not exist; the message names those that do.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "train.csv").write_text("url,query,annotation\nroom.jpg,What is this?,A room.\n")
        >>> read_examples(folder)[0].answer
        'A room.'
    """
    path = find_table(source, split)
    if path is None:
        rows, name, folder = _read_hub(str(source), split), str(source), None
    else:
        rows, name, folder = _read_file(path), str(path), path.parent
    chosen = _choose(rows.column_names, dict(columns or {}), name)
    if limit is not None:
        rows = rows.select(range(min(limit, len(rows))))
    if not len(rows):
        raise TableError(f"{name} has no rows")
    return Examples(_undecoded(rows, chosen["image"]), chosen, name, folder)


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise TableError("reading tables needs the package datasets: pip install 'panollava-hf[train]'") from error
    return datasets


def _read_file(path: Path) -> Any:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise TableError(f"{path}: expected .csv, .jsonl or .parquet")
    datasets = _datasets()
    if reader == "csv":
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            header = tuple(name.strip().strip('"').lower() for name in stream.readline().split(","))
        if header in LAYOUTS:  # files in these layouts are often written without quotes
            table = check_csv(path)
            if table.faults:
                raise TableError(
                    f"{path}: {len(table.faults)} rows would be misread, the first in line {table.faults[0].line}; run "
                    f"`panollava data check {path} --fix REPAIRED.csv`"
                )
            return datasets.Dataset.from_dict({n: [row[i] for row in table.rows] for i, n in enumerate(table.columns)})
    try:
        return datasets.load_dataset(reader, data_files=str(path), split="train")
    except (datasets.exceptions.DatasetGenerationError, datasets.exceptions.DataFilesNotFoundError) as error:
        raise TableError(f"{path} cannot be read as {reader}: {error.__cause__ or error}") from error


def _read_hub(name: str, split: str) -> Any:
    datasets = _datasets()
    try:
        return datasets.load_dataset(name, split=split)
    except (OSError, ValueError) as error:
        raise TableError(f"{name}: no such file, folder or dataset ({str(error).splitlines()[0]})") from error


def _choose(names: Sequence[str], given: dict[str, str], source: str) -> dict[str, str]:
    unknown = set(given) - set(COLUMNS)
    if unknown:
        raise TableError(
            f"unknown role {', '.join(sorted(unknown))} in columns; the roles are {', '.join(COLUMNS)}, e.g. "
            "columns: {image: panorama_file}"
        )
    chosen = {}
    for role, candidates in COLUMNS.items():
        wanted = (given[role],) if role in given else candidates
        found = next((name for name in wanted if name in names), None)
        if found is None:
            raise TableError(
                f"{source} has the columns {', '.join(names)}; expected one of {', '.join(wanted)} for the {role}"
                f" (set columns.{role} to the name of another column)"
            )
        chosen[role] = found
    return chosen


def _undecoded(rows: Any, column: str) -> Any:
    datasets = _datasets()
    if isinstance(rows.features[column], datasets.Image):
        return rows.cast_column(column, datasets.Image(decode=False))
    return rows
