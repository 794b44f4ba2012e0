"""Questions in Korean in many wordings: a frame for the program's family, filled with phrases and fitting particles."""

import functools
import re
from collections.abc import Mapping
from random import Random
from typing import Any

from panollava_hf.panoshapes.families._family import Program
from panollava_hf.panoshapes.wordings import _korean_amounts as amounts
from panollava_hf.panoshapes.wordings import _korean_attributes as attributes
from panollava_hf.panoshapes.wordings import _korean_comparisons as comparisons
from panollava_hf.panoshapes.wordings import _korean_frames as frames
from panollava_hf.panoshapes.wordings._every_program import one_program_each
from panollava_hf.panoshapes.wordings._korean_names import COLOUR_NAMES, COLOUR_NOUNS, SHAPE_LOOKS, SHAPE_NAMES
from panollava_hf.panoshapes.wordings._korean_noise import misspelt
from panollava_hf.panoshapes.wordings._korean_places import LOOKS, PLACES
from panollava_hf.panoshapes.wordings._korean_words import CLOSINGS, COMMON, FILLERS, HARMLESS, OPENINGS
from panollava_hf.panoshapes.wordings._particles import PAIR, with_particles
from panollava_hf.panoshapes.wordings._patterns import Slots, draw_text, pattern_words, pick

_FRAMES: Mapping[str, tuple[str, ...]] = {
    "what": frames.WHAT,
    "where": frames.WHERE,
    "count": amounts.COUNT,
    "existence": amounts.EXISTENCE,
    "relative": comparisons.RELATIVE,
    "distance": comparisons.DISTANCE,
    "caption": frames.CAPTION,
}
_DRESSED, _FILLED = 0.2, 0.12  # of the questions
#: Of several marks and spaces at the end of a sentence, the first mark counts: a request may stand before a "?".
_MARKS = re.compile(r" *([.?!])(?: *[.?!,:])+|,(?=[?.!])| +(?=[,?.!])")
#: A request that does not have a mark of its own.
_REQUEST = re.compile(r"((?<![아으])세요|줘요?|봐|시오|부탁해요?|부탁드려요|좀|부탁)\?$")
#: How "what" and "thing" are said before an ending: "뭔가요" instead of "뭐인가요".
_CONTRACTED = {
    **{"뭐인": "뭔", "뭐입": "뭡", "뭐일": "뭘", "거인": "건", "거입": "겁", "거일": "걸"},
    **{"거가 ": "게 ", "거의 ": "것의 "},
}
_WHOLE = re.compile("|".join(_CONTRACTED))


def korean_frames(program: Program) -> tuple[str, ...]:
    """The frames for a program; empty if its family has none."""
    family = program["family"]
    if family == "attribute":
        return attributes.COLOUR if program["ask"] == "colour" else attributes.SHAPE
    if family == "count" and len(program) == 1:
        return _COUNT_ALL
    return _FRAMES.get(family, ())


_COUNT_ALL = amounts.COUNT + amounts.COUNT_ALL * 2


def korean_slots(program: Program) -> Slots:
    """The phrases for a program, and the general words."""
    found: dict[str, tuple[str, ...]] = dict(COMMON)
    family = program["family"]
    if family == "what":
        found["place"], found["look"] = PLACES[program["direction"]], LOOKS[program["direction"]]
    elif family in ("relative", "distance"):
        found["first"], found["second"] = (_kinds(program[name]) for name in ("first", "second"))
        if family == "relative":
            found["sides"], found["based"] = comparisons.SIDES, comparisons.BASED
        else:
            found.update(comparisons.DISTANCES[program["ask"]])
    elif family != "caption":
        found["kind"] = _kinds(program)
        if family == "attribute":
            found["hues"], found["solids"] = attributes.HUES, attributes.SOLIDS
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
    return tidy(text)


def tidy(text: str) -> str:
    """Particles, spaces, contractions and one mark at the end of a sentence as they should be.

    >>> tidy("빨간  공이/가 어디에 있는지 알려 줘.?"), tidy("앞에 있는 거은/는 뭐인가요?")
    ('빨간 공이 어디에 있는지 알려 줘.', '앞에 있는 거는 뭔가요?')
    """
    text = _MARKS.sub(lambda found: found[1] or "", with_particles(" ".join(text.split())))
    text = _WHOLE.sub(lambda found: _CONTRACTED[found[0]], text)
    return _REQUEST.sub(r"\1.", text) if text.endswith("?") else text


def korean_words() -> set[str]:
    """All words that the frames and phrases can contain, without the particles that follow a slot."""
    texts = {*FILLERS, *HARMLESS, *OPENINGS, *CLOSINGS}
    for program in one_program_each(COLOUR_NAMES, SHAPE_NAMES, PLACES):
        texts.update(korean_frames(program), *korean_slots(program).values())
    words = pattern_words(map(both_forms, texts))
    return words | {error for word in words for error in misspelt(word)}


def both_forms(pattern: str) -> str:
    """A pattern with both forms of each particle as separate words."""
    return PAIR.sub(lambda pair: f" {pair[1]} {pair[2]} ", pattern)


def _kinds(kind: Mapping[str, Any]) -> tuple[str, ...]:
    return _kind_phrases(kind.get("colour"), kind.get("shape"))


def _any(names: tuple[str, ...]) -> str:
    return f"({'|'.join(names)})"


@functools.cache
def _kind_phrases(colour: str | None, shape: str | None) -> tuple[str, ...]:
    """Noun phrases for a colour, a shape, both or neither; the usual one is the most frequent."""
    if colour is None and shape is None:
        return (
            *("{thing}",) * 6,
            *("{thing}들",) * 2,
            "모든 {thing}",
            "전체 {thing}",
            "보이는 {thing}",
            "{thing} 전체",
        )
    noun = look = hue = paint = ""
    if shape is not None:
        noun, look = _any(SHAPE_NAMES[shape]), _any(SHAPE_LOOKS[shape])
    if colour is not None:
        hue, paint = _any(COLOUR_NAMES[colour]), _any(COLOUR_NOUNS[colour])
    painted = "[의|의|을/를 띤|을/를 띠는|으로/로 칠해진|으로/로 된|을/를 가진| 계열의|으로/로 칠한|으로/로 보이는]"
    if colour is None:
        return (
            *(noun,) * 20,
            *(f"{look} {{thing}}", f"{look} {{one}}") * 2,
            *(
                f"{noun} 모양 {{thing}}",
                f"{noun} 모양의 {{thing}}",
                f"{noun}처럼 생긴 {{thing}}",
                f"{noun}같이 생긴 {{one}}",
            ),
        )
    if shape is None:
        return (
            *(f"{hue} {{thing}}",) * 8,
            *(f"{hue} {{one}}",) * 4,
            *(f"{paint}{painted} {{thing}}",) * 2,
            f"{paint}{painted} {{one}}",
        )
    return (
        *(f"{hue} {noun}",) * 24,
        f"{hue} {noun} 모양",
        *(f"{hue} {look} {{thing}}", f"{hue} {look} {{one}}", f"{look} {hue} {{thing}}"),
        *(f"{paint}{painted} {noun}",) * 3,
        f"{noun} 모양의 {hue} {{thing}}",
        f"{hue} {noun} 모양 {{thing}}",
        f"{hue}{noun}",
    )
