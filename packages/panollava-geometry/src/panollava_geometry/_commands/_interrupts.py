"""Ctrl-C: the first one ends the command in an orderly way, a second one ends the process at once.

An interrupt can also arrive while torch is imported. Python then raises whatever the interrupted import makes of it,
for example an ImportError. `catch_interrupts` remembers the signal, and `on_interrupt` raises `Interrupted` instead.
"""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

#: Exit code of a program that was interrupted, as in a shell.
EXIT_CODE = 130
_requested = False


class Interrupted(KeyboardInterrupt):
    """An interrupt whose text says what is complete. `run_app` prints it as `interrupted; TEXT`."""


@contextmanager
def on_interrupt(report: Callable[[], str]) -> Iterator[None]:
    """Say what is complete if the block is interrupted.

    Args:
        report: Returns the text. Called only after an interrupt.

    Raises:
        Interrupted: The block was interrupted, whatever exception the interrupt became.

    Example:
        >>> with on_interrupt(lambda: "the first 3 files are complete"):
        ...     pass
    """
    try:
        yield
    except Interrupted:
        raise
    except BaseException as error:
        if _requested or isinstance(error, KeyboardInterrupt):
            raise Interrupted(report()) from error
        raise


@contextmanager
def catch_interrupts(last_words: Callable[[], str]) -> Iterator[None]:
    """Handle SIGINT while a command runs. Does nothing outside the main thread, or if the program handles it itself.

    Args:
        last_words: Returns the line to print when a second interrupt ends the process.
    """
    if not _is_default():
        yield
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        global _requested
        if _requested:
            os.write(2, f"\n{last_words()}\n".encode())
            os._exit(EXIT_CODE)
        _requested = True
        raise KeyboardInterrupt

    def retry(unraisable: "sys.UnraisableHookArgs") -> None:
        """An interrupt inside a destructor or a callback of the import system is lost: send it again afterwards."""
        global _requested
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            _requested = False
            again = threading.Timer(0.02, _thread.interrupt_main)
            again.daemon = True
            again.start()
        else:
            previous_hook(unraisable)

    global _requested
    previous_hook, sys.unraisablehook = sys.unraisablehook, retry
    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = previous_hook
        _requested = False


def exit_program(code: int) -> NoReturn:
    """End the process. An interrupt from now on ends it at once, without a traceback from Python's shutdown."""
    if _is_default():
        signal.signal(signal.SIGINT, lambda signum, frame: os._exit(code))
    # An interrupt that left the `exec` of a text (torch uses it) makes CPython end with the signal instead
    # of the exit code, until the next `exec`.
    exec("")
    sys.exit(code)


def _is_default() -> bool:
    """Whether this thread may set the handler of SIGINT, and nothing else has. `nohup` ignores the signal."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
