"""Small files that may come from anywhere: read within bounds, JSON as data, with one-line errors."""

import json
import stat
from pathlib import Path
from typing import Any

from panollava_hf._errors import ModelError, PanoLLaVaError, boundary, reason
from panollava_hf._shown import shown

#: What git leaves in the place of a large file without git-lfs, and what this is.
POINTER = b"version https://git-lfs.github.com/spec/"
POINTER_TEXT = "a Git LFS pointer, not the file itself; run `git lfs pull` in its folder"
#: Largest configuration file, and the largest of all: tokenizers of 250,000 tokens have about 40 MB.
CONFIG_BYTES, TOKENIZER_BYTES = 2**24, 2**28
#: How deeply objects may be nested. Configs have 5 levels; Python's own limit is about 1000.
MAX_DEPTH = 64
#: What to do about a damaged file of a model.
AGAIN = "copy or download the file again"


def read_object(
    path: Path, limit: int = CONFIG_BYTES, *, kind: type[PanoLLaVaError] = ModelError, remedy: str = AGAIN
) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        limit: Its largest size in bytes.
        kind: Class of the error.
        remedy: What the user can do, for the message.

    Raises:
        PanoLLaVaError: Of class `kind`: it is missing, not a regular file, too large, cut off, a Git LFS pointer, or
            not a JSON object.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "config.json"
        >>> _ = path.write_text('{"model_type": "panollava"}')
        >>> read_object(path)
        {'model_type': 'panollava'}
    """
    content = parse_json(read_bytes(path, limit, kind=kind, remedy=remedy), str(path), kind=kind, remedy=remedy)
    if not isinstance(content, dict):
        raise kind(f"{path}: expected a JSON object, got {json_kind(content)}; {remedy}")
    return content


def parse_json(
    content: bytes, name: str, *, kind: type[PanoLLaVaError] = ModelError, remedy: str = AGAIN, once: bool = False
) -> Any:
    """The value of a JSON text.

    Args:
        content: The text in UTF-8.
        name: Where it comes from; messages begin with it.
        kind: Class of the error.
        remedy: What the user can do, for the message.
        once: Whether a name that an object gives twice is an error; otherwise the last one counts.

    Raises:
        PanoLLaVaError: Of class `kind`: it is not JSON, or nested too deeply.
    """
    with boundary(kind, f"{name}: this is not valid JSON", remedy):
        if not content.strip():
            raise ValueError("it is empty")
        found = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_once if once else None)
        if _depth(found) > MAX_DEPTH:
            raise ValueError(f"its values are nested deeper than {MAX_DEPTH} levels")
    return found


def read_bytes(
    path: Path, limit: int, *, kind: type[PanoLLaVaError] = ModelError, remedy: str = "use the original file"
) -> bytes:
    """The content of a file.

    Args:
        path: The file.
        limit: Its largest size in bytes.
        kind: Class of the error.
        remedy: What the user can do, for the message.

    Raises:
        PanoLLaVaError: Of class `kind`: it is missing, unreadable, not a regular file, too large, or a Git LFS pointer.
    """
    size = require_file(path, kind=kind, remedy=remedy)
    if size > limit:
        raise kind(f"{path}: this file has {size:,} bytes, expected at most {limit:,}; {remedy}")
    return path.read_bytes()


def require_file(path: Path, *, kind: type[PanoLLaVaError] = ModelError, remedy: str = AGAIN) -> int:
    """Check that a path is a regular file with its own content.

    Returns:
        Its size in bytes.

    Raises:
        PanoLLaVaError: Of class `kind`: it is missing, unreadable, a folder, pipe or device, or a Git LFS pointer.
    """
    try:
        status = path.stat()
        regular, head = stat.S_ISREG(status.st_mode), b""
        if regular:
            with path.open("rb") as stream:
                head = stream.read(len(POINTER))
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise kind(f"{path}: this file cannot be read ({reason(error)}); {remedy}") from error
    if not regular:
        raise kind(f"{path}: this is not a regular file; {remedy}")
    if head == POINTER:
        what = "the weights are" if path.suffix in (".safetensors", ".bin") else "this file is"
        raise kind(f"{path}: {what} {POINTER_TEXT}")
    return status.st_size


def json_kind(value: Any) -> str:
    """What a JSON value is, for messages.

    Example:
        >>> json_kind([1, 2])
        'a list'
    """
    names = {list: "a list", dict: "an object", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON that ends with a line feed and can be encoded as UTF-8; one line without `indent`."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair: written as an escape, which reads back as it was
        text = json.dumps(value, indent=indent)
    return text + "\n"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, each of whose names occurs once."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {shown(name)} occurs twice; remove one")
        found[name] = value
    return found


def _depth(content: Any) -> int:
    """How deeply lists and objects are nested, found without recursion and no further than one level too deep."""
    level, depth = [content], 0
    while level and depth <= MAX_DEPTH:
        level = [v for c in level if isinstance(c, (dict, list)) for v in (c.values() if isinstance(c, dict) else c)]
        depth += 1
    return depth
