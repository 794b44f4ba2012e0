"""Python's garbage collector while modules are imported.

Importing torch and transformers creates a million objects, all of which stay. The collector looks at them again and
again and finds nothing; that takes a fifth of the time of a short command, and most of the time in which Python ends.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_is_command = False


def this_is_a_command() -> None:
    """Let the collector ignore what is imported from now on, and what is left when the process ends.

    For a process of our own: with `gc.freeze`, the collector also ignores other objects that exist at that moment.
    """
    global _is_command
    _is_command = True
    atexit.register(gc.freeze)


@contextmanager
def paused() -> Iterator[None]:
    """Pause the collector, if it runs. Objects that are in no cycle are freed as always.

    Example:
        >>> import gc
        >>> with paused():
        ...     gc.isenabled()
        False
        >>> gc.isenabled()
        True
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _is_command:
            gc.freeze()
        if was_enabled:
            gc.enable()
