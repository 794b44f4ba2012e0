"""`panollava data check SOURCE`: everything that training and evaluation will need, before they start."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from panollava_geometry.cli import echo, on_interrupt

from panollava_hf import _console
from panollava_hf._errors import ModelError, TableError, UsageError
from panollava_hf._files import check_writable
from panollava_hf.cli._columns import ColumnOption, columns_of
from panollava_hf.cli._usage import check_source, usage_errors

if TYPE_CHECKING:
    from panollava_hf.data._tables import Table

#: Most lines that the summary lists.
_LISTED = 100


def check(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Table (.csv, .tsv, .jsonl, .parquet), folder with splits, or the id of a dataset."
        ),
    ],
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Split of a folder or dataset; default: all of them.")
    ] = None,
    column: ColumnOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Check only the first N rows of each table.")
    ] = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode all panoramas; otherwise only their headers are read.")
    ] = False,
    urls: Annotated[bool, typer.Option("--urls", help="Download the panoramas that URLs name.")] = False,
    private_redirects: Annotated[
        bool,
        typer.Option("--private-redirects", help="Follow redirects of image URLs from public to private addresses."),
    ] = False,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Count tokens of this checkpoint or language model instead of words; of a checkpoint, also report "
            "rows that are too long.",
        ),
    ] = None,
    fix: Annotated[Path | None, typer.Option(metavar="OUT.csv", help="Write a repaired CSV file.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write a page with samples and histograms.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Find what training and evaluation would refuse or misread, before they start.

    Prints a line for each problem, with file and line. Errors are what training or evaluation would refuse: broken
    rows, blank cells, images that are missing or not panoramas. Notes are what may be intended: copies, two answers to
    one question, panoramas that are in two splits. The exit code is 2 if there are errors (with --fix: if some could
    not be repaired), else 0.
    """
    columns = columns_of(column)
    for path, option in ((fix, "--fix"), (report, "--report")):
        if path is not None:
            if path.is_dir():
                raise UsageError(f"{option} {path}: this is a folder, expected a file")
            check_writable(path.absolute().parent, option)
    if fix is not None and Path(source).suffix.lower() not in (".csv", ".tsv"):
        raise UsageError(f"--fix {fix}: only CSV files can be repaired")
    check_source(source)
    bars, tasks = _console.progress(), dict[str, Any]()

    def show(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(Path(name).name, total=total)
        bars.update(tasks[name], completed=done)

    repaired: list[Table] = []
    with (
        on_interrupt(lambda: "nothing was written"),
        usage_errors("cannot check the table", TableError, ModelError, OSError),
        bars,
    ):
        from panollava_hf.checking import Options, check_data
        from panollava_hf.checking._lines import problem_lines, summary, table_lines
        from panollava_hf.data._tables import write_csv

        found = check_data(
            source,
            Options(
                split=split,
                columns=columns,
                limit=limit,
                decode=decode,
                urls=urls,
                private_redirects=private_redirects,
                tokenizer=tokenizer,
                samples=report is not None,
                fix=fix is not None,
            ),
            progress=show,
            repaired=repaired,
        )
        if fix is not None and repaired:
            write_csv(repaired[0], fix)
        if report is not None:
            from panollava_hf.checking._page import write_page

            write_page(found, report)
    if as_json:
        from panollava_hf.outside._json_file import json_text

        echo(json_text(found.to_json(), indent=2).removesuffix("\n"))
    else:
        for line in problem_lines(found):
            echo(line)
        for table in found.tables:
            for line in table_lines(table):
                echo(line)
    if fix is not None and repaired:
        _say_repaired(repaired[0], fix)
    if report is not None:
        _console.say(f"Wrote {report}.")
    _console.say(summary(found))
    return 2 if found.count("error") else 0


def _say_repaired(table: "Table", path: Path) -> None:
    from panollava_hf._shown import listed

    count = sum(fault.fields is not None for fault in table.faults)
    _console.say(f"Wrote {path}: {len(table.rows)} rows, {count} of them repaired.")
    if table.undecided:
        lines = listed([str(fault.line) for fault in table.undecided], _LISTED)
        _console.say(f"{len(table.undecided)} rows are not in {path}: lines {lines}. Quote their texts by hand.")
