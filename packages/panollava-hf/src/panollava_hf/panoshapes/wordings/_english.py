"""Questions in English in many wordings: a frame for the program's family, filled with phrases, and small talk."""

import functools
import re
from collections.abc import Mapping
from random import Random
from typing import Any

from panollava_hf.panoshapes.families._family import Program
from panollava_hf.panoshapes.wordings import _english_frames as frames
from panollava_hf.panoshapes.wordings._english_words import (
    CLOSINGS,
    COLOUR_NAMES,
    COMMON,
    FILLERS,
    HARMLESS,
    OPENINGS,
    PLACES,
    POLITE,
    SHAPE_ADJECTIVES,
    SHAPE_NAMES,
    plural,
)
from panollava_hf.panoshapes.wordings._every_program import one_program_each
from panollava_hf.panoshapes.wordings._patterns import Slots, draw_text, pattern_words, pick

_FRAMES: Mapping[str, tuple[str, ...]] = {
    "what": frames.WHAT,
    "where": frames.WHERE,
    "count": frames.COUNT,
    "existence": frames.EXISTENCE,
    "relative": frames.RELATIVE,
    "distance": frames.DISTANCE,
    "caption": frames.CAPTION,
}
#: Times that the usual name of a colour or shape stands in the list of its names.
_USUAL = 4
_DRESSED, _FILLED = 0.3, 0.12  # of the questions
_CONTRACTED, _UNIVERSAL = 0.3, 0.5


def english_frames(program: Program) -> tuple[str, ...]:
    """The frames for a program; empty if its family has none."""
    if program["family"] == "attribute":
        return frames.COLOUR if program["ask"] == "colour" else frames.SHAPE
    return _FRAMES.get(program["family"], ())


def english_slots(program: Program) -> Slots:
    """The phrases for a program, and the general words."""
    found: dict[str, tuple[str, ...]] = dict(COMMON)
    family = program["family"]
    if family == "what":
        found["place"] = PLACES[program["direction"]]
    elif family in ("relative", "distance"):
        found["first"], found["second"] = (_kinds(program[name]) for name in ("first", "second"))
        if family == "distance":
            found.update(frames.DISTANCES[program["ask"]])
    elif family != "caption":
        found["kind"], found["kinds"] = _kinds(program), _kinds(program, many=True)
        if "colour" in program:
            found["hue"] = _named(COLOUR_NAMES[program["colour"]])
    return found


def draw_english(program: Program, rng: Random) -> str | None:
    """Draw a question for a program, without typing errors; None if its family has no frames."""
    choices = english_frames(program)
    if not choices:
        return None
    slots = english_slots(program)
    text = draw_text(pick(rng, choices), slots, rng)
    chance = rng.random()
    if chance < _DRESSED / 3:
        text = f"{draw_text(pick(rng, OPENINGS), slots, rng)}, {_lower(text)}"
    elif chance < 2 * _DRESSED / 3:
        text = f"{pick(rng, POLITE)}{pick(rng, (', ', ' ', ': '))}{_lower(text)}"
    elif chance < _DRESSED:
        end = text[-1] if text[-1] in "?." else ""
        text = f"{text.rstrip('?.')}{pick(rng, (', ', ' '))}{draw_text(pick(rng, CLOSINGS), slots, rng)}{end}"
    if rng.random() < _FILLED:
        words = text.split(" ")
        for _ in range(1 + int(2 * rng.random())):
            words.insert(int(rng.random() * (len(words) + 1)), pick(rng, FILLERS))
        text = " ".join(words)
    return tidy(text)


def english_words() -> set[str]:
    """All words that the frames and phrases can contain, in lower case."""
    texts = {*FILLERS, *HARMLESS, *OPENINGS, *POLITE, *CLOSINGS}
    for program in one_program_each(COLOUR_NAMES, SHAPE_NAMES, PLACES):
        texts.update(english_frames(program), *english_slots(program).values())
    return pattern_words(texts)


def tidy(text: str) -> str:
    """Spaces, articles and a capital letter as they should be.

    >>> tidy("is there a orange cube ?")
    'Is there an orange cube?'
    """
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\s+([?.,;:])", r"\1", text)
    text = re.sub(r"\b([Aa]) (?=[aeiouAEIOU](?!ne\b))", r"\1n ", text)
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text if text.startswith("I ") else text[:1].lower() + text[1:]


def _named(names: tuple[str, ...]) -> tuple[str, ...]:
    return (names[0],) * _USUAL + names[1:]


def _alternatives(names: tuple[str, ...]) -> str:
    return f"({'|'.join(names)})"


def _kinds(kind: Mapping[str, Any], many: bool = False) -> tuple[str, ...]:
    return _kind_phrases(kind.get("colour"), kind.get("shape"), many)


@functools.cache
def _kind_phrases(colour: str | None, shape: str | None, many: bool) -> tuple[str, ...]:
    """Noun phrases without an article for a colour, a shape, both or neither; the usual one is the most frequent."""
    thing, is_ = ("{things}", "are") if many else ("{thing}", "is")
    noun = hue = adjective = ""
    if shape is not None:
        names = _named(SHAPE_NAMES[shape])
        noun = _alternatives(tuple(plural(name) for name in names) if many else names)
        adjective = _alternatives(SHAPE_ADJECTIVES[shape])
    if colour is not None:
        hue = _alternatives(_named(COLOUR_NAMES[colour]))
    coloured = f"{hue}( |-)(coloured|colored)"
    if colour is None and shape is None:
        return (thing, thing, thing, f"(different|separate|single|geometric|solid|3D) {thing}")
    if colour is None:
        return (
            *(noun,) * 8,
            f"{adjective} {thing}",
            f"{thing} (shaped like|that looks like|in the shape of) a {noun}" if not many else f"{adjective} {thing}",
        )
    if shape is None:
        return (
            *(f"{hue} {thing}",) * 6,
            f"{thing} that {is_} {hue}",
            f"{coloured} {thing}",
            f"{thing} (painted|in|of colour|of color|with the colour|which {is_}) {hue}",
        )
    return (
        *(f"{hue} {noun}",) * 12,
        f"{hue} {adjective} {thing}",
        f"{coloured} {noun}",
        f"{noun} (that|which) {is_} {hue}",
        f"{noun} (in|painted|of colour) {hue}",
    )
