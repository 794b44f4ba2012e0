"""CSV tables with panoramas, questions and answers: finding and repairing broken rows.

The data of the original code came as CSV in two layouts, `url,query,annotation` and `url,instruction,response`, and its
texts were often written without quotes. A CSV reader then silently ends a column at a comma of the text.
"""

import csv
import io
import stat
from dataclasses import dataclass, field
from pathlib import Path

from panollava_hf._errors import TableError
from panollava_hf._files import write_whole
from panollava_hf.data._repair import REFERENCE, STRICT, first_field, split_texts

#: Columns of the layouts: image, question, answer.
LAYOUTS = (("url", "query", "annotation"), ("url", "instruction", "response"))


@dataclass(frozen=True)
class Fault:
    """A row that is not valid CSV with three fields.

    Attributes:
        line: Number of its first line, from 1.
        reason: What is wrong.
        text: The row as written in the file.
        fields: The three fields that were meant, or None where that cannot be decided.
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
        rows: Valid and repaired rows, in order.
        faults: All broken rows, repaired or not.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def undecided(self) -> list[Fault]:
        """Broken rows that could not be repaired."""
        return [fault for fault in self.faults if fault.fields is None]


def check_csv(path: str | Path) -> Table:
    """Find rows whose texts contain unquoted commas or broken quotes.

    Args:
        path: A CSV file in one of the two layouts, in UTF-8.

    Raises:
        TableError: The file cannot be read, is not UTF-8, or has other columns.
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
            f"{path}, line {line}: byte {content[error.start]:#04x} is not UTF-8; save the file as UTF-8"
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
    valid: dict[int, tuple[str, ...]] = {}
    broken: dict[int, str] = {}
    number = 1
    while number < len(lines):
        if not lines[number].strip():
            number += 1
            continue
        fields, used = rows.valid(number)
        if fields is None:
            used = rows.extent(number)
            broken[number] = "\n".join(lines[number : number + used]).rstrip()
        else:
            valid[number] = fields
        number += used
    known = {fields[1].strip() for fields in valid.values()}
    for number in sorted(valid.keys() | broken.keys()):
        if number in valid:
            table.rows.append(valid[number])
            continue
        repaired = rows.repaired(broken[number], known)
        table.faults.append(Fault(number + 1, _reason(broken[number], table.columns), broken[number], repaired))
        if repaired is not None:
            table.rows.append(repaired)


class _Rows:
    """Which lines belong to a row, valid or broken."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        first = next((line for line in lines[1:] if line.strip()), "")
        # In a table whose first column holds neither image paths nor URLs, only a line that is a valid row by itself
        # is known to begin a row.
        self.has_references = REFERENCE.match(first.partition(",")[0]) is not None

    def begins(self, line: str) -> bool:
        """Whether a line begins a row."""
        first, comma, _ = line.partition(",")
        if self.has_references:
            return bool(comma) and REFERENCE.match(first) is not None
        return _fields(line) is not None

    def valid(self, number: int) -> tuple[tuple[str, ...] | None, int]:
        """The three fields of a row, or None if it is broken, and the number of its lines."""
        used, row = 1, self.lines[number]
        # With an odd number of quotes the field continues in the next line, unless that line begins a row itself.
        while row.count('"') % 2 and number + used < len(self.lines) and not self.begins(self.lines[number + used]):
            row += "\n" + self.lines[number + used]
            used += 1
        return _fields(row), used

    def extent(self, number: int) -> int:
        """The number of lines of a broken row: up to an empty line or the next line that begins a row."""
        used = 1
        while number + used < len(self.lines):
            line = self.lines[number + used]
            if not line.strip() or self.begins(line):
                break
            used += 1
        return used

    def repaired(self, text: str, known: set[str]) -> tuple[str, ...] | None:
        """The three fields that a broken row was meant to have, or None where that cannot be decided."""
        start = first_field(text, any_name=not self.has_references)
        texts = None if start is None else split_texts(start[1], known)
        return None if start is None or texts is None or not all(texts) else (start[0], *texts)


def _fields(row: str) -> tuple[str, ...] | None:
    """The fields of a valid row, or None unless it has exactly three."""
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
    """Write the valid and repaired rows with correct quotes, under a temporary name that is then renamed.

    Raises:
        TableError: The file cannot be written, or it is the file that was read.
    """
    path = Path(path)
    if path.exists() and path.samefile(table.path):
        raise TableError(f"{path} is the file to be repaired; choose another output name")
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([table.columns, *table.rows])
    try:
        write_whole(path, stream.getvalue(), mode=stat.S_IMODE(table.path.stat().st_mode))
    except OSError as error:
        raise TableError(f"{path} cannot be written: {error.strerror or error}") from error
