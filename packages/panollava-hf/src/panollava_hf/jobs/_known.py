"""Rows of earlier runs, found by their id. The index is a file, so that memory does not grow with the rows."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panollava_hf.jobs._sink import Sink, clean


@dataclass(frozen=True)
class Known:
    """Rows without an error in files of earlier runs; it pickles.

    Attributes:
        index: The SQLite file.
        sink: The format of the files.
    """

    index: Path
    sink: Sink

    def schema(self) -> Any:
        """The schema of the files; None if their format has none, or there are none."""
        with closing(self._database()) as database:
            row = database.execute("SELECT path FROM files WHERE readable ORDER BY number LIMIT 1").fetchone()
        return None if row is None else self.sink.schema(Path(row[0]))

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.index.absolute().as_uri()}?immutable=1", uri=True)

    def find(self, ids: Sequence[str]) -> dict[int, Mapping[str, Any]]:
        """The known rows among some ids.

        Returns:
            Whole rows by their position in `ids`.
        """
        with closing(self._database()) as database:
            places = []
            for position, name in enumerate(ids):
                query = "SELECT file, first, second FROM known WHERE id = ?"
                place = database.execute(query, (clean(name),)).fetchone()
                if place is not None:
                    places.append((*place, position))
            files = dict(database.execute("SELECT number, path FROM files").fetchall()) if places else {}
        places.sort()
        found: dict[int, Mapping[str, Any]] = {}
        for number in sorted({place[0] for place in places}):
            here = [place for place in places if place[0] == number]
            rows = self.sink.take(Path(files[number]), [(first, second) for _, first, second, _ in here])
            for (*_, position), row in zip(here, rows, strict=True):
                found[position] = row
        return found


def index_rows(index: Path, files: Iterable[Path], sink: Sink, damaged: tuple[type[Exception], ...]) -> Known:
    """Make the index of some files; where an id occurs twice, the later file counts.

    Args:
        index: The SQLite file; an existing one is replaced.
        files: Files of results.
        sink: Their format.
        damaged: Exceptions of a damaged file, whose rows are left out.
    """
    index.unlink(missing_ok=True)
    with closing(sqlite3.connect(index)) as database, database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("CREATE TABLE files (number INTEGER PRIMARY KEY, path TEXT, readable INTEGER)")
        database.execute("CREATE TABLE known (id TEXT PRIMARY KEY, file INTEGER, first INTEGER, second INTEGER)")
        for number, path in enumerate(files):
            database.execute("INSERT INTO files VALUES (?, ?, 1)", (number, str(path.absolute())))
            try:
                for row in sink.find(path):
                    if row.error is None:
                        values = (row.id, number, *row.place)
                        database.execute("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)", values)
            except damaged:
                database.execute("UPDATE files SET readable = 0 WHERE number = ?", (number,))
                database.execute("DELETE FROM known WHERE file = ?", (number,))
    return Known(index, sink)
