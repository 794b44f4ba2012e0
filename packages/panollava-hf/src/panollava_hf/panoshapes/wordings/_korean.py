"""Questions in Korean in many wordings: a frame for the program's family, filled with phrases and fitting particles."""

import functools
import re
from collections.abc import Mapping
from random import Random
from typing import Any

from panollava_hf.panoshapes.families._family import Program
from panollava_hf.panoshapes.wordings import _korean_frames as frames
from panollava_hf.panoshapes.wordings._every_program import one_program_each
from panollava_hf.panoshapes.wordings._korean_words import (
    CLOSINGS,
    COLOUR_NAMES,
    COMMON,
    FILLERS,
    HARMLESS,
    OPENINGS,
    PLACES,
    SHAPE_NAMES,
)
from panollava_hf.panoshapes.wordings._particles import PAIR, with_particles
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
_DRESSED, _FILLED = 0.2, 0.12  # of the questions
_USUAL = 2


def korean_frames(program: Program) -> tuple[str, ...]:
    """The frames for a program; empty if its family has none."""
    if program["family"] == "attribute":
        return frames.COLOUR if program["ask"] == "colour" else frames.SHAPE
    return _FRAMES.get(program["family"], ())


def korean_slots(program: Program) -> Slots:
    """The phrases for a program, and the general words."""
    found: dict[str, tuple[str, ...]] = dict(COMMON)
    family = program["family"]
    if family == "what":
        found["place"] = PLACES[program["direction"]]
    elif family in ("relative", "distance"):
        found["first"], found["second"] = (_kinds(program[name]) for name in ("first", "second"))
        found["sides"] = frames.SIDES
        if family == "distance":
            found.update(frames.DISTANCES[program["ask"]])
    elif family != "caption":
        found["kind"] = _kinds(program)
    return found


def draw_korean(program: Program, rng: Random) -> str | None:
    """Draw a question for a program; None if its family has no frames."""
    choices = korean_frames(program)
    if not choices:
        return None
    slots = korean_slots(program)
    text = draw_text(pick(rng, choices), slots, rng)
    chance = rng.random()
    if chance < _DRESSED / 2:
        text = f"{draw_text(pick(rng, OPENINGS), slots, rng)} {text}"
    elif chance < _DRESSED:
        text = f"{text} {pick(rng, CLOSINGS)}"
    if rng.random() < _FILLED:
        words = text.split(" ")
        words.insert(int(rng.random() * len(words)), pick(rng, FILLERS))
        text = " ".join(words)
    text = with_particles(re.sub(r"\s+", " ", text).strip())
    # A word that ends a request or an exclamation before a question mark.
    return re.sub(r"(세요|줘|어요|봐)\?$", lambda found: found[0] if found[1] == "어요" else f"{found[1]}.", text)


def korean_words() -> set[str]:
    """All words that the frames and phrases can contain, without the particles that follow a slot."""
    texts = {*FILLERS, *HARMLESS, *OPENINGS, *CLOSINGS}
    for program in one_program_each(COLOUR_NAMES, SHAPE_NAMES, PLACES):
        texts.update(korean_frames(program), *korean_slots(program).values())
    return pattern_words(map(both_forms, texts))


def both_forms(pattern: str) -> str:
    """A pattern with both forms of each particle as separate words."""
    return PAIR.sub(lambda pair: f" {pair[1]} {pair[2]} ", pattern)


def _kinds(kind: Mapping[str, Any]) -> tuple[str, ...]:
    return _kind_phrases(kind.get("colour"), kind.get("shape"))


@functools.cache
def _kind_phrases(colour: str | None, shape: str | None) -> tuple[str, ...]:
    """Noun phrases for a colour, a shape, both or neither."""
    noun = f"({'|'.join((SHAPE_NAMES[shape][0],) * _USUAL + SHAPE_NAMES[shape])})" if shape is not None else ""
    hue = f"({'|'.join(COLOUR_NAMES[colour])})" if colour is not None else ""
    if colour is None and shape is None:
        return ("{thing}", "{thing}", "{thing}들", "모든 {thing}", "전체 {thing}")
    if colour is None:
        return (noun, noun, noun, noun, f"{noun} 모양 {{thing}}", f"{noun} 모양의 {{thing}}")
    if shape is None:
        return (*(f"{hue} {{thing}}",) * 5, f"{hue} 것")
    return (*(f"{hue} {noun}",) * 8, f"{hue} {noun} 모양")
