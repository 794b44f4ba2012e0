"""Call Pillow without its own warnings: they are about metadata and limits that this package checks itself."""

import contextlib
import threading
import warnings
from collections.abc import Iterator

_lock = threading.Lock()


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Suppress the warnings of Pillow's modules in a block. Keep the block short: threads wait for each other."""
    with _lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield
