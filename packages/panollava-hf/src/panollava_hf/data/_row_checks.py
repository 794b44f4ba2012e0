"""Checks of the rows of a table before they are used: blank cells, repeated headers, and where images are."""

import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from panollava_geometry.addresses import is_address, source_name

from panollava_hf._errors import TableError, boundary
from panollava_hf._shown import listed, shortened, shown
from panollava_hf.data._columns import COLUMNS, is_header
from panollava_hf.data._rows import Nested, Rows

#: Most rows whose faults are kept, and most that a message lists.
_KEPT, _LISTED = 1000, 10
REPEATED_HEADER = "the header is repeated: two tables were put together"


@dataclass
class Unusable:
    """Rows that cannot be used.

    Attributes:
        count: Their number.
        reasons: The first of them: line and reason.
        first: File and row of the first one; empty if it is not needed.
    """

    count: int = 0
    reasons: list[str] = field(default_factory=list)
    first: str = ""

    def add(self, reason: str) -> None:
        """Count a row."""
        self.count += 1
        if len(self.reasons) < _KEPT:
            self.reasons.append(reason)

    def listed(self) -> str:
        """The first ten, for a message."""
        return listed(self.reasons, _LISTED, "; ", total=self.count)


def unusable_rows(rows: Rows, columns: Mapping[str, str], count: int) -> Iterator[tuple[int, str]]:
    """The rows that cannot be used, with the reason.

    Args:
        rows: The rows.
        columns: The columns of image, question and answer.
        count: How many rows to check, from the first.
    """
    cells = zip(*(rows.cells(columns[role]) for role in COLUMNS), strict=True)
    for row, (image, question, answer) in enumerate(islice(cells, count)):
        reason = fault_of_row(image, question, answer, columns)
        if reason is not None:
            yield row, reason


def fault_of_row(image: Any, question: Any, answer: Any, columns: Mapping[str, str]) -> str | None:
    """Why a row cannot be used; None if it can.

    Args:
        image: Its image: a text, or the bytes of a file.
        question: Its question.
        answer: Its answer.
        columns: The names of their columns.
    """
    for role, cell in zip(COLUMNS, (image, question, answer), strict=True):
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            return f"the {role} is blank"
        if isinstance(cell, Nested) or not isinstance(cell, (str, bytes) if role == "image" else str):
            return f"the {role} is not a text: {shortened(str(cell), 60)}"
    if isinstance(image, str):
        if "\0" in image:
            return "the name of the image contains a NUL character"
        if is_header(image, question, answer, columns):
            return REPEATED_HEADER
    return None


class ImageFolder:
    """Finds the images that a table names.

    Args:
        folder: The table's folder; None for a dataset on the Hub, which cannot name files of this machine.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._listings: dict[Path, dict[str, str]] = {}
        self._latest: tuple[str, Path] | None = None  # a name and its file: the rows of a panorama follow each other

    def locate(self, name: str) -> str | Path:
        """The image with this name: a URL, or a path.

        A file that is not there under its exact name is looked for in the spellings that tables and file systems mix:
        blanks around the name, backslashes, composed and decomposed letters, upper and lower case.

        Raises:
            TableError: The path leads out of the table's folder, or the table cannot name files.
        """
        text = name.strip()
        if is_address(text):
            return text
        if self.folder is None:
            raise TableError(f"a dataset on the Hub must not name files of this machine, got {shown(name)}")
        latest = self._latest
        if latest is not None and latest[0] == name and os.path.lexists(latest[1]):
            return latest[1]
        with boundary(TableError, f"the path {shown(name)} cannot be used", "correct it"):
            path = self._spelled(name)
            if not Path(text).is_absolute() and not path.resolve().is_relative_to(self.folder.resolve()):
                raise TableError(f"the path {shown(name)} leads out of the table's folder {self.folder}")
        self._latest = (name, path)
        return path

    def fault(self, name: str) -> str | None:
        """Why an image cannot be there; None for a URL and for a file that exists."""
        try:
            path = self.locate(name)
        except TableError as error:
            return str(error)
        if isinstance(path, str):
            scheme = path.lstrip("<\"' ").partition(":")[0].lower()
            return None if scheme in ("http", "https") else f"{source_name(path)}: not an http or https URL"
        return None if os.path.isfile(path) else f"no such image: {path}"

    def _spelled(self, name: str) -> Path:
        assert self.folder is not None
        text = name.strip()
        for spelling in (name, text):
            if os.path.lexists(self.folder / spelling):
                return self.folder / spelling
        for slashes in (text, text.replace("\\", "/")):
            for form in ("NFC", "NFD"):
                spelling = unicodedata.normalize(form, slashes)
                if os.path.lexists(self.folder / spelling):
                    return self.folder / spelling
            path = self.folder / slashes
            found = self._names_in(path.parent).get(_compared(path.name))
            if found is not None:
                return path.with_name(found)
        return self.folder / text

    def _names_in(self, folder: Path) -> dict[str, str]:
        """The files of a folder by their compared names, without those that several files share."""
        if folder not in self._listings:
            found: dict[str, str] = {}
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                found[_compared(name)] = "" if _compared(name) in found else name
            self._listings[folder] = {compared: name for compared, name in found.items() if name}
        return self._listings[folder]


def _compared(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
