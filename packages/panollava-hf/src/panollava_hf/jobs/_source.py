"""Where the rows of a job come from."""

from collections.abc import Mapping
from typing import Any, Protocol


class Source(Protocol):
    """Rows that can be read in any order and any process; it pickles without them.

    A row has `id` (unique in the source), `path` (as results show it, or None), `image` (a path, a URL or bytes) and,
    in a table, its other columns.
    """

    @property
    def name(self) -> str:
        """The source as messages name it."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the user, such as the files that were left out."""
        ...

    def __len__(self) -> int: ...

    def fingerprint(self) -> str:
        """A hash of its ids in order."""
        ...

    def ids(self, start: int, stop: int) -> list[str]:
        """The ids of some rows."""
        ...

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        """Some rows, with the bytes of images that are stored in the source."""
        ...
