"""Files and folders that appear whole or not at all."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from panollava_hf._errors import OutputExistsError, UsageError


def write_whole(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file through a temporary file next to it, which then takes its name.

    Args:
        path: The file; an existing one is replaced.
        content: Bytes, or text that is stored as UTF-8 with its line ends unchanged.
        mode: Its permissions.

    Raises:
        OSError: The folder is missing, full or not writable; an existing file at `path` is unchanged.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_whole(folder / "a.txt", "whole")
        >>> [file.name for file in folder.iterdir()]
        ['a.txt']
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(scratch, mode)
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise


def check_writable(path: Path, option: str = "") -> None:
    """Check before the work begins that an output folder can be written, or made. Nothing is left behind.

    Args:
        path: The folder that is written later. It need not exist.
        option: The command-line option that named it, for the message.

    Raises:
        UsageError: The folder, or its nearest existing parent, is a file or cannot be written.

    Example:
        >>> check_writable(Path(tempfile.mkdtemp()) / "runs" / "first", "--output")
    """
    from panollava_geometry import PanoramaError
    from panollava_geometry.cli import check_writable as check

    try:
        check(path)
    except PanoramaError as error:
        raise UsageError(f"{option} {error}".strip()) from error


def require_new(folder: Path, option: str = "") -> None:
    """Check that an output folder does not exist yet, or is empty.

    Args:
        folder: The folder that is about to be written.
        option: Name of the command-line option that named it, for the message.

    Raises:
        OutputExistsError: There is a file or a non-empty folder at that path.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputExistsError(f"{option} {folder}: this path already exists; choose a new folder".strip())


@contextmanager
def staged_folder(output: Path) -> Iterator[Path]:
    """Write a folder under a temporary name; it takes its final name when the block ends without an error.

    Args:
        output: The final folder. Missing parents are created.

    Yields:
        An empty folder on the same file system.

    Raises:
        OutputExistsError: `output` exists and is not an empty folder.
        OSError: The parent folder is not writable.

    Example:
        >>> output = Path(tempfile.mkdtemp()) / "result"
        >>> with staged_folder(output) as folder:
        ...     _ = (folder / "a.txt").write_text("whole")
        ...     output.exists()
        False
        >>> [file.name for file in output.iterdir()]
        ['a.txt']
    """
    require_new(output)
    parent = output.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{output.name}.") as scratch:
        folder = Path(scratch) / "folder"  # a child: mkdtemp's own folder is readable by its owner only
        folder.mkdir()
        yield folder
        os.replace(folder, output)


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON object in place; a file that does not exist is left alone.

    Args:
        path: The file.
        change: Receives the parsed object and modifies it.
    """
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        write_whole(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
