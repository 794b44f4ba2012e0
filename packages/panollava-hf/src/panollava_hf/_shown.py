"""Values and texts from outside in messages: short, on one line, found without following what they contain."""

from collections.abc import Collection
from itertools import islice
from typing import Any

#: Longest text, and most items of a list or dictionary, that a message shows.
MAX_SHOWN, MAX_SHOWN_ITEMS = 80, 6
#: Largest integer that a message shows in digits: Python refuses to print very long ones.
MAX_SHOWN_BITS = 256


def shown(value: Any) -> str:
    r"""A value from outside as a short text on one line.

    It looks at the type first and never at more than a few items, because `repr` of a hostile value can take forever.

    Example:
        >>> shown("a\nb"), shown([1, 2.5]), shown({"height": 3}), shown([[]] * 1000)
        ("'a\\nb'", '[1, 2.5]', "{'height': 3}", 'a list of 1000 items')
    """
    if isinstance(value, str | bytes):
        return repr(value) if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]!r}…"
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= MAX_SHOWN_BITS else f"an integer of {value.bit_length()} bits"
    name = type(value).__name__[:MAX_SHOWN]
    if not isinstance(value, list | tuple | dict | set | frozenset):
        return f"a value of type {name}"
    few = len(value) <= MAX_SHOWN_ITEMS and not isinstance(value, set | frozenset)
    parts = ([*value, *value.values()] if isinstance(value, dict) else value) if few else ()
    if not few or not all(item is None or isinstance(item, str | bytes | int | float) for item in parts):
        return f"a {name} of {len(value)} item{'' if len(value) == 1 else 's'}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{shown(key)}: {shown(item)}" for key, item in value.items()) + "}"
    listed = ", ".join(map(shown, value))
    return f"[{listed}]" if isinstance(value, list) else f"({listed}{',' if len(value) == 1 else ''})"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "panorama"), counted(12_000, "panorama")
        ('1 panorama', '12,000 panoramas')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(text: str, width: int = 160) -> str:
    """A text as one line of at most `width` characters."""
    line = " ".join(text[: 4 * width].split())
    return line if len(line) <= width and len(text) <= 4 * width else line[: width - 1] + "…"


def listed(texts: Collection[str], most: int, separator: str = ", ", *, total: int | None = None) -> str:
    """The first few of several texts, and how many more there are.

    Args:
        texts: The texts.
        most: How many are shown.
        separator: What stands between them.
        total: How many there are, if `texts` are only the first of them.

    Example:
        >>> listed(["a", "b", "c"], 2), listed(["a", "b"], 2, "; ", total=9)
        ('a, b and 1 more', 'a; b; and 7 more')
    """
    more = (len(texts) if total is None else total) - most
    text = separator.join(islice(texts, most))
    return f"{text}{' ' if separator == ', ' else separator}and {more} more" if more > 0 else text
