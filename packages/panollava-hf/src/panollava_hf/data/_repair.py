"""Finds the fields of a broken CSV row, only where one division into fields explains the row best.

A row has an image, a question and an answer. Its texts may contain unquoted commas, and quotes that were not doubled or
not closed.
"""

import re
from collections.abc import Callable, Set
from enum import IntEnum

#: A field after RFC 4180, quoted or not, with the comma, line end or end of text after it.
STRICT = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|\Z)')
#: What the first column usually holds: a URL, or the path of an image.
REFERENCE = re.compile(
    r'^\s*"?(?:(?:https?|s3|gs|file|hf)://[^\s",]+|[^",\n]*\.(?:jpe?g|png|webp|tiff?|bmp|exr|hdr|avif))(?:\?[^\s",]*)?"?\s*$',
    re.IGNORECASE,
)


class Shape(IntEnum):
    """How far a piece of text is from a valid field; lower is better."""

    VALID = 0
    UNQUOTED_COMMA = 1
    UNDOUBLED_QUOTE = 2
    UNBALANCED_QUOTE = 3


def shape_of(text: str) -> Shape:
    """Classify a piece of text as a field."""
    found = STRICT.match(text)
    if found is not None and found.end() == len(text) and found[3] == "":
        return Shape.VALID
    if '"' not in text:
        return Shape.UNQUOTED_COMMA
    opens, closes = text.startswith('"'), len(text) > 1 and text.endswith('"')
    if opens and closes:
        inner = text[1:-1]
        return Shape.UNQUOTED_COMMA if '"' not in inner.replace('""', "") else Shape.UNDOUBLED_QUOTE
    return Shape.UNBALANCED_QUOTE if opens or closes or text.count('"') % 2 else Shape.UNDOUBLED_QUOTE


def text_of(field: str) -> str:
    """The text of a field without its quotes, valid or broken."""
    if shape_of(field) is Shape.UNBALANCED_QUOTE and field.count('"') == 1:
        return field.replace('"', "")
    if len(field) > 1 and field.startswith('"') and field.endswith('"'):
        return field[1:-1].replace('""', '"')
    return field


def first_field(row: str, *, any_name: bool = False) -> tuple[str, str] | None:
    """The image and the rest of a row, or None where no comma or no image is found.

    Args:
        row: A broken row.
        any_name: Accept any text as an image, not only image paths and URLs.
    """
    found = STRICT.match(row)
    if found is not None and found[3] == "," and (any_name or REFERENCE.match(row[: found.end() - 1])):
        return text_of(row[: found.end() - 1]), row[found.end() :]
    commas = [i for i, letter in enumerate(row) if letter == ","]
    for comma in commas:  # a path with commas ends after the extension of an image
        if re.search(r"\.(?:jpe?g|png|webp|tiff?|bmp|exr|hdr|avif)\"?$", row[:comma], re.IGNORECASE):
            return row[:comma].strip('"'), row[comma + 1 :]
    return None


def split_texts(rest: str, known: Set[str]) -> tuple[str, str] | None:
    """Question and answer, or None where several divisions are equally good.

    Args:
        rest: The row without its image.
        known: Questions of valid rows.
    """
    commas = [i for i, letter in enumerate(rest) if letter == ","]
    shapes = {i: max(shape_of(rest[:i]), shape_of(rest[i + 1 :])) for i in commas}
    best = min(shapes.values(), default=None)
    places = [i for i in commas if shapes[i] == best]
    # A rule is used only where the rules before it leave several places.
    rules: tuple[Callable[[int], bool], ...] = (
        # In prose a comma is followed by a space or is inside a number; between columns it is neither.
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
