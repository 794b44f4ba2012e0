"""Messages about rows, counted by kind, because thousands of rows often have the same one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from panollava_hf._shown import shortened

#: Kinds of messages that are counted one by one; further ones are counted together.
MAX_KINDS = 200
OTHERS = "others"
#: Kinds that a list shows.
SHOWN_KINDS = 8


@dataclass(frozen=True)
class Kind:
    """Rows whose messages differ in the name of the image and in numbers only.

    Attributes:
        rows: Their number.
        text: The message of one of them, without the name of its image.
        example: The name of its image, the first in alphabetical order; empty if it is not known any more.
    """

    rows: int
    text: str
    example: str = ""


Kinds = dict[str, Kind]


def kind_of(message: str, *names: str | None) -> tuple[str, Kind]:
    """The kind of one message.

    Args:
        message: The text. It may start with the name of the image.
        names: Names of the image, such as its path; the first one is the example.

    Returns:
        What messages of the same kind have in common, which has N for each number but 2:1; and the kind.

    Example:
        >>> kind_of("photos/a 1.jpg: 641 x 480 pixels, expected 2:1", "photos/a 1.jpg")
        ('N x N pixels, expected 2:1', Kind(rows=1, text='641 x 480 pixels, expected 2:1', example='photos/a 1.jpg'))
    """
    text = " ".join(message.split())
    given = [name for name in names if name]
    known = {form for name in given for form in (name, name.rpartition("/")[2], _as_shown(name))}
    for name in sorted(known, key=len, reverse=True):
        if text.startswith(f"{name}:"):
            text = text.removeprefix(f"{name}:").lstrip()
            break
    else:
        text = re.sub(r"^(?:https?://|[\w.~-]*[/\\])\S*: +|^\S+\.[A-Za-z]\w{1,4}: +", "", text)
    text = text or "an error without a text"
    common = re.sub(r"\b(2:1)\b(?!\.\d)|\d+(?:[.,]\d+)*", lambda found: found[1] or "N", text)
    return shortened(common, 120), Kind(1, shortened(text, 120), given[0] if given else "")


def _as_shown(name: str) -> str:
    """A name as messages about images show it: in one line, and of bounded length."""
    from panollava_geometry.addresses import source_name

    return " ".join(source_name(name).split())


def add_kinds(total: Kinds, more: Iterable[tuple[str, Kind]]) -> None:
    """Count further messages; the number of kinds stays bounded."""
    for common, new in more:
        name = common if common in total or len(total) < MAX_KINDS else OTHERS
        old = total.get(name)
        if old is None:
            total[name] = new if name == common else Kind(new.rows, OTHERS, new.example)
        else:
            first = min(old, new, key=lambda kind: (kind.example, kind.text))
            total[name] = Kind(old.rows + new.rows, old.text if name == OTHERS else first.text, first.example)


def rows_of(kinds: Mapping[str, Kind]) -> int:
    """The number of rows of all kinds."""
    return sum(kind.rows for kind in kinds.values())


def listed_kinds(kinds: Iterable[Kind]) -> list[str]:
    """The most frequent kinds, one line each."""
    ordered = sorted(kinds, key=lambda kind: -kind.rows)
    lines = []
    for kind in ordered[:SHOWN_KINDS]:
        such_as = "such as " * (kind.rows > 1)
        example = f" ({such_as}{shortened(kind.example, 60)})" if kind.example else ""
        lines.append(f"  {kind.rows:>6,}  {kind.text}{example}")
    if len(ordered) > SHOWN_KINDS:
        rest = sum(kind.rows for kind in ordered[SHOWN_KINDS:])
        lines.append(f"  {rest:>6,}  … ({len(ordered) - SHOWN_KINDS} more kinds)")
    return lines
