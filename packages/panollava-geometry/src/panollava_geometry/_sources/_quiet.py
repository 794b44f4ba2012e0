"""Call Pillow without its own warnings: they are about metadata and limits that this package checks itself."""

import contextlib
import functools
import threading
import warnings
from collections.abc import Iterator

from PIL import Image

_lock = threading.Lock()


@functools.cache
def quiet_libtiff() -> None:
    """Keep libtiff from printing its errors on stderr; Pillow raises them as exceptions, too.

    Pillow switches off libtiff's warnings in the same way. Nothing happens where the function cannot be found, for
    example in a build with a static libtiff.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):
        set_handler = ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler  # found in the libraries of this one
        set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
        set_handler(None)


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Suppress the warnings of Pillow's modules in a block. Keep the block short: threads wait for each other."""
    with _lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield
