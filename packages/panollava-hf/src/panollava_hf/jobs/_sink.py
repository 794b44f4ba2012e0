"""The two formats of results. A file of either appears whole, and its rows can be read one by one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

Columns = Mapping[str, Sequence[Any]]


class Found(NamedTuple):
    """A row in a file of results.

    Attributes:
        id: Its id.
        path: The path of its image.
        error: Why it failed; None if it did not.
        unknown: What the model does not know, if it did not fail and yet has no answer; else None.
        place: Where it is in the file: two numbers that `Sink.take` understands.
    """

    id: str
    path: str | None
    error: str | None
    unknown: str | None
    place: tuple[int, int]


class Sink(Protocol):
    """A format of files of results; it pickles."""

    #: The suffix of its files.
    suffix: str

    def write(self, path: Path, columns: Columns, schema: Callable[[], Any]) -> None:
        """Write the rows of a part, whole or not at all."""
        ...

    def find(self, path: Path, answer: str | None = None) -> Iterator[Found]:
        """The rows of a file in order, without their results.

        Args:
            path: The file.
            answer: The column that is empty if the model does not know the answer; `note` says why then.
        """
        ...

    def take(self, path: Path, places: Sequence[tuple[int, int]]) -> Iterator[Mapping[str, Any]]:
        """Whole rows of a file, in the order of their places."""
        ...

    def schema(self, path: Path) -> Any:
        """The schema of a file; None if this format has none."""
        ...

    def merge(self, parts: Iterable[Path], target: Path, schema: Callable[[], Any]) -> None:
        """Write the rows of many files into one, part by part."""
        ...


def clean(value: Any) -> Any:
    """A text that UTF-8 can hold: names of files that are not UTF-8 get escapes. Other values are unchanged."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value
