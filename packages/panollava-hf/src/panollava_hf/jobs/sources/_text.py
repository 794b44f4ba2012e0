"""Tables and lists that are text files: CSV, TSV, JSON, JSONL, and lists of paths.

One pass through the file counts its rows, checks their ids and remembers where some of them begin. After that, rows are
read from the file when they are needed; the file is never in memory.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from panollava_hf._errors import TableError
from panollava_hf._shown import listed
from panollava_hf.data._columns import find_column
from panollava_hf.data._row_checks import ImageFolder
from panollava_hf.jobs.sources._cells import Columns, broken_row, choose_columns, id_of, row_of
from panollava_hf.jobs.sources._cursors import CsvCursor, Place, TextRow, open_cursor
from panollava_hf.jobs.sources._names import shown_name
from panollava_hf.jobs.sources._unique import Ids
from panollava_hf.jobs.sources._walk import Walked

#: Rows between two known places at first, and most places; then every second place is dropped.
_EVERY, _PLACES = 512, 2048
#: Most columns of a JSON file, and most broken rows that a note names.
_MAX_COLUMNS, _LISTED = 1000, 3


class TextSource(Walked):
    """The rows of a text file.

    Args:
        path: The file.
        kind: "csv", "json" or "list".
        given: Columns that the user named, by what they hold.
        limit: Largest number of rows.

    Raises:
        TableError: The file cannot be read, has no rows, no column with images, or two rows with the same id.
    """

    def __init__(self, path: Path, kind: str, given: Mapping[str, str], limit: int | None = None) -> None:
        super().__init__()
        self.name = shown_name(str(path))
        self._path, self._kind, self._given = Path(path).absolute(), kind, dict(given)
        self._size = self._path.stat().st_size
        self._places: list[tuple[int, Place]] = []
        self._every = _EVERY
        ids, broken, broken_count = Ids(), list[str](), 0
        cursor = open_cursor(kind, self._path, self._given)
        names: dict[str, None] = dict.fromkeys(cursor.names if isinstance(cursor, CsvCursor) else ())
        id_keys: dict[str, bool] = {}
        self._id_name = self._given.get("id", "id")
        number = 0
        for line, cells in islice(cursor, limit):
            number += 1
            if isinstance(cells, str):
                broken_count += 1
                if len(broken) < _LISTED:
                    broken.append(f"line {line}: {cells}")
            elif not cells.keys() <= names.keys():
                names.update(dict.fromkeys(cells))
                if len(names) > _MAX_COLUMNS:
                    raise TableError(f"{self.name}, line {line}: more than {_MAX_COLUMNS} different keys")
            ids.add(id_of(number, self._id_cell(cells, id_keys), cells))
            if number % self._every == 0 and (place := cursor.place()) is not None:
                self._remember(number, place)
        if not number:
            raise TableError(f"{self.name} has no rows")
        if broken_count == number:
            raise TableError(f"{self.name}: none of its {number} rows can be read: {listed(broken, _LISTED, '; ')}")
        self._count, self._fingerprint = number, ids.fingerprint()
        self.columns: Columns = choose_columns(list(names), self._given, self.name)
        self.notes: tuple[str, ...] = ()
        if broken_count:
            repair = f"; `panollava data check {self.name} --fix REPAIRED.csv` can repair some" * (kind == "csv")
            rows = "1 row cannot" if broken_count == 1 else f"{broken_count} rows cannot"
            self.notes = (
                f"{rows} be read, and will be errors: {listed(broken, _LISTED, '; ', total=broken_count)}{repair}",
            )
        ids.check(self.name, self._ids_with_places)

    def _id_cell(self, cells: Mapping[str, str | None] | str, known: dict[str, bool]) -> str | None:
        """The cell of the id."""
        if isinstance(cells, str):
            return None
        for name, cell in cells.items():
            if name not in known:
                known[name] = find_column([name], self._id_name) is not None
            if known[name]:
                return cell
        return None

    def _remember(self, row: int, place: Place) -> None:
        self._places.append((row, place))
        if len(self._places) >= _PLACES:
            self._every *= 2
            self._places = self._places[1::2]

    def _walk(self, start: int, part: str) -> Iterator[tuple[int, TextRow]]:
        if self._path.stat().st_size != self._size:
            raise TableError(f"{self.name} was changed while the job ran; start the job again")
        row, place = next((known for known in reversed(self._places) if known[0] <= start), (0, None))
        cursor = open_cursor(self._kind, self._path, self._given, place)
        return islice(enumerate(cursor, row), start - row, None)

    def _ids_with_places(self) -> Iterator[tuple[str, str]]:
        known: dict[str, bool] = {}
        for row, (line, cells) in islice(self._walk(0, "ids"), self._count):
            yield id_of(row + 1, self._id_cell(cells, known), cells), f"line {line}"

    def __len__(self) -> int:
        return self._count

    def fingerprint(self) -> str:
        """A hash of the ids in order."""
        return self._fingerprint

    def ids(self, start: int, stop: int) -> list[str]:
        """The ids of some rows."""
        known: dict[str, bool] = {}
        stretch = self._stretch(start, min(stop, len(self)), "ids")
        return [id_of(row + 1, self._id_cell(cells, known), cells) for row, (_, cells) in stretch]

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        """Some rows: `id`, `path`, `image` and the other columns; `error` in a row that cannot be read."""
        images, known = ImageFolder(self._path.parent), dict[str, bool]()
        found: list[Mapping[str, Any]] = []
        for row, (line, cells) in self._stretch(start, min(stop, len(self))):
            identity = id_of(row + 1, self._id_cell(cells, known), cells)
            if isinstance(cells, str):
                found.append(broken_row(identity, f"line {line}: {cells}", self.columns))
            else:
                found.append(row_of(identity, f"line {line}", cells, self.columns, images))
        return found
