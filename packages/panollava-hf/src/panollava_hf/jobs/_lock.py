"""One process at a time works on an output. The lock ends with its process, also if that is killed."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from panollava_hf._errors import JobError

#: The locks of this process.
_handles: set[int] = set()


def _close_in_child() -> None:
    """A forked worker must not keep the lock of a process that is killed."""
    for handle in _handles:
        os.close(handle)
    _handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def lock_file(path: Path, output: Path) -> AbstractContextManager[None]:
    """Lock a file until the end of a block, which removes it.

    Args:
        path: The lock file.
        output: The output that it is for, as messages name it.

    Raises:
        JobError: Another process holds it.
        OSError: It cannot be written.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle)
        except BlockingIOError as error:
            os.close(handle)
            raise JobError(
                f"another process is working on {output}; wait until it has ended, or choose another output"
            ) from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return _held(path, handle)
        os.close(handle)  # the process that held it has removed it in between


@contextmanager
def _held(path: Path, handle: int) -> Iterator[None]:
    _handles.add(handle)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
        _handles.discard(handle)
        os.close(handle)


def _lock(handle: int) -> None:
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except PermissionError as error:
            raise BlockingIOError from error
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
