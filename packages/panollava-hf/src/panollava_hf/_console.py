"""What the commands and the training show on stderr: notes, a status line, progress bars. Results go to stdout.

rich is imported when something is shown, so that `--help` and usage errors do not wait for it.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


@cache
def console() -> "Console":
    """The console of this process on stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print one line as it is; square brackets in file names are not markup, and control characters are escaped."""
    from rich.text import Text

    console().print(Text(_safe(text)), soft_wrap=True)


def note(text: str) -> None:
    """Print one line that begins with "Note:"."""
    from rich.text import Text

    console().print(Text.assemble(("Note:", "yellow"), " ", _safe(text)), soft_wrap=True)


def status(text: str) -> AbstractContextManager[Any]:
    """A spinner with a text while a block runs; nothing when stderr is not a terminal."""
    from rich.text import Text

    return console().status(Text(_safe(text)))


def progress(*, unit: str = "count", transient: bool = True, disable: bool = False) -> "Progress":
    """Progress bars with the time left.

    Args:
        unit: `count` shows "3/10", `bytes` shows "1.2/3.5 GB".
        transient: Whether the bars disappear at the end.
        disable: Show nothing.
    """
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), amount, TimeRemainingColumn())
    # In a file, bars that disappear would leave an empty line
    disable = disable or (transient and not console().is_terminal)
    return Progress(*columns, console=console(), transient=transient, disable=disable)


def _safe(text: str) -> str:
    """A text from outside without characters that control the terminal, and without bytes that are not UTF-8."""
    from panollava_geometry.cli import printable

    return printable(text)
