"""The option `--column ROLE=NAME` of commands that read tables."""

from typing import Annotated

import typer

from panollava_hf._errors import UsageError

ColumnOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ROLE=NAME", help="Another name of a column, e.g. image=panorama_file. Repeatable."),
]


def columns_of(given: list[str] | None) -> dict[str, str]:
    """The names of columns by role.

    Raises:
        UsageError: A value is not ROLE=NAME.
    """
    pairs = [one.partition("=") for one in given or []]
    for role, sign, name in pairs:
        if not sign or not role.strip() or not name.strip():
            raise UsageError(f"--column {role}{sign}{name}: expected ROLE=NAME, e.g. image=panorama_file")
    return {role.strip(): name.strip() for role, _, name in pairs}
