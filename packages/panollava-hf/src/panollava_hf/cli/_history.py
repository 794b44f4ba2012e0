"""Questions of earlier chats, for the arrow keys: a private file in the user's state folder."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from panollava_hf import _console
from panollava_hf._errors import reason
from panollava_hf._files import write_whole

#: Most lines that are kept, and most bytes that are read.
MAX_LINES, MAX_BYTES = 1000, 2**20


@contextmanager
def history() -> Iterator[Callable[[str], None]]:
    """Make earlier lines available to `input`, and keep the new ones.

    Yields:
        A function that takes each line. Without the module `readline` nothing is kept.
    """
    try:
        import readline
    except ImportError:  # Windows
        yield lambda line: None
        return
    readline.clear_history()
    for line in read_history():
        readline.add_history(line)
    new: list[str] = []
    try:
        yield new.append
    finally:
        if new:
            keep_history(new)


def history_file() -> Path:
    """The file: in the folder that the system has for the state of programs."""
    if os.environ.get("XDG_STATE_HOME"):
        folder = Path(os.environ["XDG_STATE_HOME"])
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path.home() / ".local" / "state"
    return folder / "panollava" / "history"


def read_history() -> list[str]:
    """The kept lines, oldest first; none if the file cannot be read, which a note says."""
    try:
        path = history_file()
        if not path.exists():
            return []
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - MAX_BYTES))
            text = stream.read(MAX_BYTES).decode("utf-8", "replace")
    except (OSError, RuntimeError) as error:  # `Path.home` raises a RuntimeError if there is none
        _console.note(f"the history of questions cannot be read ({reason(error)}).")
        return []
    return text.splitlines()[-MAX_LINES:]


def keep_history(new: list[str]) -> None:
    """Add lines to the file, which nobody else can read. A note says if that fails."""
    try:
        path = history_file()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [*read_history(), *(line.encode("utf-8", "replace").decode() for line in new)][-MAX_LINES:]
        write_whole(path, "\n".join(lines) + "\n", mode=0o600, durable=False)
    except (OSError, RuntimeError) as error:
        _console.note(f"the history of questions cannot be saved ({reason(error)}).")
