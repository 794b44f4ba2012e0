"""`panollava data`: check, repair and write tables of panoramas, questions and answers."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from panollava_hf._console import progress, say
from panollava_hf._errors import PanoShapesError, TableError, UsageError
from panollava_hf._shown import listed
from panollava_hf.cli._columns import ColumnOption, columns_of
from panollava_hf.cli._usage import usage_errors

if TYPE_CHECKING:
    from panollava_hf.data._row_checks import Unusable

#: Most lines that the summary lists.
_LISTED = 100

data = typer.Typer(help="Check, repair and write tables of panoramas, questions and answers.", no_args_is_help=True)


class Split(enum.StrEnum):
    """Splits of PanoShapes."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class ImageFormat(enum.StrEnum):
    """Image formats of PanoShapes."""

    JPG = "jpg"
    PNG = "png"


@data.callback()
def _group() -> None:
    """Check, repair and write tables of panoramas, questions and answers."""


@data.command()
def check(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE", help="CSV, JSONL or Parquet file with a column for image, question and answer."
        ),
    ],
    fix: Annotated[Path | None, typer.Option(metavar="OUT.csv", help="Write a repaired CSV file.")] = None,
    column: ColumnOption = None,
) -> int:
    """Find rows that training and evaluation would refuse or misread, before they start.

    Prints a line for each: unquoted commas, broken quotes, repeated headers, blank cells; two lines for a row that can
    be repaired. The exit code is 1 if there are such rows (with --fix: if some could not be repaired). Missing images
    are listed too, but do not change the exit code.
    """
    from panollava_hf.data._tables import check_csv, check_rows, write_csv

    with usage_errors("cannot check the table", TableError):
        columns = columns_of(column)
        if table.suffix.lower() in (".jsonl", ".json", ".parquet"):
            if fix is not None:
                raise UsageError(f"--fix {fix}: only CSV files can be repaired")
            count, unusable, missing = check_rows(table, columns)
            _print_rows(table, unusable)
            _say_missing(table, missing)
            say(f"{table}: {_rows(count)}, {_rows(unusable.count, 'broken ')}.")
            return 1 if unusable.count else 0
        found = check_csv(table, columns)
        for fault in found.faults:
            decided = " [cannot be decided]" if fault.fields is None and not fault.is_header else ""
            typer.echo(f"{table}:{fault.line}: {fault.reason}{decided}")
            if fault.fields is None:
                typer.echo(f"    {_short(fault.text)}")
            else:
                typer.echo("    " + " | ".join(_short(text) for text in fault.fields))
        _print_rows(table, found.unusable)
        repaired = sum(fault.fields is not None for fault in found.faults)
        if fix is not None:
            write_csv(found, fix)
            say(f"Wrote {fix}: {len(found.rows)} rows, {repaired} of them repaired.")
    _say_missing(table, found.missing)
    if found.copies:
        say(f"{table}: {found.copies} rows are exact copies of earlier rows.")
    undecided = found.undecided
    if undecided:
        lines = listed([str(fault.line) for fault in undecided], _LISTED)
        left = f"are not in {fix}" if fix is not None else "cannot be repaired automatically"
        say(f"{len(undecided)} rows {left}: lines {lines}. Quote their texts by hand.")
    if found.unusable.count:
        say(f"{found.unusable.count} rows cannot be used; complete or remove them by hand.")
    if not found.rows and not undecided:
        say(f"{table}: no rows.")
        return 1
    if not found.faults and not found.unusable.count:
        say(f"{table}: {_rows(len(found.rows))}, no broken rows.")
    return 1 if found.unusable.count or (undecided if fix is not None else found.faults) else 0


@data.command()
def panoshapes(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Folder; it may contain other splits of PanoShapes.")],
    split: Annotated[Split, typer.Option(help="Name of the split; no scene is in two splits.")] = Split.TEST,
    n: Annotated[int, typer.Option("--n", help="Number of scenes.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the dataset.")] = 0,
    width: Annotated[int, typer.Option(help="Width of the images in pixels.")] = 1024,
    image_format: Annotated[ImageFormat, typer.Option("--format", help="Format of the images.")] = ImageFormat.JPG,
    questions: Annotated[int, typer.Option(help="Maximum number of questions per family and scene.")] = 2,
    workers: Annotated[int | None, typer.Option(help="Number of processes; default: one per core.")] = None,
) -> None:
    """Write PanoShapes: rendered panoramas, and questions about them with exact answers.

    Prints the number of questions of each family, and the score of always giving the most common answer (prior).
    """
    from panollava_hf.panoshapes import write_panoshapes
    from panollava_hf.panoshapes._dataset import summarise, table_file

    with usage_errors("cannot write PanoShapes", PanoShapesError, OSError), progress() as bar:
        task = bar.add_task("Drawing scenes", total=n)
        write_panoshapes(
            output,
            split.value,
            n,
            seed=seed,
            width=width,
            image_format=image_format.value,
            workers=workers,
            questions_per_family=questions,
            progress=lambda done: bar.update(task, completed=done),
        )
    families = summarise(table_file(output, split.value))
    typer.echo(f"{'family':<10} {'questions':>9} {'answers':>8} {'prior':>6}  most common answer")
    for row in families:
        typer.echo(
            f"{row.family:<10} {row.questions:>9} {row.answers:>8} {row.prior:>6.1%}  {_short(row.commonest, 60)}"
        )
    asked = sum(row.questions for row in families)
    say(f"Wrote {output}/: {n} scene{'' if n == 1 else 's'}, {asked} questions ({split.value}).")


def _short(text: str, width: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _print_rows(table: Path, unusable: "Unusable") -> None:
    """Print rows that cannot be used, one line each."""
    for reason in unusable.reasons:
        place, _, what = reason.partition(": ")
        line = place.removeprefix("line ")
        typer.echo(f"{table}:{line}: {what}" if line != place else f"{table}, {reason}")
    if unusable.count > len(unusable.reasons):
        typer.echo(f"{table}: and {unusable.count - len(unusable.reasons)} more rows")


def _say_missing(table: Path, missing: "Unusable") -> None:
    if missing.count:
        say(f"{table}: {missing.count} image{'s' * (missing.count != 1)} cannot be used: {missing.listed()}")


def _rows(number: int, kind: str = "") -> str:
    return f"{number or 'no'} {kind}row{'s' * (number != 1)}"
