"""Images that several rows have in common: read once while any of the rows is in work."""

import os
import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from panollava_hf._errors import PanoLLaVaError

if TYPE_CHECKING:
    from panollava_hf.asking._panorama import Panorama


class SharedImage:
    """The image of one or several rows.

    Args:
        source: The image as the rows have it. It is kept: its identity would go to another image.

    Attributes:
        memo: Descriptions of its views that the questions about it share.
        described: Whether all of these are there.
        asking: Held while they are made.
    """

    def __init__(self, source: Any) -> None:
        self.source, self.memo, self.asking = source, dict[Hashable, Any](), threading.Lock()
        self.described, self._reading = False, threading.Lock()
        self._found: Panorama | Exception | None = None

    def read(self, reader: "Callable[[], Panorama]") -> "Panorama | Exception":
        """The panorama, read by the first thread that asks for it, or the error."""
        from panollava_geometry import PanoramaError

        with self._reading:
            if self._found is None:
                try:
                    self._found = reader()
                except (PanoramaError, PanoLLaVaError, OSError, ValueError) as error:
                    self._found = error.with_traceback(None)
            return self._found


class SharedImages:
    """The images of the rows in work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: WeakValueDictionary[Hashable, SharedImage] = WeakValueDictionary()

    def find(self, source: Any) -> SharedImage:
        """The image of a row: the same for equal paths, URLs and bytes; other objects are compared by identity."""
        key: Any = source if isinstance(source, str | bytes | os.PathLike) else id(source)
        with self._lock:
            image = self._images.get(key)
            if image is None:
                image = self._images[key] = SharedImage(source)
            return image
