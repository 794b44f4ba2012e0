"""Files and folders that appear whole or not at all."""

import json
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from panollava_hf._errors import OutputExistsError, UsageError
from panollava_hf.outside._json_file import TOKENIZER_BYTES, read_object
from panollava_hf.outside._weight_files import follow_umask


def write_whole(path: Path, content: str | bytes, *, mode: int | None = None, durable: bool = True) -> None:
    """Write a file through a temporary file next to it, which then takes its name.

    Args:
        path: The file; an existing one is replaced.
        content: Bytes, or text that is stored as UTF-8 with its line ends unchanged.
        mode: Its permissions. Default: those of the existing file, or of a new file under the current umask.
        durable: Wait until the file is on the disk, so that a power cut loses neither the old nor the new one. False is
            faster, for files that can be made again.

    Raises:
        OSError: The folder is missing, full or not writable; an existing file at `path` is unchanged.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_whole(folder / "a.txt", "whole")
        >>> [file.name for file in folder.iterdir()]
        ['a.txt']
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    if mode is None and path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    stream = open(scratch, "xb")
    try:
        with stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        if mode is not None:
            scratch.chmod(mode)
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink()
        raise
    if durable:
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folder
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
def staged_folder(output: Path, *, durable: bool = True) -> Iterator[Path]:
    """Write a folder under a temporary name; it takes its final name when the block ends without an error.

    Its files get the permissions of new files under the current umask.

    Args:
        output: The final folder. Missing parents are created.
        durable: Wait until all its files are on the disk before it takes its name, so that a power cut leaves no folder
            of empty files. False is faster, for thousands of files that can be made again.

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
        found = [path for path in folder.rglob("*") if not path.is_symlink()]
        files = [path for path in found if path.is_file()]
        follow_umask(files)
        for path in (*files, *(path for path in found if path.is_dir()), folder) if durable else ():
            sync(path)
        os.replace(folder, output)
        if durable:
            sync(parent)


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON object in place; a file that does not exist is left alone.

    Args:
        path: The file.
        change: Receives the parsed object and modifies it.

    Raises:
        ModelError: The file does not hold a JSON object.
    """
    if not path.is_file():
        return
    content = read_object(path, TOKENIZER_BYTES, remedy="fetch or write the folder again")
    change(content)
    write_whole(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
