"""`panollava data`: look after tables of panoramas, questions and answers."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from panollava_hf.cli._mistakes import mistakes

stderr = Console(stderr=True, highlight=False)
data = typer.Typer(help="Look after tables of panoramas, questions and answers.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Look after tables of panoramas, questions and answers."""


@data.command()
def check(
    table: Annotated[
        Path, typer.Argument(help="CSV with the columns url,query,annotation or url,instruction,response.")
    ],
    fix: Annotated[Path | None, typer.Option(metavar="OUT.csv", help="Write a repaired file.")] = None,
) -> int:
    """Find rows whose text holds unquoted commas or broken quotes.

    Prints a line for each; the exit code is 1 when rows are at fault (with --fix: when some could not be repaired).
    """
    from panollava_hf.data.tables import TableError, check_csv, write_csv

    with mistakes("cannot check the table", TableError):
        found = check_csv(table)
        for fault in found.faults:
            decided = "" if fault.fields is not None else " [cannot be decided]"
            typer.echo(f"{table}:{fault.line}: {fault.reason}{decided}")
            if fault.fields is None:
                typer.echo(f"    {_short(fault.text)}")
            else:
                typer.echo("    " + " | ".join(_short(text) for text in fault.fields))
        repaired = len(found.faults) - len(found.undecided)
        if fix is not None:
            write_csv(found, fix)
            stderr.print(f"Wrote {fix}: {len(found.rows)} rows, {repaired} of them repaired.", soft_wrap=True)
    if found.undecided:
        lines = ", ".join(str(fault.line) for fault in found.undecided)
        left = f"are not in {fix}" if fix is not None else "cannot be repaired automatically"
        stderr.print(f"{len(found.undecided)} rows {left}: lines {lines}. Quote their texts by hand.", soft_wrap=True)
    if not found.faults:
        stderr.print(f"{table}: {len(found.rows)} rows, nothing to complain of.", soft_wrap=True)
    return 1 if (found.undecided if fix is not None else found.faults) else 0


def _short(text: str, width: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
