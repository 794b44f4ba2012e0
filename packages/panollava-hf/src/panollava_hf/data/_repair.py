"""Finds the fields of a broken CSV row, only where one division into fields explains the row best.

A row has an image, a question and an answer. Its image and its texts may contain unquoted commas, and its texts quotes
that were not doubled or not closed. Every function takes time in proportion to the length of the row.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Set
from enum import IntEnum

#: How the names of image files end, also of those that need a plugin of Pillow or must be converted first.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".insp", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib"),
    *(".avif", ".gif", ".heic", ".heif", ".jxl", ".jp2", ".j2k", ".jpx", ".ppm", ".tga", ".psd", ".qoi", ".dds"),
    *(".exr", ".hdr"),
)
_SCHEME = re.compile(r"(?:https?|s3|gs|file|hf)://", re.IGNORECASE)
#: A quoted field at the beginning of a row.
_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)",')
#: Longest question of another row that is looked for in a broken one, in characters.
_LONGEST_KNOWN = 1000


class Shape(IntEnum):
    """How far a piece of text is from a valid field; lower is better."""

    VALID = 0
    UNQUOTED_COMMA = 1
    UNDOUBLED_QUOTE = 2
    UNBALANCED_QUOTE = 3


def is_reference(field: str) -> bool:
    """Whether a field looks like an image: a URL, or the path of an image file."""
    text = field.strip().strip('"')
    if _SCHEME.match(text):
        return re.search(r'[\s",]', text) is None
    return "\n" not in text and names_image(text)


def names_image(text: str) -> bool:
    """Whether a path or URL ends like an image file, perhaps with a query after it."""
    path, _, query = text.lower().partition("?")
    return text.lower().endswith(SUFFIXES) or (path.endswith(SUFFIXES) and re.search(r"\s", query) is None)


def is_plain_url(text: str) -> bool:
    """Whether a field is a URL that does not end like an image file."""
    return _SCHEME.match(text.strip()) is not None and not names_image(text.strip())


def text_of(field: str) -> str:
    """The text of a field without its quotes, valid or broken."""
    if field.count('"') == 1 and (field.startswith('"') or field.endswith('"')):
        return field.replace('"', "")
    if len(field) > 1 and field.startswith('"') and field.endswith('"'):
        return field[1:-1].replace('""', '"')
    return field


def first_field(
    row: str,
    *,
    any_name: bool = False,
    plain_urls: bool = False,
    exists: Callable[[str], bool] = lambda path: False,
) -> tuple[str, str] | None:
    """The image and the rest of a row, or None where it is not certain where the image ends.

    A URL ends at the suffix of an image file, with the query after it. A URL without such a suffix is accepted only
    where other rows have such URLs, and no further comma can belong to it.

    Args:
        row: A broken row.
        any_name: Accept any text as an image, not only image paths and URLs.
        plain_urls: Whether other rows have URLs that do not end like an image file.
        exists: Whether the table's folder has a file; decides between several paths.
    """
    quoted = _QUOTED.match(row)
    if quoted is not None:
        text = quoted[1].replace('""', '"')
        if any_name or names_image(text) or _SCHEME.match(text):
            return text, row[quoted.end() :]
    commas = [found.start() for found in re.finditer(",", row)]
    if not commas or row.lower().startswith("data:"):
        return None
    if any_name and '"' not in row[: commas[0]]:
        place: int | None = commas[0]
    elif _SCHEME.match(row) and not re.search(r"\s", row[: commas[0]]):
        place = _end_of_url(row, commas, plain_urls)
    else:
        place = _end_of_path(row, commas, exists)
    return None if place is None else (row[:place].strip('"'), row[place + 1 :])


def _end_of_url(row: str, commas: list[int], plain_urls: bool) -> int | None:
    blank = re.search(r'[\s"]', row)
    possible = commas[: bisect_left(commas, len(row) if blank is None else blank.start())]
    lower, query = row.lower(), row.find("?")
    has_query = query >= 0 and lower.endswith(SUFFIXES, 0, query)
    whole = [comma for comma in possible if lower.endswith(SUFFIXES, 0, comma) or (has_query and comma > query)]
    if whole:
        return whole[0] if len(whole) == 1 and (whole[0] == commas[0] or not plain_urls) else None
    coordinates = re.match(r",\s*[-+]?\d", row[commas[0] :])
    return commas[0] if plain_urls and len(possible) == 1 and not coordinates else None


def _end_of_path(row: str, commas: list[int], exists: Callable[[str], bool]) -> int | None:
    lower = row.lower()
    ends = [comma for comma in commas if lower.endswith(SUFFIXES, 0, comma - (lower[comma - 1 : comma] == '"'))]
    if commas[0] not in ends[:1] and is_reference(row[: commas[0]]):  # with a query
        ends.insert(0, commas[0])
    if not ends:
        return None
    # A name with a comma goes on after it without a blank; text does not.
    blank = re.compile(r"\s").search(row, ends[0])
    possible = ends[: bisect_left(ends, len(row) if blank is None else blank.start())]
    if len(possible) == 1 and re.search(r",\s", row[: possible[0]]) is None:
        return possible[0]
    there = [end for end in possible[:10] if exists(row[:end].strip('"'))]
    return there[0] if len(there) == 1 else None


def shapes_of_splits(text: str, commas: list[int]) -> list[tuple[Shape, Shape]]:
    """The shapes of the texts before and after each comma, reading the text once.

    Example:
        >>> [tuple(map(int, pair)) for pair in shapes_of_splits('a,"b, c"', [1, 4])]
        [(0, 0), (3, 3)]
    """
    runs = [(found.start(), found.end()) for found in re.finditer('"+', text)]
    starts = [start for start, _ in runs]
    before = [0]  # quotes before each run
    for start, end in runs:
        before.append(before[-1] + end - start)
    odd = [index for index, (start, end) in enumerate(runs) if (end - start) % 2]
    separator = re.search("[,\n]", text)
    first_separator = len(text) if separator is None else separator.start()
    last_separator = max(text.rfind(","), text.rfind("\n"))
    opens, closes = text.startswith('"'), text.endswith('"')
    # Where the quoted field that begins the text ends: at its first quote that is not doubled.
    closing = -1
    if opens:
        length = runs[0][1]
        closing = length - 1 if length % 2 == 0 else (runs[odd[1]][1] - 1 if len(odd) > 1 else -1)
    found = []
    for comma in commas:
        run = bisect_left(starts, comma)  # a run of quotes never contains a comma
        left = _shape(
            quotes=before[run],
            separators=first_separator < comma,
            opens=opens,
            closes=comma > 1 and text[comma - 1] == '"',
            is_quoted=opens and closing == comma - 1,
        )
        inside = len(text) - comma - 1
        starts_quoted = run < len(runs) and runs[run][0] == comma + 1
        is_quoted = False
        if starts_quoted and closes:
            if runs[run][1] == len(text):
                is_quoted = inside % 2 == 0
            else:  # only the first and the last run may be odd, and both must be
                is_quoted = len(odd) - bisect_left(odd, run) == 2 and odd[-2:] == [run, len(runs) - 1]
        right = _shape(
            quotes=before[-1] - before[run],
            separators=last_separator > comma,
            opens=starts_quoted,
            closes=closes and inside > 1,
            is_quoted=is_quoted,
        )
        found.append((left, right))
    return found


def _shape(*, quotes: int, separators: bool, opens: bool, closes: bool, is_quoted: bool) -> Shape:
    """The shape of a piece of text: its number of quotes, whether it has separators, and how it begins and ends."""
    if is_quoted or (not quotes and not separators):
        return Shape.VALID
    if not quotes:
        return Shape.UNQUOTED_COMMA
    if opens and closes:
        return Shape.UNDOUBLED_QUOTE
    return Shape.UNBALANCED_QUOTE if opens or closes or quotes % 2 else Shape.UNDOUBLED_QUOTE


def split_texts(rest: str, known: Set[str]) -> tuple[str, str] | None:
    """Question and answer, or None where several divisions are equally good.

    Args:
        rest: The row without its image.
        known: Questions of valid rows.
    """
    commas = [found.start() for found in re.finditer(",", rest)]
    shapes = dict(zip(commas, map(max, shapes_of_splits(rest, commas)), strict=True))
    best = min(shapes.values(), default=None)
    places = [i for i in commas if shapes[i] == best]
    # A rule is used only where the rules before it leave several places.
    rules: tuple[Callable[[int], bool], ...] = (
        # In prose a comma is followed by a space or is inside a number; between columns it is neither.
        lambda i: not rest[i + 1 : i + 2].isspace() and not re.match(r"\d,\d", rest[max(i - 1, 0) : i + 2]),
        lambda i: i <= _LONGEST_KNOWN and text_of(rest[:i]).strip() in known,
        lambda i: _ends_with_question_mark(rest, i),
    )
    for rule in rules:
        if len(places) > 1:
            places = [i for i in places if rule(i)] or places
    if len(places) != 1:
        return None
    place = places[0]
    return text_of(rest[:place].strip()).strip(), text_of(rest[place + 1 :].strip()).strip()


def _ends_with_question_mark(text: str, end: int) -> bool:
    while end and text[end - 1] == '"':
        end -= 1
    return text.endswith("?", 0, end)


def known_questions(questions: Iterable[str]) -> set[str]:
    """The questions that `split_texts` can recognise in a broken row."""
    return {text.strip() for text in questions if len(text) <= _LONGEST_KNOWN}
