"""One held-out wording of a program."""

import re
from collections.abc import Mapping, Sequence
from random import Random
from types import ModuleType
from typing import Any

from panollava_hf.panoshapes.wordings._particles import with_particles

from tools.held_out_wordings import _english, _independent_english, _independent_korean, _korean

#: The wordings by language, and by whether they are those of an independent writer.
_WORDINGS: dict[tuple[str, bool], ModuleType] = {
    ("en", False): _english,
    ("ko", False): _korean,
    ("en", True): _independent_english,
    ("ko", True): _independent_korean,
}
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU](?!ne\b))")


def held_out_templates(program: Mapping[str, Any], language: str, *, independent: bool = False) -> Sequence[str]:
    """The templates for a program."""
    family = program["family"]
    wordings = _WORDINGS[language, independent]
    found: Sequence[str] = wordings.TEMPLATES[program["ask"] if family == "attribute" else family]
    return found


def held_out_question(
    program: Mapping[str, Any], template: str, rng: Random, language: str, *, independent: bool = False
) -> str:
    """A template filled in for a program.

    Example:
        >>> held_out_question({"family": "where", "colour": "red", "shape": "cone"}, "{kind} ?", Random(0), "en")
        'Red cone ?'
    """
    words = _WORDINGS[language, independent]

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
