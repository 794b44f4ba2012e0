"""Where a broken CSV row should have been divided, decided only where one division explains it best.

A row is an image, a question and an answer. Its text may hold commas that were not quoted and quotes that were not
doubled or never closed.
"""

import re
from collections.abc import Callable, Set
from enum import IntEnum

#: A field as RFC 4180 has it, quoted or not, with what ends it.
STRICT = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|\Z)')
#: What the first column holds: a URL, or the path of a picture.
REFERENCE = re.compile(
    r'^\s*"?(?:(?:https?|s3|gs|file|hf)://[^\s",]+|[^",\n]*\.(?:jpe?g|png|webp|tiff?|bmp|exr|hdr|avif))(?:\?[^\s",]*)?"?\s*$',
    re.IGNORECASE,
)


class Shape(IntEnum):
    """How far a piece of text is from a proper field; the lower the better."""

    PROPER = 0
    BARE = 1  #: commas that are not quoted
    LOOSE = 2  #: quotes that are not doubled
    TORN = 3  #: a quote without its counterpart


def shape_of(text: str) -> Shape:
    """Classify a piece of text as a field."""
    found = STRICT.match(text)
    if found is not None and found.end() == len(text) and found[3] == "":
        return Shape.PROPER
    if '"' not in text:
        return Shape.BARE
    opens, closes = text.startswith('"'), len(text) > 1 and text.endswith('"')
    if opens and closes:
        inner = text[1:-1]
        return Shape.BARE if '"' not in inner.replace('""', "") else Shape.LOOSE
    return Shape.TORN if opens or closes or text.count('"') % 2 else Shape.LOOSE


def text_of(field: str) -> str:
    """The text of a field without its quotes, however broken they are."""
    if shape_of(field) is Shape.TORN and field.count('"') == 1:
        return field.replace('"', "")
    if len(field) > 1 and field.startswith('"') and field.endswith('"'):
        return field[1:-1].replace('""', '"')
    return field


def first_field(row: str, *, any_name: bool = False) -> tuple[str, str] | None:
    """The image and the rest of a row, or None where there is no comma or no image.

    Args:
        row: A broken row.
        any_name: Whether the table's images are called anything, not only paths and URLs of pictures.
    """
    found = STRICT.match(row)
    if found is not None and found[3] == "," and (any_name or REFERENCE.match(row[: found.end() - 1])):
        return text_of(row[: found.end() - 1]), row[found.end() :]
    commas = [i for i, letter in enumerate(row) if letter == ","]
    for comma in commas:  # a path with commas ends where it becomes a picture's
        if re.search(r"\.(?:jpe?g|png|webp|tiff?|bmp|exr|hdr|avif)\"?$", row[:comma], re.IGNORECASE):
            return row[:comma].strip('"'), row[comma + 1 :]
    return None


def split_texts(rest: str, known: Set[str]) -> tuple[str, str] | None:
    """Question and answer, or None where more than one division is as good.

    Args:
        rest: The row without its image.
        known: Questions of sound rows.
    """
    commas = [i for i, letter in enumerate(rest) if letter == ","]
    shapes = {i: max(shape_of(rest[:i]), shape_of(rest[i + 1 :])) for i in commas}
    best = min(shapes.values(), default=None)
    places = [i for i in commas if shapes[i] == best]
    # Each rule is asked only where those before leave a choice, and only a rule that leaves one place decides.
    rules: tuple[Callable[[int], bool], ...] = (
        # Commas of prose have a space after them, or stand inside a number; commas of a table have neither.
        lambda i: not rest[i + 1 : i + 2].isspace() and not re.match(r"\d,\d", rest[max(i - 1, 0) : i + 2]),
        lambda i: text_of(rest[:i]).strip() in known,
        lambda i: rest[:i].rstrip('"').endswith("?"),
    )
    for rule in rules:
        if len(places) > 1:
            places = [i for i in places if rule(i)] or places
    if len(places) != 1:
        return None
    place = places[0]
    return text_of(rest[:place]).strip(), text_of(rest[place + 1 :]).strip()
