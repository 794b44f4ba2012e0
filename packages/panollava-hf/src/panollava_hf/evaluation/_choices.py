"""Multiple-choice questions: what is sent to the model, and which option a row's expected answer means."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from panollava_hf._errors import TableError
from panollava_hf._shown import shown
from panollava_hf.data._options import MAX_OPTIONS
from panollava_hf.evaluation._normalise import normalise

#: The last sentence of a multiple-choice question.
INSTRUCTION = "Answer with the letter of the correct option only."

_LETTER = re.compile(r"(?:option\s+)?\(?([A-Za-z])\)?[.):]?", re.IGNORECASE)
_NUMBER = re.compile(r"\(?(\d{1,2})\)?[.):]?")


def lettered(question: str, options: Sequence[str]) -> str:
    r"""The question with its options and the instruction.

    Example:
        >>> lettered("What is behind me?", ["a door", "a window"]).splitlines()
        ['What is behind me?', 'A. a door', 'B. a window', 'Answer with the letter of the correct option only.']
    """
    lines = (
        f"{letter}. {' '.join(text.split())}"
        for letter, text in zip(ascii_uppercase[: len(options)], options, strict=True)
    )
    return "\n".join([question, *lines, INSTRUCTION])


def check_options(options: Sequence[str]) -> None:
    """Check that options can be chosen from.

    Raises:
        TableError: They are too few, too many, blank or equal.
    """
    if not 2 <= len(options) <= MAX_OPTIONS:
        raise TableError(f"the question has {len(options)} options; expected 2 to {MAX_OPTIONS}")
    seen: dict[str, str] = {}
    for letter, option in zip(ascii_uppercase[: len(options)], options, strict=True):
        if not option.strip():
            raise TableError(f"option {letter} is blank")
        first = seen.setdefault(_exact(option), letter)
        if first != letter:
            raise TableError(f"the options {first} and {letter} have the same text {shown(option)}")


@dataclass(frozen=True)
class Readings:
    """The options that an expected answer can mean, one for each way to read it; None where it cannot be read so.

    Attributes:
        text: As the text of an option.
        letter: As a letter.
        number: As a number, 0 or more.
    """

    text: int | None
    letter: int | None
    number: int | None


def is_letter(answer: str) -> bool:
    """Whether an answer is a single letter, such as "B", "(b)" or "B."."""
    return _LETTER.fullmatch(answer.strip()) is not None


def readings(answer: str, options: Sequence[str]) -> Readings:
    """How an expected answer can be read.

    Example:
        >>> readings("(b)", ["red", "blue"])
        Readings(text=None, letter=1, number=None)
    """
    plain = unicodedata.normalize("NFKC", answer).strip()
    letter, number = _LETTER.fullmatch(plain), _NUMBER.fullmatch(plain)
    place = None if letter is None else ascii_uppercase.find(letter[1].upper())
    if place is None:  # "B. blue"
        head = re.match(r"\(?([A-Za-z])[.):]\)?\s+(.+)", plain, re.DOTALL)
        named = None if head is None else ascii_uppercase.find(head[1].upper())
        if head is not None and named is not None and named == same_text(head[2], options):
            place = named
    return Readings(
        same_text(plain, options),
        place if place is not None and 0 <= place < len(options) else None,
        None if number is None else int(number[1]),
    )


def expected_options(found: Sequence[tuple[Readings, int]]) -> list[int | TableError]:
    """The option that each row of a table expects, or why that cannot be decided.

    An answer that can be read in one way only is that option. The whole table decides the others: numbers count from 0
    if a row has the answer 0, else from 1; letters and numbers that are also the text of an option are letters or
    numbers if the table has other rows that can only be read so, and none that is only the text of an option.

    Args:
        found: The readings of each row, and its number of options.
    """
    plain_texts = any(one.text is not None and one.letter is None and one.number is None for one, _ in found)
    marks = {
        "letter": any(one.letter is not None and one.text is None for one, _ in found),
        "number": any(one.number is not None and one.text is None for one, _ in found),
    }
    first = 0 if any(one.number == 0 and one.text is None for one, _ in found) else 1
    chosen: list[int | TableError] = []
    for one, count in found:
        place = None if one.number is None else one.number - first
        if place is not None and not 0 <= place < count:
            place = None
        kind, mark = ("letter", one.letter) if one.letter is not None else ("number", place)
        if mark is None and one.text is None:
            letters = f"A to {ascii_uppercase[count - 1]}"
            chosen.append(TableError(f"the answer is none of the {count} options; expected {letters}, or their text"))
        elif one.text is None or mark is None or one.text == mark:
            chosen.append(mark if one.text is None and mark is not None else one.text or 0)
        elif marks[kind] and plain_texts:
            chosen.append(TableError(f"the answer is the {kind} of one option and the text of another"))
        else:
            chosen.append(mark if marks[kind] else one.text)
    return chosen


def same_text(text: str, options: Sequence[str]) -> int | None:
    """The option with this text; None if there is none or several.

    Example:
        >>> same_text("The red door.", ["a blue door", "a red door"])
        1
    """
    for compared in (_exact, normalise):
        found = [place for place, option in enumerate(options) if compared(option) == compared(text)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _exact(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
