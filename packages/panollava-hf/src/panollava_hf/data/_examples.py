"""Panoramas with questions and answers from any table: files, folders, or a dataset of the Hub.

Rows are read through `datasets`, so a table of any size stays on the disk. Pictures are named by path or URL, or lie in
the table itself; nothing is decoded here.
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

#: Names a column may have, the likeliest first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "image": ("image", "panorama", "url", "image_path", "path", "file_name"),
    "question": ("question", "query", "instruction", "prompt"),
    "answer": ("answer", "annotation", "response", "output", "caption"),
}
#: Further columns, used where they are there: what kind of question it is and which scene it belongs to.
OPTIONAL = ("family", "scene", "program")
KINDS = {".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


@dataclass(frozen=True)
class Example:
    """One row.

    Attributes:
        image: Path, URL, bytes or picture of the panorama.
        question: What is asked.
        answer: What shall be answered.
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
            raise TableError(f"{where}: question and answer must be texts, got {question!r} and {answer!r}")
        extra = {name: row[name] for name in OPTIONAL if row.get(name) is not None}
        return Example(self._image(row[self.columns["image"]], where), question, answer, where, extra)

    def groups(self) -> list[list[int]]:
        """Rows that ask about the same panorama, in the order in which panoramas first appear."""
        for name in ("scene", self.columns["image"]):
            if name in self.rows.column_names:
                values = self.rows.select_columns([name])[name][:]
                if all(isinstance(value, str) for value in values):
                    found: dict[str, list[int]] = {}
                    for index, value in enumerate(values):
                        found.setdefault(value, []).append(index)
                    return list(found.values())
        return [[index] for index in range(len(self))]  # embedded pictures without a name

    def numbers(self, column: str) -> np.ndarray:
        """A column of numbers.

        Raises:
            TableError: There is no such column, or it holds something else.
        """
        values = np.asarray(self._column(column))
        if not np.issubdtype(values.dtype, np.number) or not np.isfinite(values).all():
            raise TableError(f"{self.name}: the column {column!r} must hold numbers")
        return values

    def weights(self, column: str, given: Mapping[str, float]) -> np.ndarray:
        """A weight for each row, by its value in a column; 1 where none is given.

        Raises:
            TableError: There is no such column, or no row has one of the values.
        """
        values = self._column(column)
        unknown = sorted(set(given) - set(values))
        if unknown:
            near = ", ".join(sorted({str(value) for value in values})[:20])
            raise TableError(f"{self.name}: no row has {unknown[0]!r} in the column {column!r}; its values are {near}")
        return np.asarray([given.get(value, 1.0) for value in values])

    def _column(self, column: str) -> list[Any]:
        if column not in self.rows.column_names:
            raise TableError(f"{self.name} has no column {column!r}; it has {', '.join(self.rows.column_names)}")
        return list(self.rows.select_columns([column])[column][:])

    def _image(self, value: Any, where: str) -> Any:
        if isinstance(value, Mapping):  # an undecoded picture of `datasets`
            value = value["bytes"] if value.get("bytes") is not None else value["path"]
        if not isinstance(value, str):
            if value is None:
                raise TableError(f"{where}: no picture in the column {self.columns['image']!r}")
            return value
        if value.startswith(("http://", "https://")):
            return value
        if self.folder is None:
            raise TableError(f"{where}: a dataset of the Hub may not name files of this machine, got {value!r}")
        path = Path(value)
        if not path.is_absolute():
            path = self.folder / path
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise TableError(f"{where}: {value!r} leads out of the table's folder {self.folder}")
        return path


def read_examples(
    source: str | Path, split: str = "train", columns: Mapping[str, str] | None = None, limit: int | None = None
) -> Examples:
    r"""Read a table of panoramas, questions and answers.

    Args:
        source: A `.csv`, `.jsonl` or `.parquet` file, a folder that holds `<split>` as one of these, or the id of a
            dataset of the Hub. Relative paths of pictures start at the table's folder and stay inside.
        split: Which split of a folder or dataset.
        columns: Names of the columns `image`, `question` and `answer` where they are not among `COLUMNS`.
        limit: Read so many rows at most.

    Raises:
        TableError: No such table, or no such column; the message names those found.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "train.csv").write_text("url,query,annotation\nroom.jpg,What is this?,A room.\n")
        >>> read_examples(folder)[0].answer
        'A room.'
    """
    path = Path(source)
    if path.is_dir():
        files = [path / f"{split}{suffix}" for suffix in KINDS if (path / f"{split}{suffix}").is_file()]
        if not files:
            tables = sorted(p.name for p in path.iterdir() if p.suffix in KINDS)
            raise TableError(
                f"{path} holds no {split}.csv, {split}.jsonl or {split}.parquet"
                + (f"; its tables are {', '.join(tables)}: name another split" if tables else "")
            )
        path = files[0]
    if path.is_file():
        rows, name, folder = _read_file(path), str(path), path.parent
    elif path.suffix.lower() in KINDS or str(source).startswith((".", "/", "~")):
        raise TableError(f"{source}: no such file or folder")
    else:
        rows, name, folder = _read_hub(str(source), split), str(source), None
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
    datasets = _datasets()
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise TableError(f"{path}: expected .csv, .jsonl or .parquet")
    if kind == "csv":
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            header = tuple(name.strip().strip('"').lower() for name in stream.readline().split(","))
        if header in LAYOUTS:  # these are often written without quotes
            table = check_csv(path)
            if table.faults:
                raise TableError(
                    f"{path}: {len(table.faults)} rows would be misread, the first in line {table.faults[0].line}; run "
                    f"`panollava data check {path} --fix REPAIRED.csv`"
                )
            return datasets.Dataset.from_dict({n: [row[i] for row in table.rows] for i, n in enumerate(table.columns)})
    try:
        return datasets.load_dataset(kind, data_files=str(path), split="train")
    except (datasets.exceptions.DatasetGenerationError, datasets.exceptions.DataFilesNotFoundError) as error:
        raise TableError(f"{path} cannot be read as {kind}: {error.__cause__ or error}") from error


def _read_hub(name: str, split: str) -> Any:
    datasets = _datasets()
    try:
        return datasets.load_dataset(name, split=split)
    except (OSError, ValueError) as error:
        raise TableError(f"{name}: no such file, folder or dataset ({str(error).splitlines()[0]})") from error


def _choose(names: Sequence[str], given: dict[str, str], source: str) -> dict[str, str]:
    unknown = set(given) - set(COLUMNS)
    if unknown:
        raise TableError(f"columns may be named for {', '.join(COLUMNS)}; got {', '.join(sorted(unknown))}")
    chosen = {}
    for role, candidates in COLUMNS.items():
        wanted = (given[role],) if role in given else candidates
        found = next((name for name in wanted if name in names), None)
        if found is None:
            raise TableError(
                f"{source} has the columns {', '.join(names)}; expected one of {', '.join(wanted)} for the {role}"
                " (name another with columns)"
            )
        chosen[role] = found
    return chosen


def _undecoded(rows: Any, column: str) -> Any:
    datasets = _datasets()
    if isinstance(rows.features[column], datasets.Image):
        return rows.cast_column(column, datasets.Image(decode=False))
    return rows
