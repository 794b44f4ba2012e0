"""The rows of a table in memory, compactly: the texts of a column are one block of UTF-8."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

#: Stored for a cell without a value, and before the JSON text of an object or list. Neither byte occurs in UTF-8.
_MISSING, _NESTED = b"\xff", b"\xfe"


class Nested(str):
    """The JSON text of an object or list in a cell."""

    __slots__ = ()


class Rows(Protocol):
    """The rows of a table. A cell is a text, None, a `Nested` text, or an embedded image."""

    @property
    def column_names(self) -> list[str]:
        """Names of the columns as written in the table."""
        ...

    def __len__(self) -> int: ...

    def cell(self, row: int, column: str) -> Any:
        """One cell."""
        ...

    def cells(self, column: str) -> Iterator[Any]:
        """All cells of a column; an embedded image is given as its kind."""
        ...

    def place(self, row: int) -> str:
        """Where a row is in its file: "line 4" or "row 3"."""
        ...


class TextColumn:
    """Texts of one column.

    Example:
        >>> column = TextColumn()
        >>> for cell in ("007", None, Nested("[1]")):
        ...     column.append(cell)
        >>> column[0], column[1], column[2]
        ('007', None, '[1]')
    """

    def __init__(self) -> None:
        self._texts = bytearray()
        self._ends = array("Q")

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, cell: str | None) -> None:
        """Add a cell."""
        if cell is None:
            self._texts += _MISSING
        else:
            self._texts += _NESTED + cell.encode() if isinstance(cell, Nested) else cell.encode()
        self._ends.append(len(self._texts))

    def __getitem__(self, row: int) -> str | None:
        text = bytes(self._texts[self._ends[row - 1] if row else 0 : self._ends[row]])
        if text[:1] == _MISSING:
            return None
        return Nested(text[1:].decode()) if text[:1] == _NESTED else text.decode()


class TextRows:
    """Rows of texts, filled once and then only read. One million rows of 100 bytes take about 130 MB.

    Args:
        names: The columns, in order.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._columns: dict[str, TextColumn] = {name: TextColumn() for name in names}
        self._lines = array("Q")

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    def __len__(self) -> int:
        return len(self._lines)

    def append(self, line: int, cells: Sequence[str]) -> None:
        """Add a row with a cell for every column.

        Args:
            line: Its first line in the file, from 1.
            cells: Its cells, in the order of the columns.
        """
        for column, cell in zip(self._columns.values(), cells, strict=True):
            column.append(cell)
        self._lines.append(line)

    def append_named(self, line: int, cells: Mapping[str, str | None]) -> None:
        """Add a row with cells for some columns; the others have no value. New columns are created."""
        for name, cell in cells.items():
            column = self._columns.setdefault(name, TextColumn())
            self._fill(column)
            column.append(cell)
        self._lines.append(line)

    def _fill(self, column: TextColumn) -> None:
        while len(column) < len(self):
            column.append(None)

    def finish(self) -> None:
        """Give every column a cell in every row."""
        for column in self._columns.values():
            self._fill(column)

    def cell(self, row: int, column: str) -> str | None:
        """One cell."""
        return self._columns[column][row]

    def cells(self, column: str) -> Iterator[str | None]:
        """All cells of a column."""
        return map(self._columns[column].__getitem__, range(len(self)))

    def place(self, row: int) -> str:
        """The line where a row begins."""
        return f"line {self._lines[row]}"
