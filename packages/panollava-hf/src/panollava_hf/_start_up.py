"""What makes a command start and end quickly.

Importing torch and transformers creates a million objects, all of which stay. The garbage collector looks at them
again and again and finds nothing; that takes a fifth of the time of a short command, and most of the time in which
Python ends.
"""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Packages that transformers imports where they are installed, for devices, losses and image processors that the
#: checkpoint in this package does not use.
EXTRAS = ("accelerate", "scipy", "sklearn", "torchvision")

_is_command = False


def this_is_a_command() -> None:
    """Let the collector ignore what is imported from now on, and what is left when the process ends.

    For a process of our own: with `gc.freeze`, the collector also ignores other objects that exist at that moment.
    """
    global _is_command
    _is_command = True
    atexit.register(gc.freeze)


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause the collector, if it runs. Objects that are in no cycle are freed as always.

    Example:
        >>> import gc
        >>> with paused_collection():
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


def leave_out_extras() -> None:
    """Let transformers take packages that are not needed for missing ones, before a command imports it.

    Call it only if nothing but the embedded checkpoint is loaded. It holds until the process ends, so that transformers
    finds the same packages all the time; in a process that is not a command of ours it does nothing.
    """
    if _is_command and "transformers" not in sys.modules:
        for name in EXTRAS:
            if name not in sys.modules:
                sys.modules[name] = None  # type: ignore[assignment]  # Python's way to say that it cannot be imported
