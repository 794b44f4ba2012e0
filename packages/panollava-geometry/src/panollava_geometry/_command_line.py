"""Run a command line so that an error of the user is one line on stderr and exit code 2, without a traceback."""

import os
import sys
import warnings
from contextvars import ContextVar

import typer

from panollava_geometry._errors import PanoramaError

#: Base class of the parser's errors. Newer releases of typer contain their own click, so it is found through typer.
ParserError: type[Exception] = typer.BadParameter.__bases__[0].__bases__[0]
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
        result = app(args=arguments, prog_name=program, standalone_mode=False)
    except errors as error:
        return _fail(str(error))
    except ParserError as error:
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context is not None else ""
        return _fail(_message(error).rstrip(".") + hint)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("interrupted", code=130)
    except BrokenPipeError:  # nothing more can be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    finally:
        _program.reset(token)
    return result if isinstance(result, int) else 0


def error_line(message: str) -> str:
    """An error message as one line that begins with the name of the program that `run_app` is running."""
    return f"{_program.get()}: {' '.join(message.split())}"


def _message(error: Exception) -> str:
    return str(error.format_message()) if hasattr(error, "format_message") else str(error)


def _fail(message: str, code: int = 2) -> int:
    typer.echo(error_line(message), err=True)
    return code
