"""Tables of panoramas with questions and answers: found faults, repaired files, and reading for training.

The original's data came as CSV in two layouts, `url,query,annotation` and `url,instruction,response`, whose texts were
often written without quotes: readers then take a comma of the text for the end of a column, without a word.
"""

import csv
import io
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from panollava_hf._errors import TableError
from panollava_hf._files import write_whole
from panollava_hf.data._repair import REFERENCE, STRICT, first_field, split_texts

if TYPE_CHECKING:
    from datasets import Dataset

#: Columns of the layouts: image, question, answer.
LAYOUTS = (("url", "query", "annotation"), ("url", "instruction", "response"))


@dataclass(frozen=True)
class Fault:
    """A row that is not what CSV asks for.

    Attributes:
        line: Number of its first line, from 1.
        reason: What is wrong.
        text: The row as it stands in the file.
        fields: Its three fields as they were meant, or None where that cannot be decided.
    """

    line: int
    reason: str
    text: str
    fields: tuple[str, ...] | None


@dataclass
class Table:
    """A CSV file row by row.

    Attributes:
        path: The file.
        columns: Its columns.
        rows: Sound and repaired rows, in order.
        faults: What is wrong with the others.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def undecided(self) -> list[Fault]:
        """Faults that could not be repaired."""
        return [fault for fault in self.faults if fault.fields is None]


def check_csv(path: str | Path) -> Table:
    """Find rows whose text holds unquoted commas or broken quotes.

    Args:
        path: A CSV file in one of the two layouts, in UTF-8.

    Raises:
        TableError: It cannot be read, or has other columns.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TableError(
            f"{path}, line {line}: byte {content[error.start]:#04x} is no UTF-8; save the file as UTF-8"
        ) from error
    lines = text.replace("\r\n", "\n").split("\n")
    columns = tuple(name.strip().strip('"').lower() for name in lines[0].split(","))
    if columns not in LAYOUTS:
        wanted = " or ".join(",".join(layout) for layout in LAYOUTS)
        raise TableError(f"{path} starts with {lines[0][:80]!r}; expected the columns {wanted}")
    table = Table(path, columns)
    _read(table, lines)
    return table


def _read(table: Table, lines: list[str]) -> None:
    rows = _Rows(lines)
    sound: dict[int, tuple[str, ...]] = {}
    broken: dict[int, str] = {}
    number = 1
    while number < len(lines):
        if not lines[number].strip():
            number += 1
            continue
        fields, used = rows.sound(number)
        if fields is None:
            used = rows.extent(number)
            broken[number] = "\n".join(lines[number : number + used]).rstrip()
        else:
            sound[number] = fields
        number += used
    known = {fields[1].strip() for fields in sound.values()}
    for number in sorted(sound.keys() | broken.keys()):
        if number in sound:
            table.rows.append(sound[number])
            continue
        repaired = rows.repaired(broken[number], known)
        table.faults.append(Fault(number + 1, _reason(broken[number], table.columns), broken[number], repaired))
        if repaired is not None:
            table.rows.append(repaired)


class _Rows:
    """Which lines make a row, sound or broken."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        first = next((line for line in lines[1:] if line.strip()), "")
        # In a table of anything but paths and URLs of pictures, a line that is a row by itself begins one.
        self.has_references = REFERENCE.match(first.partition(",")[0]) is not None

    def begins(self, line: str) -> bool:
        """Whether a line begins a row."""
        first, comma, _ = line.partition(",")
        if self.has_references:
            return bool(comma) and REFERENCE.match(first) is not None
        return _fields(line) is not None

    def sound(self, number: int) -> tuple[tuple[str, ...] | None, int]:
        """The three fields of a row that is as it should be, and how many lines it takes."""
        used, row = 1, self.lines[number]
        # An odd number of quotes so far: the field goes on in the next line, unless that begins a row of its own.
        while row.count('"') % 2 and number + used < len(self.lines) and not self.begins(self.lines[number + used]):
            row += "\n" + self.lines[number + used]
            used += 1
        return _fields(row), used

    def extent(self, number: int) -> int:
        """How many lines a broken row takes: up to an empty one or the next that begins a row."""
        used = 1
        while number + used < len(self.lines):
            line = self.lines[number + used]
            if not line.strip() or self.begins(line):
                break
            used += 1
        return used

    def repaired(self, text: str, known: set[str]) -> tuple[str, ...] | None:
        """The three fields that a broken row was meant to have, where that can be told."""
        start = first_field(text, any_name=not self.has_references)
        texts = None if start is None else split_texts(start[1], known)
        return None if start is None or texts is None or not all(texts) else (start[0], *texts)


def _fields(row: str) -> tuple[str, ...] | None:
    """The fields of a proper row of three."""
    fields, place = [], 0
    while True:
        found = STRICT.match(row, place)
        if found is None or found[3] == "\n":
            return None
        fields.append(found[2] if found[1] is None else found[1].replace('""', '"'))
        place = found.end()
        if found[3] == "":
            return tuple(fields) if len(fields) == 3 else None


def _reason(text: str, columns: tuple[str, ...]) -> str:
    if text.count('"') % 2:
        return "broken quotes: a quote is opened and never closed, or closed and never opened"
    try:
        fields = len(next(csv.reader([text.replace("\n", " ")])))
    except csv.Error as error:
        return f"broken quotes: {error}"
    if fields > len(columns):
        return f"unquoted comma: {fields} fields where {len(columns)} are expected"
    if fields < len(columns):
        return f"{fields} fields where {len(columns)} are expected"
    return "broken quotes: a quote inside a text is not doubled, or its text is not quoted"


def write_csv(table: Table, path: str | Path) -> None:
    """Write sound and repaired rows, properly quoted; the file appears whole or not at all.

    Raises:
        TableError: It cannot be written, or is the file that was read.
    """
    path = Path(path)
    if path.exists() and path.samefile(table.path):
        raise TableError(f"{path} is the file to be repaired: give another name")
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([table.columns, *table.rows])
    try:
        write_whole(path, stream.getvalue(), mode=stat.S_IMODE(table.path.stat().st_mode))
    except OSError as error:
        raise TableError(f"{path} cannot be written: {error.strerror or error}") from error


def read_table(path: str | Path) -> "Dataset":
    """Read a table for training through `datasets`, with the columns `url`, `query`, `annotation`.

    Args:
        path: `.csv`, `.jsonl` or `.parquet`, in either layout.

    Raises:
        TableError: Another kind of file, other columns, or a CSV with rows that would be misread.
    """
    path = Path(path)
    kinds = {".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}
    if path.suffix.lower() not in kinds:
        raise TableError(f"{path}: expected .csv, .jsonl or .parquet")
    try:
        from datasets import Dataset, load_dataset
    except ImportError as error:
        raise TableError("reading tables needs the package datasets: pip install 'panollava-hf[data]'") from error
    if path.suffix.lower() == ".csv":
        table = check_csv(path)
        if table.faults:
            places = ", ".join(str(fault.line) for fault in table.faults[:10])
            raise TableError(
                f"{path}: {len(table.faults)} rows would be misread (lines {places}"
                f"{', …' if len(table.faults) > 10 else ''}); run `panollava data check {path} --fix REPAIRED.csv`"
            )
        found = Dataset.from_dict({n: [row[i] for row in table.rows] for i, n in enumerate(table.columns)})
    else:
        if not path.is_file():
            raise TableError(f"{path}: no such file")
        found = load_dataset(kinds[path.suffix.lower()], data_files=str(path), split="train")
    for layout in LAYOUTS:
        if set(layout) <= set(found.column_names):
            renamed = dict(zip(layout, LAYOUTS[0], strict=True))
            return found.select_columns(list(layout)).rename_columns(renamed)
    wanted = " or ".join(",".join(layout) for layout in LAYOUTS)
    raise TableError(f"{path} has the columns {', '.join(found.column_names)}; expected {wanted}")


def rows_of(path: str | Path) -> Iterator[tuple[str, str, str]]:
    """Image, question and answer of each row, see `read_table`."""
    for row in read_table(path):
        yield row["url"], row["query"], row["annotation"]
