"""CSV files, row by row, with the fields exactly as written (RFC 4180).

`csv` and pandas guess: a row with another number of fields moves its columns, "None" and "007" lose their text, and a
quote that is never closed takes the following rows into its text. Here such rows are broken, and named with their line.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from panollava_hf._errors import TableError
from panollava_hf.data._columns import COLUMNS, LAYOUTS, find_column, normalised, plain_name
from panollava_hf.data._lines import read_lines
from panollava_hf.data._repair import is_reference

#: What can stand between fields, the most usual first.
DELIMITERS = (",", ";", "\t", "|")
#: Longest field of several lines in characters; a longer one is a quote that is never closed.
MAX_FIELD = 2**20
_UNDOUBLED = "broken quotes: a quote inside a text is not doubled, or its text is not quoted"
_UNBALANCED = "broken quotes: a quote is opened and never closed, or closed and never opened"


@dataclass(frozen=True, slots=True)
class Record:
    """One row.

    Attributes:
        line: Its first line, from 1.
        fields: Its fields, one for each column; None for a broken row.
        text: A broken row as written.
        reason: What is wrong with a broken row.
    """

    line: int
    fields: list[str] | None
    text: str = ""
    reason: str = ""


class CsvTable:
    """The header and the rows of a CSV file; the rows can be read once.

    The delimiter is the one of `DELIMITERS` with which the header names image, question and answer. A line `sep=;` of
    Excel before it is skipped, and lines of blanks are not rows. In the two layouts of the original code, whose texts
    were often written without quotes, a quote inside an unquoted text makes the row broken; with other headers it is
    part of the text.

    Args:
        path: The file.
        given: Columns that the user named, by role.
        lines: The lines of the file, if they are read elsewhere.

    Attributes:
        names: The columns, from left to right.
        delimiter: What stands between fields.
        is_layout: Whether the header is one of `LAYOUTS`.
        has_references: Whether the first row's image is a URL or the path of an image file.

    Raises:
        TableError: The file cannot be read, or is empty. Also raised while rows are read.
    """

    def __init__(self, path: Path, given: Mapping[str, str] | None = None, lines: Iterator[str] | None = None) -> None:
        self._lines = read_lines(path) if lines is None else lines
        self._waiting: deque[str] = deque()
        self._number = 0
        self.is_layout = self.has_references = False
        header = self._next_filled()
        delimiters: tuple[str, ...] = DELIMITERS
        if header is not None and len(header.strip()) == 5 and header.lower().startswith("sep="):
            delimiters, header = (header[4],), self._next_filled()
        if header is None:
            layouts = " or ".join(",".join(layout) for layout in LAYOUTS)
            raise TableError(f"{path} is empty; expected the columns {layouts}, or image,question,answer")
        self._read_header(header, delimiters, given or {})
        self.is_layout = self.delimiter == "," and tuple(map(normalised, self.names)) in LAYOUTS
        self._image = _index_of("image", self.names, given or {})
        first = self._next_filled()
        if first is not None:
            fields, taken = self._parse(first, True)
            self._put_back([first, *taken])
            if fields is None or len(fields) != len(self.names):
                fields = first.split(self.delimiter)
            self.has_references = (
                self._image is not None and self._image < len(fields) and is_reference(fields[self._image])
            )

    @property
    def line(self) -> int | None:
        """How many lines the rows so far have taken; None while a line after them was already read."""
        return None if self._waiting else self._number

    def jump(self, lines: Iterator[str], line: int) -> None:
        """Continue at another row.

        Args:
            lines: The lines from that row on.
            line: How many lines are before them.
        """
        self._lines, self._number = lines, line
        self._waiting.clear()

    def __iter__(self) -> Iterator[Record]:
        while (line := self._next_filled()) is not None:
            number = self._number
            fields, taken = self._parse(line, not self.is_layout)
            if fields is not None and len(fields) == len(self.names):
                yield Record(number, fields)
                continue
            if fields is not None:
                reason = f"{len(fields)} fields where {len(self.names)} are expected"
                if len(fields) > len(self.names) and self.delimiter == ",":
                    reason = f"unquoted comma: {reason}"
            if fields is None or self.is_layout:  # the row ends before the next one that can be recognised
                self._put_back(taken)
                taken = self._rest_of_broken_row()
            text = "".join([line, *taken]).rstrip("\r\n")
            if fields is None:
                reason = _UNBALANCED if text.count('"') % 2 else _UNDOUBLED
            yield Record(number, None, text, reason)

    def _next(self) -> str | None:
        line = self._waiting.popleft() if self._waiting else next(self._lines, None)
        self._number += line is not None
        return line

    def _next_filled(self) -> str | None:
        """The next line that does not consist of blanks."""
        while (line := self._next()) is not None and not line.strip():
            pass
        return line

    def _put_back(self, lines: list[str]) -> None:
        self._waiting.extendleft(reversed(lines))
        self._number -= len(lines)

    def _read_header(self, line: str, delimiters: tuple[str, ...], given: Mapping[str, str]) -> None:
        """Set delimiter and names: the first delimiter with which most roles have a column."""
        self.names: list[str] = []
        most = -1
        for delimiter in delimiters:
            names, taken = self._names_in(line, delimiter)
            self._put_back(taken)
            found = sum(_index_of(role, names, given) is not None for role in COLUMNS)
            if found > most:
                best, most = delimiter, found
        self.names, _ = self._names_in(line, best)
        self.delimiter = best

    def _names_in(self, line: str, delimiter: str) -> tuple[list[str], list[str]]:
        """The columns of a header, and the further lines that it takes."""
        self.delimiter = delimiter
        fields, taken = self._parse(line, True)
        if fields is None:
            self._put_back(taken)
            fields, taken = line.split(delimiter), []
        return [plain_name(field) or f"column {index}" for index, field in enumerate(fields, 1)], taken

    def _begins_row(self, line: str) -> bool:
        """Whether a line begins a row, although a quote before it is still open."""
        if self.is_layout:
            first, comma, _ = line.partition(",")
            if comma and is_reference(first):
                return True
            if self.has_references:
                return False
        elif not self.has_references:
            return False
        fields = _fields_of_line(line, self.delimiter, not self.is_layout)
        if fields is None or len(fields) != len(self.names):
            return False
        return self.is_layout or (self._image is not None and is_reference(fields[self._image]))

    def _rest_of_broken_row(self) -> list[str]:
        """Take the lines up to an empty one or the next one that begins a row."""
        taken: list[str] = []
        while self.is_layout or self.has_references:
            line = self._next()
            if line is None:
                break
            if not line.strip() or self._begins_row(line):
                self._put_back([line])
                break
            taken.append(line)
        return taken

    def _parse(self, line: str, bare_quotes: bool) -> tuple[list[str] | None, list[str]]:
        """Divide a row into fields.

        Args:
            line: Its first line.
            bare_quotes: Whether an unquoted field can contain quotes.

        Returns:
            The fields, or None where quotes are broken, and the further lines that were read for it.
        """
        if '"' not in line:
            return line.rstrip("\r\n").split(self.delimiter), []
        taken: list[str] = []
        row = _Row(self.delimiter, bare_quotes)
        row.feed(line)
        while row.is_open:
            following = self._next()
            if following is None:
                return None, taken
            # The open field is one too many: no need to look for its end.
            too_many = bool(self.names) and len(row.fields) >= len(self.names)
            if too_many or row.open_length > MAX_FIELD or self._begins_row(following):
                self._put_back([following])
                return None, taken
            taken.append(following)
            row.feed(following)
        return (None if row.is_broken else row.fields), taken


class _Row:
    """Divides a row into fields, one line after the other.

    Attributes:
        fields: The finished fields.
        is_open: Whether a quoted field continues in the next line.
        open_length: Length of that field so far.
        is_broken: Whether a quote is where none can be.
    """

    def __init__(self, delimiter: str, bare_quotes: bool) -> None:
        self.delimiter, self.bare_quotes = delimiter, bare_quotes
        self.fields: list[str] = []
        self.is_open, self.is_broken, self.open_length = False, False, 0
        self._parts: list[str] = []

    def feed(self, line: str) -> None:
        """Take a line, of which every character is looked at a constant number of times."""
        content = line.rstrip("\r\n")
        place, length = 0, len(content)
        while True:
            if not self.is_open and content.startswith('"', place):
                self.is_open, self.open_length, self._parts = True, 0, []
                place += 1
            if not self.is_open:
                end = content.find(self.delimiter, place)
                field = content[place:] if end < 0 else content[place:end]
                if '"' in field and not self.bare_quotes:
                    self.is_broken = True
                    return
                self.fields.append(field)
                if end < 0:
                    return
                place = end + 1
                continue
            quote = content.find('"', place)
            if quote < 0:
                self._parts.append(line[place:])
                self.open_length += len(line) - place
                return
            if content.startswith('""', quote):
                self._parts.append(content[place : quote + 1])
                self.open_length += quote + 1 - place
                place = quote + 2
                continue
            self._parts.append(content[place:quote])
            self.is_open = False
            self.fields.append("".join(self._parts))
            end = content.find(self.delimiter, quote + 1)
            after = content[quote + 1 :] if end < 0 else content[quote + 1 : end]
            if after.strip():
                self.is_broken = True
                return
            if end < 0:
                return
            place = end + 1
            if place > length:
                return


def _fields_of_line(line: str, delimiter: str, bare_quotes: bool) -> list[str] | None:
    """The fields of a row that is complete in one line, or None."""
    row = _Row(delimiter, bare_quotes)
    row.feed(line)
    return None if row.is_open or row.is_broken else row.fields


def _index_of(role: str, names: list[str], given: Mapping[str, str]) -> int | None:
    """The first column that can hold a role."""
    for wanted in (given[role],) if role in given else COLUMNS[role]:
        try:
            found = find_column(names, wanted)
        except TableError:  # reported where columns are chosen
            return None
        if found is not None:
            return names.index(found)
    return None
