"""The options of a multiple-choice question, in the forms in which tables hold them."""

import ast
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from panollava_hf._errors import TableError
from panollava_hf._shown import shortened

#: Most options: each has a letter.
MAX_OPTIONS = len(ascii_uppercase)
#: Names that a column with all options can have.
OPTIONS_COLUMNS = ("options", "choices")
#: Names that the columns of the first, second, … option can have.
_SINGLE = ("option_{letter}", "choice_{letter}", "option{letter}", "choice{letter}", "{letter}")
_NUMBERED = ("option_{number}", "choice_{number}", "option{number}", "choice{number}")
#: A letter before an option: "A.", "A)", "(A)", "A:".
_LETTERED = re.compile(r"(?:^|(?<=\s))(?:\(([A-Za-z])\)|([A-Za-z])[.):])\s+")


def single_columns(names: Sequence[str]) -> list[str]:
    """The columns that hold one option each, in order; empty if there are none.

    Args:
        names: The columns of a table, each in normalised form.

    Example:
        >>> single_columns(["image", "a", "b", "c", "answer"])
        ['a', 'b', 'c']
        >>> single_columns(["image", "option_1", "option_2", "d"])
        ['option_1', 'option_2']
    """
    for pattern in (*_SINGLE, *_NUMBERED):
        found: list[str] = []
        for place, letter in enumerate(ascii_uppercase):
            name = pattern.format(letter=letter.lower(), number=place + 1)
            if name not in names:
                break
            found.append(name)
        if len(found) >= 2:
            return found
    return []


def read_options(cell: str) -> tuple[str, ...]:
    r"""The options in a cell: a list or an object in JSON or Python, lettered lines, or texts with `|`.

    Raises:
        TableError: It holds no options, or they have no order.

    Example:
        >>> read_options('["red", "blue"]'), read_options('{"A": "red", "B": "blue"}'), read_options("['red', 'blue']")
        (('red', 'blue'), ('red', 'blue'), ('red', 'blue'))
        >>> read_options("A. red\nB. blue"), read_options("red | blue")
        (('red', 'blue'), ('red', 'blue'))
    """
    text = cell.strip()
    if text.startswith(("[", "{")):
        value = _parsed(text)
        if value is not None:
            return _of_value(value)
    _, options = split_lettered(text)
    if len(options) < 2:
        separator = "|" if "|" in text else "\n"
        options = tuple(part.strip() for part in text.split(separator) if part.strip())
    if len(options) < 2:
        raise TableError(
            f"the options {shortened(text, 60)!r} cannot be divided; expected a list in JSON, lines that begin with "
            "A., B., …, or texts with | between them"
        )
    return without_letters(options)


def without_letters(options: Sequence[str]) -> tuple[str, ...]:
    """The options without their letters, if each begins with its own.

    Example:
        >>> without_letters(["A. red", "B. blue"]), without_letters(["A. Smith", "C. Jones"])
        (('red', 'blue'), ('A. Smith', 'C. Jones'))
    """
    stripped = []
    for letter, option in zip(ascii_uppercase, options, strict=False):
        found = _LETTERED.match(option.strip())
        if found is None or (found[1] or found[2]).upper() != letter:
            return tuple(option.strip() for option in options)
        stripped.append(option.strip()[found.end() :].strip())
    return tuple(stripped) if len(stripped) == len(options) else tuple(option.strip() for option in options)


def split_lettered(text: str) -> tuple[str, tuple[str, ...]]:
    r"""The text before lettered options, and the options; without options, the text and nothing.

    Example:
        >>> split_lettered("What is behind me?\nA. a door\nB. a window")
        ('What is behind me?', ('a door', 'a window'))
        >>> split_lettered("What is it? (A) a door (B) a window")
        ('What is it?', ('a door', 'a window'))
        >>> split_lettered("Which letter is on plan B. or A.?")
        ('Which letter is on plan B. or A.?', ())
    """
    marks = list(_LETTERED.finditer(text))
    chosen: list[re.Match[str]] = []
    for mark in marks:
        if len(chosen) < MAX_OPTIONS and (mark[1] or mark[2]).upper() == ascii_uppercase[len(chosen)]:
            chosen.append(mark)
    if len(chosen) < 2:
        return text, ()
    ends = [*(mark.start() for mark in chosen[1:]), len(text)]
    options = tuple(text[mark.end() : end].strip(" \t\r\n;,|") for mark, end in zip(chosen, ends, strict=True))
    return (text[: chosen[0].start()].strip(), options) if all(options) else (text, ())


def _parsed(text: str) -> object:
    """A list or an object in JSON, or as Python prints it, as many public tables have them; None if it is neither."""
    for parse, problems in (
        (json.loads, (json.JSONDecodeError, RecursionError)),
        (ast.literal_eval, (SyntaxError, ValueError, RecursionError, MemoryError)),
    ):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of backslashes, as in LaTeX
                found: object = parse(text)
                return found
        except problems:
            continue  # "[red] | [blue]" is a text
    return None


def _of_value(value: object) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        keys = [str(key).strip().strip("().:").upper() for key in value]
        if sorted(keys) != list(ascii_uppercase[: len(keys)]):
            raise TableError(
                f"the options have the keys {shortened(', '.join(map(str, value)), 60)}; expected A, B, C, …"
            )
        by_key = dict(zip(keys, value.values(), strict=True))
        value = [by_key[key] for key in sorted(by_key)]
    if not isinstance(value, list) or any(isinstance(one, list | dict) or one is None for one in value):
        raise TableError("the options must be a list of texts")
    texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in value]
    return without_letters(texts)
