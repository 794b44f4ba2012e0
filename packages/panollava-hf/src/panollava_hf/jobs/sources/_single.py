"""One image or URL."""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from panollava_geometry.addresses import is_address, source_name

from panollava_hf.jobs.sources._names import shown_name, text_of


class SingleSource:
    """A source of one row.

    Args:
        source: A path or URL. The id is the file's name; of a URL, what messages show of it.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, source: str) -> None:
        if is_address(source):
            self.name = self._id = source_name(source)
            self._image = source
        else:
            self.name, self._id = shown_name(source), text_of(os.path.basename(source))
            self._image = os.path.abspath(source)

    def __len__(self) -> int:
        return 1

    def fingerprint(self) -> str:
        """A hash of the id."""
        return hashlib.sha256(self._id.encode() + b"\n").hexdigest()

    def ids(self, start: int, stop: int) -> list[str]:
        """The ids of some rows."""
        return [self._id][start:stop]

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        """Some rows: `id`, `path` and `image`."""
        row: Mapping[str, Any] = {"id": self._id, "path": text_of(self._image), "image": self._image}
        return [row][start:stop]
