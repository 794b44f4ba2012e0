"""JSON files that may come from anywhere: read as data, within bounds, with one-line errors."""

import json
import stat
from pathlib import Path
from typing import Any

from panollava_hf._errors import ModelError, one_line

#: What git leaves in the place of a large file without git-lfs.
POINTER = b"version https://git-lfs.github.com/spec/"
#: Largest configuration file, and the largest of all: tokenizers of 250,000 tokens have about 40 MB.
CONFIG_BYTES, TOKENIZER_BYTES = 2**24, 2**28
#: How deeply objects may be nested. Configs have 5 levels; Python's own limit is about 1000.
MAX_DEPTH = 64


def read_object(path: Path, limit: int = CONFIG_BYTES) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        limit: Its largest size in bytes.

    Raises:
        ModelError: It is missing, not a regular file, too large, cut off, a Git LFS pointer, or not a JSON object.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "config.json"
        >>> _ = path.write_text('{"model_type": "panollava"}')
        >>> read_object(path)
        {'model_type': 'panollava'}
    """
    require_file(path)
    size = path.stat().st_size
    if size > limit:
        raise ModelError(f"{path}: this file has {size:,} bytes, expected at most {limit:,}; use the original file")
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text)
        depth = _depth(content)
    except (ValueError, RecursionError) as error:
        hint = "it is empty" if not size else one_line(error)
        raise ModelError(f"{path}: this is not valid JSON ({hint}); copy or download the file again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, got {json_kind(content)}; copy or download the file again")
    if depth > MAX_DEPTH:
        raise ModelError(f"{path}: its values are nested deeper than {MAX_DEPTH} levels; use the original file")
    return content


def require_file(path: Path) -> None:
    """Check that a path is a regular file with its own content.

    Raises:
        ModelError: It is missing, unreadable, a folder, pipe or device, or a Git LFS pointer.
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        head = b""
        if regular:
            with path.open("rb") as stream:
                head = stream.read(len(POINTER))
    except OSError as error:
        raise ModelError(f"{path}: this file cannot be read ({error.strerror or error})") from error
    if not regular:
        raise ModelError(f"{path}: this is not a regular file; replace it by the file itself")
    if head == POINTER:
        kind = "the weights are" if path.suffix in (".safetensors", ".bin") else "this file is"
        raise ModelError(f"{path}: {kind} a Git LFS pointer, not the file itself; run `git lfs pull` in its folder")


def json_kind(value: Any) -> str:
    """What a JSON value is, for messages.

    Example:
        >>> json_kind([1, 2])
        'a list'
    """
    names = {list: "a list", dict: "an object", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _depth(content: Any) -> int:
    """How deeply lists and objects are nested, found without recursion and no further than one level too deep."""
    level, depth = [content], 0
    while level and depth <= MAX_DEPTH:
        level = [v for c in level if isinstance(c, (dict, list)) for v in (c.values() if isinstance(c, dict) else c)]
        depth += 1
    return depth
