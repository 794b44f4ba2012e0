"""How a command line of ours ends: a person's mistake is one line on stderr and exit code 2, never a traceback."""

import os
import sys

import typer

from panollava_geometry._errors import PanoramaError

#: Root of the parser's complaints. Newer releases of typer bring their own click, so it is reached through typer.
ParserError: type[Exception] = typer.BadParameter.__bases__[0].__bases__[0]


def run_app(
    app: typer.Typer,
    arguments: list[str] | None = None,
    *,
    program: str,
    mistakes: tuple[type[Exception], ...] = (PanoramaError,),
) -> int:
    """Run a command line.

    Args:
        app: The commands.
        arguments: What was typed; default: the process's own arguments.
        program: Name that begins every complaint.
        mistakes: Exceptions that a person can put right; their message is all that is shown.

    Returns:
        The exit code: 0, 2 for a mistake, 130 when stopped, 141 when the reader of a pipe went away, or what a command
        asked for by `typer.Exit`.
    """
    try:
        result = app(args=arguments, prog_name=program, standalone_mode=False)
    except mistakes as error:
        return _complain(program, str(error))
    except ParserError as error:
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context is not None else ""
        return _complain(program, _told(error).rstrip(".") + hint)
    except (typer.Abort, KeyboardInterrupt):
        return _complain(program, "stopped", code=130)
    except BrokenPipeError:  # nobody is left to be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return result if isinstance(result, int) else 0


def _told(error: Exception) -> str:
    return str(error.format_message()) if hasattr(error, "format_message") else str(error)


def _complain(program: str, message: str, code: int = 2) -> int:
    typer.echo(f"{program}: {' '.join(message.split())}", err=True)
    return code
