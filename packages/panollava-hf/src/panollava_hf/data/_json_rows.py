"""JSON files, object by object, with numbers exactly as written."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from panollava_hf._errors import one_line
from panollava_hf._shown import shown
from panollava_hf.data._columns import COLUMNS, plain_name
from panollava_hf.data._lines import read_lines
from panollava_hf.data._rows import Nested

#: A row of a file: its line, and its cells or what is wrong with it.
JsonRow = tuple[int, dict[str, str | None] | str]

_BLANK = re.compile(r"[ \t\r\n]*")
#: Longest line in characters: a whole file can be one array in one line.
_MAX_LINE = 2**31


class _Object(list[tuple[str, Any]]):
    """An object of a JSON text as a list of keys and values, so that repeated keys are seen."""


#: Numbers stay texts: "2.50", "1e400" and integers of any length are what the file says.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_Object)
_PLAIN_DECODER = json.JSONDecoder()


def read_json(path: Path) -> Iterator[JsonRow]:
    """The rows of a file that has one object per line (JSONL), objects on several lines, or one array of objects.

    Numbers and booleans are given as their text, null as None, and nested values as `Nested`.

    Args:
        path: The file.

    Raises:
        TableError: The file cannot be read.
    """
    lines = read_lines(path, _MAX_LINE)
    is_first = True
    for number, line in enumerate(lines, 1):
        if _BLANK.fullmatch(line):
            continue
        line = line.removeprefix("\ufeff")
        if is_first and not is_whole(line):
            whole = "".join(chain([line], lines))
            if line.startswith("["):
                yield from _array(whole, number)
                return
            if is_whole(whole):
                yield from objects_in(whole, number)
                return
            lines = iter(re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", whole[len(line) :]))
            for later, one in enumerate([line, *lines], number):  # the first line is damaged
                yield from objects_in(one, later)
            return
        is_first = False
        yield from objects_in(line, number)


def is_whole(text: str) -> bool:
    """Whether a text begins with a complete object, or with something that is not a part of one."""
    try:
        value, _ = _DECODER.raw_decode(text, _start(text, 0))
    except (ValueError, RecursionError):
        return not text.lstrip().startswith(("{", "["))
    return isinstance(value, _Object)


def _start(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return place if found is None else found.end()


def objects_in(text: str, line: int) -> Iterator[JsonRow]:
    """Objects that follow each other; after one that cannot be read, the rest of the text is skipped."""
    place = seen = 0
    while (place := _start(text, place)) < len(text):
        line += text.count("\n", seen, place)
        seen = place
        cells, place = _row(text, place)
        yield line, cells


def _array(text: str, line: int) -> Iterator[JsonRow]:
    """The objects of an array, without reading the whole array at once."""
    place, seen = 1, 0
    while not text.startswith("]", place := _start(text, place)):
        line += text.count("\n", seen, place)
        seen = place
        cells, place = _row(text, place)
        yield line, cells
        place = _start(text, place)
        if text.startswith(",", place):
            place += 1
        elif place < len(text) and not text.startswith("]", place):
            yield line, "not JSON: expected ',' or ']' after an object"
            return
        elif place >= len(text):
            if not isinstance(cells, str):
                yield line, "not JSON: the array is not closed"
            return
    if _start(text, place + 1) < len(text):
        yield line, "not JSON: more text after the array"


def _row(text: str, place: int) -> tuple[dict[str, str | None] | str, int]:
    """The cells of the object at a place, or what is wrong with it, and where it ends."""
    try:
        value, end = _DECODER.raw_decode(text, place)
        if not isinstance(value, _Object):
            kind = "list" if isinstance(value, list) else "text or number"
            return f"expected an object with the keys {', '.join(COLUMNS)}, got a {kind}", end
        plain = None
        cells: dict[str, str | None] = {}
        for key, cell in value:
            name = plain_name(key)
            if name in cells:
                return f"the key {shown(name)} is there twice", end
            if isinstance(cell, list):
                plain = plain or _PLAIN_DECODER.raw_decode(text, place)[0]
                cells[name] = _nested(name, plain[key])
            else:
                cells[name] = {True: "true", False: "false"}[cell] if isinstance(cell, bool) else cell
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg}", len(text)
    except RecursionError:
        return "not usable JSON: too many objects or lists inside each other", len(text)
    except ValueError as error:  # an integer of more digits than Python converts, inside a nested value
        return f"not usable JSON: {one_line(error)}", end
    if "\\u" in text[place:end] and not _is_unicode(cells):
        return "a text contains half of a surrogate pair", end
    return cells, end


def _nested(name: str, value: Any) -> str:
    """A nested value as text; of an image object of `datasets`, its path."""
    if isinstance(value, dict) and isinstance(value.get("path"), str) and value.get("bytes") is None:
        return str(value["path"])
    return Nested(json.dumps(value))


def _is_unicode(cells: dict[str, str | None]) -> bool:
    try:
        "".join(text for pair in cells.items() for text in pair if text is not None).encode()
    except UnicodeEncodeError:
        return False
    return True
