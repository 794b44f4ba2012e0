"""Files that appear whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file through a scratch file beside it, which then takes its name.

    Args:
        path: The file; one that exists is replaced.
        content: Bytes, or text that is stored as UTF-8 with its line ends as they are.
        mode: Its permissions.

    Raises:
        OSError: The folder is missing, full or not to be written to; what was at `path` is untouched.

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
