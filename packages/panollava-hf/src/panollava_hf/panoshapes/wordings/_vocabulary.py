"""All words that questions in many wordings are made of."""

import itertools
import re

from panollava_hf.panoshapes._questions import wordings
from panollava_hf.panoshapes._scene import COLOURS, DIRECTIONS, SHAPES
from panollava_hf.panoshapes.wordings._english import english_words
from panollava_hf.panoshapes.wordings._every_program import one_program_each
from panollava_hf.panoshapes.wordings._korean import korean_words

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def vocabulary() -> list[str]:
    """The words of all plain and many wordings in lower case, sorted; Korean words without their particles.

    A name of several words is one phrase, if its words alone name something else: "party hat".

    Example:
        >>> words = set(vocabulary())
        >>> {"behind", "doughnut", "violet", "원뿔", "party hat"} <= words, {"door", "party"} & words
        (True, set())
    """
    plain = (wordings(program) for program in one_program_each(COLOURS, SHAPES, DIRECTIONS) if _is_whole(program))
    words = {word for text in itertools.chain.from_iterable(plain) for word in _WORD.findall(text.lower())}
    return sorted(words | english_words() | korean_words())


def _is_whole(program: dict[str, object]) -> bool:
    """Whether the plain wordings can ask a program: they name objects by colour and shape."""
    kinds = [program] if program["family"] == "where" else [program.get("first"), program.get("second")]
    return all(kind is None or (isinstance(kind, dict) and {"colour", "shape"} <= kind.keys()) for kind in kinds)
