"""Checking a table before training, and repairing the broken rows of a CSV file.

The data of the original code came as CSV in two layouts, `url,query,annotation` and `url,instruction,response`, and its
texts were often written without quotes. A CSV reader then silently ends a column at a comma of the text.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from panollava_hf._errors import TableError, reason
from panollava_hf._files import write_whole
from panollava_hf.data._columns import LAYOUTS, choose_columns, is_header, normalised
from panollava_hf.data._csv import CsvTable
from panollava_hf.data._examples import read_examples
from panollava_hf.data._repair import first_field, is_plain_url, known_questions, split_texts
from panollava_hf.data._row_checks import REPEATED_HEADER, ImageFolder, Unusable, fault_of_row


@dataclass(frozen=True)
class Fault:
    """A row that is not as its table's header says.

    Attributes:
        line: Number of its first line, from 1.
        reason: What is wrong.
        text: The row as written in the file.
        fields: The fields that were meant, or None where that cannot be decided.
        is_header: Whether the row repeats the header, so that it is left out of a repaired file.
    """

    line: int
    reason: str
    text: str
    fields: tuple[str, ...] | None
    is_header: bool = False


@dataclass
class Table:
    """A CSV file row by row.

    Attributes:
        path: The file.
        columns: Its columns.
        rows: Valid and repaired rows, in order.
        faults: All broken rows, repaired or not, and repeated headers.
        unusable: Valid rows that training and evaluation refuse, for example with a blank answer.
        missing: Images that are not there, or that lie outside the table's folder.
        copies: Number of rows that are exact copies of earlier ones.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    unusable: Unusable = field(default_factory=Unusable)
    missing: Unusable = field(default_factory=Unusable)
    copies: int = 0

    @property
    def undecided(self) -> list[Fault]:
        """Broken rows that could not be repaired."""
        return [fault for fault in self.faults if fault.fields is None and not fault.is_header]


def check_csv(path: str | Path, columns: Mapping[str, str] | None = None) -> Table:
    """Find rows whose texts contain unquoted commas or broken quotes, repeated headers, blank cells, missing images.

    A broken row is repaired only in a table with three columns in the order image, question, answer, and only if one
    way to divide it is clearly the best.

    Args:
        path: A CSV file with columns for image, question and answer, as training reads it.
        columns: Names of the columns `image`, `question` and `answer` if they differ from the usual ones.

    Raises:
        TableError: The file cannot be read, is not text, or has other columns.
    """
    path = Path(path)
    reader = CsvTable(path, columns)
    try:
        chosen = choose_columns(reader.names, columns or {}, str(path))
    except TableError as error:
        layouts = " or ".join(",".join(layout) for layout in LAYOUTS)
        raise TableError(f"{error}; expected the columns {layouts}, or other names for them") from error
    roles = [reader.names.index(chosen[role]) for role in ("image", "question", "answer")]
    names = tuple(map(normalised, reader.names)) if reader.is_layout else tuple(reader.names)
    table = Table(path, names)
    # Broken rows are divided when all valid ones are known; None stands for them in the list of rows.
    rows: list[tuple[int, tuple[str, ...] | None]] = []
    broken: dict[int, tuple[str, str]] = {}
    for record in reader:
        if record.fields is None:
            broken[record.line] = record.text, record.reason
            rows.append((record.line, None))
            continue
        image, question, answer = (record.fields[role] for role in roles)
        if is_header(image, question, answer, chosen):
            text = reader.delimiter.join(record.fields)
            table.faults.append(Fault(record.line, REPEATED_HEADER, text, None, is_header=True))
        else:
            rows.append((record.line, tuple(record.fields)))
    repair = None
    if broken and roles == [0, 1, 2] and len(names) == 3 and reader.delimiter == ",":
        repair = _Repair([fields for _, fields in rows if fields is not None], path.parent, not reader.has_references)
    images, seen = ImageFolder(path.parent), set[str]()
    for line, fields in rows:
        if fields is None:
            text, reason = broken[line]
            fields = None if repair is None else repair.fields_of(text)
            table.faults.append(Fault(line, reason, text, fields))
        if fields is None:
            continue
        table.rows.append(fields)
        image, question, answer = (fields[role] for role in roles)
        if (fault := fault_of_row(image, question, answer, chosen)) is not None:
            table.unusable.add(f"line {line}: {fault}")
        elif image not in seen:
            seen.add(image)
            if (fault := images.fault(image)) is not None:
                table.missing.add(f"line {line}: {fault}")
    table.faults.sort(key=lambda fault: fault.line)
    table.copies = len(table.rows) - len(set(table.rows))
    return table


def check_rows(path: str | Path, columns: Mapping[str, str] | None = None) -> tuple[int, Unusable, Unusable]:
    """Find rows of any table that training and evaluation refuse, and images that are not there.

    Args:
        path: A JSON, JSONL, Parquet or CSV file.
        columns: Names of the columns `image`, `question` and `answer` if they differ from the usual ones.

    Returns:
        The number of rows that can be used, the other rows, and the images that cannot be used.

    Raises:
        TableError: The file cannot be read, has other columns, or has no row that can be used.
    """
    examples = read_examples(path, columns=columns, skip_bad=True)
    return len(examples), examples.unusable, examples.unusable_images()


class _Repair:
    """Divides broken rows with what the valid rows of the same table say.

    Args:
        valid: The valid rows.
        folder: The table's folder.
        any_name: Whether images are neither URLs nor image files.
    """

    def __init__(self, valid: list[tuple[str, ...]], folder: Path, any_name: bool) -> None:
        self.known = known_questions(fields[1] for fields in valid)
        self.plain_urls = any(is_plain_url(fields[0]) for fields in valid)
        self.folder, self.any_name = folder, any_name

    def fields_of(self, text: str) -> tuple[str, ...] | None:
        """The three fields that a broken row was meant to have, or None where that cannot be decided."""
        start = first_field(text, any_name=self.any_name, plain_urls=self.plain_urls, exists=self._exists)
        texts = None if start is None else split_texts(start[1], self.known)
        return None if start is None or texts is None or not all(texts) else (start[0], *texts)

    def _exists(self, name: str) -> bool:
        return os.path.isfile(self.folder / name)


def write_csv(table: Table, path: str | Path) -> None:
    """Write the valid and repaired rows with correct quotes, under a temporary name that is then renamed.

    Raises:
        TableError: The file cannot be written, or it is the file that was read.
    """
    path = Path(path)
    if path.exists() and path.samefile(table.path):
        raise TableError(f"{path} is the file to be repaired; choose another output name")
    lines = (",".join(map(_quoted, row)) + "\n" for row in (table.columns, *table.rows))
    try:
        write_whole(path, "".join(lines), mode=stat.S_IMODE(table.path.stat().st_mode))
    except OSError as error:
        raise TableError(f"{path} cannot be written: {reason(error)}") from error


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if re.search(r'[",\r\n]', field) else field
