"""One held-out wording of a program."""

import re
from collections.abc import Mapping, Sequence
from random import Random
from types import ModuleType
from typing import Any

from panollava_hf.panoshapes.wordings._particles import with_particles

from tools.held_out_wordings import (
    _english,
    _first_english,
    _first_korean,
    _korean,
    _second_english,
    _second_korean,
    _third_english,
    _third_korean,
)

#: The wordings by language, and by writer: the author of the training grammar, and three who had not seen it.
_WORDINGS: dict[tuple[str, str], ModuleType] = {
    ("en", "author"): _english,
    ("ko", "author"): _korean,
    ("en", "first"): _first_english,
    ("ko", "first"): _first_korean,
    ("en", "second"): _second_english,
    ("ko", "second"): _second_korean,
    ("en", "third"): _third_english,
    ("ko", "third"): _third_korean,
}
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU](?!ne\b))")


def held_out_templates(program: Mapping[str, Any], language: str, *, writer: str = "author") -> Sequence[str]:
    """The templates for a program."""
    family = program["family"]
    wordings = _WORDINGS[language, writer]
    found: Sequence[str] = wordings.TEMPLATES[program["ask"] if family == "attribute" else family]
    return found


def held_out_question(
    program: Mapping[str, Any], template: str, rng: Random, language: str, *, writer: str = "author"
) -> str:
    """A template filled in for a program.

    Example:
        >>> held_out_question({"family": "where", "colour": "red", "shape": "cone"}, "{kind} ?", Random(0), "en")
        'Red cone ?'
    """
    words = _WORDINGS[language, writer]

    def name(kind: Mapping[str, Any], *, many: bool = False) -> str:
        colour, shape = kind.get("colour"), kind.get("shape")
        noun = rng.choice(words.SHAPES[shape] if shape is not None else words.THINGS)
        if many and language == "en":
            noun = words.PLURALS.get(noun, f"{noun}s")
        hue = "" if colour is None else rng.choice(words.COLOURS.get(colour, (colour,)))
        return f"{hue} {noun}".strip()

    slots: dict[str, str] = {}
    for slot in ("first", "second"):
        if slot in program:
            slots[slot] = name(program[slot])
    if "direction" in program:
        slots["place"] = rng.choice(words.PLACES[program["direction"]])
    if program["family"] == "distance":
        slots["more"] = rng.choice(words.MORE[program["ask"]])
    slots |= {"kind": name(program), "kinds": name(program, many=True)}
    if "colour" in program:
        slots["colour"] = rng.choice(words.COLOURS.get(program["colour"], (program["colour"],)))
    text = template.format(**slots)
    if language == "ko":
        return with_particles(text)
    text = _ARTICLE.sub(r"\1n ", text)
    return text[:1].upper() + text[1:] if template[0] == "{" else text
