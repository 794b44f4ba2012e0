"""Text files row by row, from any row whose place is known."""

from collections import deque
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Protocol

from panollava_hf._errors import TableError, reason
from panollava_hf.data._columns import find_column
from panollava_hf.data._csv import CsvTable
from panollava_hf.data._json_rows import is_whole, objects_in, read_json
from panollava_hf.data._lines import MAX_LINE, encoding_of, undecodable
from panollava_hf.jobs.sources._cells import IMAGE_COLUMNS

#: A row: its line, and its cells or what is wrong with it.
TextRow = tuple[int, Mapping[str, str | None] | str]
#: Where a row begins: the position in the file, and the number of lines before it.
Place = tuple[int, int]
#: Longest line of a JSON file in characters.
_MAX_JSON_LINE = 2**31


class Cursor(Protocol):
    """The rows of a file from a place on."""

    def __iter__(self) -> Iterator[TextRow]: ...

    def place(self) -> Place | None:
        """Where the next row begins; None if that is not known."""
        ...


class Lines:
    """The lines of a file, as `data` reads them, from any of them.

    Args:
        path: The file.
        longest: Largest number of characters in a line.

    Raises:
        TableError: The file cannot be read or decoded, or has a longer line; also raised while lines are read.
    """

    def __init__(self, path: Path, longest: int = MAX_LINE) -> None:
        self._path, self._longest = path, longest
        self.number = 0
        try:
            with path.open("rb") as stream:
                self._encoding = encoding_of(stream.read(4))
            self._stream: TextIOWrapper = path.open(encoding=self._encoding, newline="")
        except OSError as error:
            raise TableError(f"{path} cannot be read: {reason(error)}") from error

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        try:
            line = self._stream.readline(self._longest)
        except UnicodeError as error:
            raise undecodable(self._path, self._encoding, error) from error
        except OSError as error:
            raise TableError(f"{self._path} cannot be read: {reason(error)}") from error
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) >= self._longest and not line.endswith(("\n", "\r")):
            raise TableError(f"{self._path}, line {self.number} has more than {self._longest:,} characters")
        return line

    def tell(self) -> int:
        """The position of the next line."""
        return self._stream.tell()

    def jump(self, place: Place) -> None:
        """Continue at a place."""
        position, self.number = place
        self._stream.seek(position)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self._stream.close()


class CsvCursor:
    """The rows of a CSV file.

    Args:
        path: The file.
        given: Columns that the user named.
        place: Where to begin; None for the first row.

    Attributes:
        names: Its columns.
    """

    def __init__(self, path: Path, given: Mapping[str, str], place: Place | None = None) -> None:
        roles = {role: name for role, name in given.items() if role in ("image", "question", "answer")}
        candidates = [roles] if "image" in roles else [{**roles, "image": name} for name in IMAGE_COLUMNS]
        for wanted in candidates:  # the delimiter is the one with which the header names its columns
            self._lines = Lines(path)
            self._table = CsvTable(path, wanted, self._lines)
            if find_column(self._table.names, wanted["image"]) is not None:
                break
            self._lines.close()
        else:
            self._lines = Lines(path)
            self._table = CsvTable(path, roles, self._lines)
        self.names = self._table.names
        if place is not None:
            self._lines.jump(place)
            self._table.jump(self._lines, place[1])

    def __iter__(self) -> Iterator[TextRow]:
        for record in self._table:
            if record.fields is None:
                yield record.line, record.reason
            else:  # of several columns with the same name, the first counts
                yield record.line, dict(zip(reversed(self.names), reversed(record.fields), strict=True))

    def place(self) -> Place | None:
        """Where the next row begins."""
        line = self._table.line
        return None if line is None else (self._lines.tell(), line)


class JsonCursor:
    """The rows of a file with objects in JSON: one per line, or in any other way that `read_json` reads.

    Args:
        path: The file.
        place: Where to begin; None for the first row.
    """

    def __init__(self, path: Path, place: Place | None = None) -> None:
        self._path = path
        self._lines = Lines(path, _MAX_JSON_LINE)
        self._waiting: deque[TextRow] = deque()
        self._by_line = True
        if place is not None:
            self._lines.jump(place)
            return
        first = next((line for line in self._lines if line.strip()), "")
        self._by_line = not first or is_whole(first.removeprefix("\ufeff"))
        self._waiting.extend(self._rows_in(first) if self._by_line else ())

    def _rows_in(self, line: str) -> Iterator[TextRow]:
        return objects_in(line.removeprefix("\ufeff"), self._lines.number)

    def __iter__(self) -> Iterator[TextRow]:
        if not self._by_line:
            self._lines.close()
            yield from read_json(self._path)
            return
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            line = next(self._lines, None)
            if line is None:
                return
            self._waiting.extend(self._rows_in(line))

    def place(self) -> Place | None:
        """Where the next row begins."""
        return (self._lines.tell(), self._lines.number) if self._by_line and not self._waiting else None


class ListCursor:
    """The lines of a list of paths and URLs; blank lines are not rows.

    Args:
        path: The file.
        place: Where to begin; None for the first row.
    """

    def __init__(self, path: Path, place: Place | None = None) -> None:
        self._lines = Lines(path, 2**16)
        if place is not None:
            self._lines.jump(place)

    def __iter__(self) -> Iterator[TextRow]:
        for line in self._lines:
            if text := line.strip().removeprefix("\ufeff"):
                yield self._lines.number, {"image": text}

    def place(self) -> Place | None:
        """Where the next row begins."""
        return self._lines.tell(), self._lines.number


def open_cursor(kind: str, path: Path, given: Mapping[str, str], place: Place | None = None) -> Any:
    """The rows of a file of a kind: "csv", "json" or "list"."""
    if kind == "csv":
        return CsvCursor(path, given, place)
    return JsonCursor(path, place) if kind == "json" else ListCursor(path, place)
