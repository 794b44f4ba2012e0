"""One held-out wording of a program."""

from collections.abc import Mapping, Sequence
from random import Random
from types import ModuleType
from typing import Any

from panollava_hf.panoshapes.wordings._particles import with_particles

from tools.held_out_wordings import _english, _korean

_LANGUAGES: dict[str, ModuleType] = {"en": _english, "ko": _korean}


def held_out_templates(program: Mapping[str, Any], language: str) -> Sequence[str]:
    """The templates for a program."""
    family = program["family"]
    found: Sequence[str] = _LANGUAGES[language].TEMPLATES[program["ask"] if family == "attribute" else family]
    return found


def held_out_question(program: Mapping[str, Any], template: str, rng: Random, language: str) -> str:
    """A template filled in for a program.

    Example:
        >>> held_out_question({"family": "where", "colour": "red", "shape": "cone"}, "{kind} ?", Random(0), "en")
        'Red cone ?'
    """
    words = _LANGUAGES[language]

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
    text = text.replace(" a orange", " an orange")
    return text[:1].upper() + text[1:] if template[0] == "{" else text
