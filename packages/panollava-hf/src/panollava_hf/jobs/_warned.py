"""Warnings about images of a job: counted by kind, because thousands of images often have the same one."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from panollava_hf.jobs._kinds import Kinds, add_kinds, kind_of

#: The image that a thread reads: its names, and the kinds of warnings about it so far.
_reading = threading.local()


@contextmanager
def reading(path: str | None, id: str) -> Iterator[None]:
    """A block in which this thread reads an image; warnings in it are about this image."""
    _reading.names, _reading.kinds = (path, id), set()
    try:
        yield
    finally:
        del _reading.names, _reading.kinds


class Collected:
    """The warnings about images since they were last taken, from all threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: Kinds = {}

    def add(self, text: str) -> bool:
        """Count a warning, once per image and kind; False if this thread does not read an image of a job."""
        names = getattr(_reading, "names", None)
        if names is None:
            return False
        common, kind = kind_of(text, *names)
        if common not in _reading.kinds:
            _reading.kinds.add(common)
            with self._lock:
                add_kinds(self._found, [(common, kind)])
        return True

    def take(self) -> Kinds:
        """The warnings so far; the count begins again."""
        with self._lock:
            found, self._found = self._found, {}
        return found


@contextmanager
def collected() -> Iterator[Collected]:
    """Count each `PanoramaWarning` about an image of a job while a block runs; other warnings are shown as before."""
    from panollava_geometry import PanoramaWarning

    found = Collected()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=PanoramaWarning)
        show = warnings.showwarning

        def count(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not (issubclass(category, PanoramaWarning) and found.add(str(message))):
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = count
        yield found
