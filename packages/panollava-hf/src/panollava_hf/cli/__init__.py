"""The command `panollava`.

Results go to stdout, everything else to stderr; an error that the user can fix is one line and exit code 2. Nothing
here imports torch: `--help`, usage errors and missing files are reported at once.
"""

import typer
from panollava_geometry import PanoramaError
from panollava_geometry.cli import exit_program, run_app

from panollava_hf._errors import PanoLLaVaError
from panollava_hf.cli._answer import answer
from panollava_hf.cli._ask import ask
from panollava_hf.cli._caption import caption
from panollava_hf.cli._convert import convert
from panollava_hf.cli._crop import crop
from panollava_hf.cli._data import data
from panollava_hf.cli._demo import demo
from panollava_hf.cli._embed import embed
from panollava_hf.cli._eval import eval_
from panollava_hf.cli._eval_retrieval import eval_retrieval
from panollava_hf.cli._export import export
from panollava_hf.cli._join import join
from panollava_hf.cli._locate import locate
from panollava_hf.cli._push import push
from panollava_hf.cli._search import search
from panollava_hf.cli._serve import serve
from panollava_hf.cli._space import space
from panollava_hf.cli._train import train

__all__ = ["main", "run"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Ask questions about 360° panoramas.",
)
# The list of commands has one line for each; longer first sentences need a short help, or they are cut off.
app.command()(ask)
app.command()(caption)
app.command()(answer)
app.command()(locate)
app.command()(crop)
app.command(short_help="Turn panoramas and their views into vectors.")(embed)
app.command(short_help="Join two pretrained towers with an untrained connector.")(join)
app.command(short_help="Convert a Lightning checkpoint of the original code.")(convert)
app.add_typer(data, name="data", short_help="Check, repair and write tables of questions.")
app.command(short_help="Open a page to look around in a panorama and ask.")(demo)
app.command("eval", short_help="Measure a model on many questions about panoramas.")(eval_)
app.command("eval-retrieval", short_help="Measure how well panoramas are found again.")(eval_retrieval)
app.command(short_help="Export a checkpoint for Transformers alone.")(export)
app.command(short_help="Upload an exported folder, or a Space, to the Hub.")(push)
app.command(short_help="Find the panoramas that show the same place.")(search)
app.command()(serve)
app.command(short_help="Write the page of demo as a Space of the Hub.")(space)
app.command(short_help="Train a model in up to three stages.")(train)


def _print_version(wanted: bool) -> None:
    """A callback of the option: without a command, the callback of the app is not called."""
    if wanted:
        from importlib.metadata import version as installed

        typer.echo(f"panollava-hf {installed('panollava-hf')}")
        raise typer.Exit


@app.callback()
def version_option(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_print_version, help="Print the installed version and exit."
    ),
) -> None:
    """Ask questions about 360° panoramas."""


def run(arguments: list[str] | None = None) -> int:
    """Run the command with these arguments (default: the process's own) and return its exit code."""
    return run_app(app, arguments, program="panollava", errors=(PanoramaError, PanoLLaVaError))


def main() -> None:
    """Entry point of the console script."""
    exit_program(run())
