"""Run a command line so that an error of the user is one line on stderr and exit code 2, without a traceback."""

import errno
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TextIO

import typer
from typer.main import get_command

from panollava_geometry._commands._interrupts import EXIT_CODE, Interrupted, catch_interrupts, on_interrupt
from panollava_geometry._errors import PanoramaError, PanoramaWarning
from panollava_geometry._printable import printable, printable_line

#: Base class of the parser's errors. Newer releases of typer contain their own click, so it is found through typer.
ParserError: type[Exception] = typer.BadParameter.__bases__[0].__bases__[0]
#: What the system reports when a disk is full, over its quota, read-only or broken.
_DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)}
#: An argument of Python and its option, as messages name them: `hfov_deg (--hfov DEGREES)`, `partial=True (--partial)`
_ARGUMENT = re.compile(r"\b[a-z]+(?:_[a-z_]+|=[^\s()]+) \((--[a-z][^()]*)\)")
_program = ContextVar("program", default="panollava-geometry")


def run_app(
    app: typer.Typer,
    arguments: list[str] | None = None,
    *,
    program: str,
    errors: tuple[type[Exception], ...] = (PanoramaError,),
    mistakes: tuple[type[Exception], ...] | None = None,
) -> int:
    """Run a command line.

    Every `PanoramaWarning`, also of other threads, is printed as one line `Note: …`, and each text only once. After an
    interrupt, one line says so, with the text of `Interrupted` or `on_interrupt`; a second interrupt ends the process.

    Args:
        app: The commands.
        arguments: The arguments. Default: those of the process.
        program: Name of the program, which begins every error message.
        errors: Exceptions that the user can correct. Only their message is printed.
        mistakes: Deprecated name of `errors`.

    Returns:
        The exit code: 0 for success, 2 for an error of the user, 130 if interrupted, 141 if the reader of a pipe closed
        it, or the code of a `typer.Exit`.
    """
    if mistakes is not None:
        warnings.warn("run_app: `mistakes` is now called `errors`", DeprecationWarning, stacklevel=2)
        errors = mistakes
    token = _program.set(program)
    try:
        with catch_interrupts(lambda: error_line("interrupted")):
            return _run(app, arguments, program, errors)
    finally:
        _program.reset(token)


def _run(app: typer.Typer, arguments: list[str] | None, program: str, errors: tuple[type[Exception], ...]) -> int:
    """Run a command and report its errors. Without `main` of click, which prints nothing when it is interrupted."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with on_interrupt(lambda: ""), _warnings_as_notes(), _any_text_on_stdout():
            command = get_command(app)
            with command.make_context(program, words) as context:
                result = command.invoke(context)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except errors as error:
        return _fail(str(error))
    except ParserError as error:
        parsed = getattr(error, "ctx", None)
        hint = f" (see `{parsed.command_path} --help`)" if parsed is not None else ""
        return _fail(_message(error).rstrip(".") + hint)
    except (typer.Abort, KeyboardInterrupt) as error:
        if _stderr_is_terminal():
            typer.echo(err=True)  # the terminal shows ^C on this line
        complete = f"; {error}" if isinstance(error, Interrupted) and str(error) else ""
        return _fail(f"interrupted{complete}", code=EXIT_CODE)
    except BrokenPipeError:  # nothing more can be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        name = error.filename or "the output"
        return _fail(f"{name} cannot be written ({error.strerror}); free some space, or write to another disk")
    return result if isinstance(result, int) else 0


def error_line(message: str) -> str:
    """An error message as one line that begins with the name of the program that `run_app` is running."""
    return printable_line(f"{_program.get()}: {_options_only(message)}")


def echo(text: str, *, err: bool = False) -> None:
    """Print a text on stdout, or stderr. Characters that the stream cannot encode are written as escapes.

    Raises:
        PanoramaError: The stream cannot be written, for example because the disk is full.
    """
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        typer.echo(printable(text).encode(encoding, "backslashreplace").decode(encoding), err=err)
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard error" if err else "standard output"
        raise PanoramaError(f"{name} cannot be written ({error.strerror or error}); check where it goes") from error


def note(text: str) -> None:
    """Print one line on stderr that begins with "Note:"."""
    head = typer.style("Note:", fg="yellow") if _stderr_is_terminal() else "Note:"
    typer.echo(f"{head} {printable_line(_options_only(text))}", err=True)


def _options_only(message: str) -> str:
    """A message in which remedies are spelled for a command line.

    Example:
        >>> _options_only("a strip needs hfov_deg (--hfov DEGREES) or partial=True (--partial)")
        'a strip needs --hfov DEGREES or --partial'
    """
    return _ARGUMENT.sub(r"\1", message)


@contextmanager
def _any_text_on_stdout() -> Iterator[None]:
    """Let stdout escape what its encoding does not have, such as names that are not UTF-8, instead of failing."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):  # it flushes a stream that may be full or closed, which was reported
            stream.reconfigure(errors=before)


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Print every `PanoramaWarning` as a note, once per text. Other warnings are shown as before."""
    seen: set[str] = set()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=PanoramaWarning)
        show = warnings.showwarning

        def show_note(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, PanoramaWarning):
                show(message, category, filename, lineno, file, line)
            elif str(message) not in seen:
                seen.add(str(message))
                note(str(message))

        warnings.showwarning = show_note
        yield


def _message(error: Exception) -> str:
    """The message of a parser's error. What pydantic found is written as this library does, with the value."""
    message = str(error.format_message()) if hasattr(error, "format_message") else str(error)
    found = getattr(error.__cause__, "errors", None)  # newer releases of typer check values with pydantic
    if found is None:
        return message
    message = message.replace("Value error, ", "").replace("Input should be", "expected").partition(", unable to ")[0]
    value = repr(found()[0].get("input"))[:80]
    return message if value in message else f"{message}, got {value}"


def _stderr_is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _fail(message: str, code: int = 2) -> int:
    with suppress(BrokenPipeError, PanoramaError):  # nobody can read the message, but the exit code is seen
        echo(error_line(message), err=True)
    return code
