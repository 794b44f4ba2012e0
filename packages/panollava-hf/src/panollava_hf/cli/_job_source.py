"""The source of a command that works on many panoramas, and what a dry run says about it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from panollava_hf._errors import UsageError
from panollava_hf._shown import shown

if TYPE_CHECKING:
    from panollava_hf.jobs._source import Source

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder of panoramas, a table (CSV, JSONL, Parquet), a list of paths, WebDataset shards (.tar), a "
        "dataset of the Hub (owner/name), or one panorama.",
    ),
]

PrivateRedirectsOption = Annotated[
    bool,
    typer.Option("--private-redirects", help="Follow redirects of image URLs from public to private addresses."),
]


def open_rows(source: str, split: str | None, columns: Sequence[str] | None, limit: int | None = None) -> "Source":
    """Open a source with the options of a command.

    Raises:
        UsageError: An option has an impossible value.
        TableError: There is no such source, or it has no panoramas.
    """
    given = dict(read_column(text) for text in columns or ())
    from panollava_hf.jobs.sources import open_source

    return open_source(source, columns=given, limit=limit, **({} if split is None else {"split": split}))


def read_column(text: str) -> tuple[str, str]:
    """What a column holds, and its name, of a value of `--column`.

    Raises:
        UsageError: It is not `NAME=COLUMN`.
    """
    name, sign, column = text.partition("=")
    if not (name.strip() and sign and column.strip()):
        raise UsageError(f"--column {shown(text)}: expected NAME=COLUMN, such as image=photo")
    return name.strip(), column.strip()


def file_size(number: float) -> str:
    """A number of bytes as text.

    Example:
        >>> file_size(950), file_size(2_500_000)
        ('950 bytes', '2.5 MB')
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def duration(seconds: float) -> str:
    """Seconds as text.

    Example:
        >>> duration(3), duration(9000)
        ('3.0 seconds', '2.5 hours')
    """
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} seconds"
