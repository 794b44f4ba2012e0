"""Reading rows in any order from files that are read from front to back."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
from typing import Any


class Walked(ABC):
    """Gives stretches of rows; the next stretch continues where the last one ended, without searching again."""

    def __init__(self) -> None:
        self._live: dict[str, tuple[int, int, Iterator[Any]]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_live", "_lock", "_images")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._live, self._lock = {}, threading.Lock()

    @abstractmethod
    def _walk(self, start: int, part: str) -> Iterator[Any]:
        """The rows from one on.

        Args:
            start: The row.
            part: Which cells are needed: "all", or "ids".
        """

    def _stretch(self, start: int, stop: int, part: str = "all") -> list[Any]:
        """The rows from `start` to `stop` (exclusive)."""
        if stop <= start:
            return []
        process = os.getpid()
        with self._lock:
            owner, place, rows = self._live.pop(part, (0, 0, iter(())))
        if owner != process or place != start:  # a forked process shares the position in an open file
            rows = self._walk(start, part)
        found = list(islice(rows, stop - start))
        with self._lock:
            self._live[part] = (process, start + len(found), rows)
        return found
