"""Reading YAML that somebody else wrote: plain data, within bounds, or one of our errors.

The parser's events are checked before any object is made from them, so that deep nesting, aliases that multiply and
very large files cost nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from panollava_hf._errors import PanoLLaVaError, boundary
from panollava_hf._shown import shown
from panollava_hf.outside._json_file import read_bytes

#: Largest file, in bytes.
MAX_BYTES = 2**20
#: Deepest nesting of lists and mappings.
MAX_DEPTH = 64
#: Largest number of values, each alias counted with everything that it repeats.
MAX_VALUES = 100_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _PlainLoader(_Loader):
    """Values of JSON only: a date stays the text that was written."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
#: Tags that may be written in a file; `!!binary`, `!!set`, `!!timestamp` and `!!python/…` are refused.
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}


def read_yaml(path: Path, kind: type[PanoLLaVaError], *, what: str = "a YAML file") -> Any:
    """Read a YAML (or JSON) file: dictionaries, lists, texts, numbers, booleans and None.

    At most 1 MiB, 64 levels and 100,000 values are read. A key that is given twice is an error. Dates stay texts.

    Args:
        path: The file, UTF-8 or, with a byte order mark, UTF-16. Anything but a regular file is refused.
        kind: Class of the error.
        what: What the file should be, for messages: "a recipe".

    Raises:
        PanoLLaVaError: Of class `kind`, one line that begins with the path: the file cannot be read, or is not YAML
            within these bounds.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.yaml"
        >>> _ = path.write_text("a: [1, yes, 2026-11-28]")
        >>> read_yaml(path, PanoLLaVaError)
        {'a': [1, True, '2026-11-28']}
    """
    content = read_bytes(path, MAX_BYTES, kind=kind, remedy=f"give {what}")
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise kind(f"{path}, line {line}: this is not UTF-8 text; save {what} as UTF-8") from error
    return parse_yaml(text, str(path), kind)


def parse_yaml(text: str, name: str, kind: type[PanoLLaVaError]) -> Any:
    """The value of a YAML text, within the bounds of `read_yaml`.

    Args:
        text: The text.
        name: Where it comes from; messages begin with it.
        kind: Class of the error.

    Raises:
        PanoLLaVaError: Of class `kind`: it is not YAML within these bounds.
    """
    with _one_line(text, name, kind):
        events = yaml.parse(text, Loader=_Loader)
    _check(_guarded(events, text, name, kind), name, kind)
    with _one_line(text, name, kind):
        return yaml.load(text, Loader=_PlainLoader)


def _guarded(events: Iterator[Any], text: str, name: str, kind: type[PanoLLaVaError]) -> Iterator[Any]:
    with _one_line(text, name, kind):
        yield from events


@contextmanager
def _one_line(text: str, name: str, kind: type[PanoLLaVaError]) -> Iterator[None]:
    """Whatever the YAML library raises as one line, with the line of the text where it is known."""
    try:
        with boundary(kind, f"{name} cannot be read as YAML", "correct it"):
            yield
    except kind as error:
        cause = error.__cause__
        if not isinstance(cause, yaml.MarkedYAMLError) or cause.problem_mark is None:
            raise
        number = cause.problem_mark.line
        line = next(iter(text.splitlines()[number:]), "")
        tabs = " (indent with spaces, not with tabs)" if "\t" in line[: len(line) - len(line.lstrip())] else ""
        raise kind(f"{name}, line {number + 1}: not valid YAML: {cause.problem}{tabs}") from cause


@dataclass
class _Open:
    """A list or mapping whose end has not been read yet."""

    anchor: str | None
    is_mapping: bool
    values: int = 1
    keys: set[str] = field(default_factory=set)
    at_key: bool = True


def _check(events: Iterator[Any], name: str, kind: type[PanoLLaVaError]) -> None:
    """Go through the events of a parser, and raise an error at the first that is out of bounds."""
    stack = [_Open(None, False)]
    sizes: dict[str, int] = {}
    for event in events:
        where = f"{name}, line {event.start_mark.line + 1}"
        if isinstance(event, yaml.CollectionEndEvent):
            closed = stack.pop()
            if closed.anchor:
                sizes[closed.anchor] = closed.values
            _add(stack[-1], closed.values, where, kind)
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        parent = stack[-1]
        key = parent.is_mapping and parent.at_key
        parent.at_key = not parent.at_key
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise kind(f"{where}: the alias *{event.anchor[:40]} has no finished anchor before it; write it out")
            _add(parent, sizes[event.anchor], where, kind)
            continue
        if event.tag is not None and event.tag not in (*_TAGS, "!"):
            raise kind(f"{where}: the tag {shown(event.tag)} is not supported; write plain values")
        if isinstance(event, yaml.CollectionStartEvent):
            if key:
                raise kind(f"{where}: a key is a list or mapping; expected a text or number")
            if len(stack) > MAX_DEPTH:
                raise kind(f"{where}: more than {MAX_DEPTH} lists and mappings are inside each other")
            stack.append(_Open(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            continue
        if event.anchor:
            sizes[event.anchor] = 1
        _add(parent, 1, where, kind)
        if key and event.value != "<<":
            if event.value in parent.keys:
                raise kind(f"{where}: the key {shown(event.value)} is given twice; remove one")
            parent.keys.add(event.value)


def _add(parent: _Open, values: int, where: str, kind: type[PanoLLaVaError]) -> None:
    parent.values += values
    if parent.values > MAX_VALUES:
        raise kind(f"{where}: more than {MAX_VALUES:,} values, counting what aliases repeat")
