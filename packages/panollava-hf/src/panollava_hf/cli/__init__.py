"""The command `panollava`.

Answers go to stdout, everything else to stderr; a user's mistake is one line and exit code 2.
"""

import os
import sys

import typer
from panollava_geometry import PanoramaError
from panollava_geometry.cli import crop

from panollava_hf.cli._mistakes import Mistake
from panollava_hf.cli.ask import ask
from panollava_hf.cli.convert import convert
from panollava_hf.cli.data import data
from panollava_hf.cli.export import export
from panollava_hf.cli.join import join
from panollava_hf.cli.push import push

#: Root of the parser's complaints. Newer releases of typer bring their own click, so it is reached through typer.
ParserError: type[Exception] = typer.BadParameter.__bases__[0].__bases__[0]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Ask questions about 360° panoramas.",
)
app.command()(ask)
app.command()(crop)
app.command()(join)
app.command()(convert)
app.add_typer(data, name="data")
app.command()(export)
app.command()(push)


@app.callback()
def version_option(
    version: bool = typer.Option(False, "--version", is_eager=True, help="Print the installed version and stop."),
) -> None:
    """Ask questions about 360° panoramas."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"panollava-hf {installed('panollava-hf')}")
        raise typer.Exit


def run(arguments: list[str] | None = None) -> int:
    """Run the command with these arguments (default: the process's own) and return its exit code."""
    try:
        result = app(args=arguments, prog_name="panollava", standalone_mode=False)
    except (PanoramaError, Mistake) as error:
        return _complain(str(error))
    except ParserError as error:
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context is not None else ""
        return _complain(_told(error).rstrip(".") + hint)
    except (typer.Abort, KeyboardInterrupt):
        return _complain("stopped", code=130)
    except BrokenPipeError:  # the reader of a pipe went away: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return result if isinstance(result, int) else 0


def _told(error: Exception) -> str:
    return str(error.format_message()) if hasattr(error, "format_message") else str(error)


def _complain(message: str, code: int = 2) -> int:
    typer.echo(f"panollava: {' '.join(message.split())}", err=True)
    return code


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())
