"""Questions in English in many wordings: a frame for the program's family, filled with phrases, and small talk."""

import functools
import re
from collections.abc import Mapping
from random import Random
from typing import Any

from panollava_hf.panoshapes.families._family import Program
from panollava_hf.panoshapes.wordings._english_attributes import COLOUR, SHAPE
from panollava_hf.panoshapes.wordings._english_captions import CAPTION
from panollava_hf.panoshapes.wordings._english_comparisons import DISTANCE, DISTANCES, RELATIVE
from panollava_hf.panoshapes.wordings._english_counts import COUNT, EXISTENCE
from panollava_hf.panoshapes.wordings._english_directions import WHAT, WHERE
from panollava_hf.panoshapes.wordings._english_fillers import FILLERS, HARMLESS
from panollava_hf.panoshapes.wordings._english_habits import ABBREVIATIONS
from panollava_hf.panoshapes.wordings._english_names import (
    COLOUR_NAMES,
    SHAPE_ADJECTIVES,
    SHAPE_FEATURES,
    SHAPE_NAMES,
    SHAPE_PLURALS,
)
from panollava_hf.panoshapes.wordings._english_places import PLACES
from panollava_hf.panoshapes.wordings._english_words import CLOSINGS, COMMON, OPENINGS, POLITE
from panollava_hf.panoshapes.wordings._every_program import one_program_each
from panollava_hf.panoshapes.wordings._patterns import Slots, draw_text, pattern_words, pick

_FRAMES: Mapping[str, tuple[str, ...]] = {
    "what": WHAT,
    "where": WHERE,
    "count": COUNT,
    "existence": EXISTENCE,
    "relative": RELATIVE,
    "distance": DISTANCE,
    "caption": CAPTION,
}
#: The slots of every frame: general words, and the names of the colours and shapes.
_SLOTS: Mapping[str, tuple[str, ...]] = {
    **COMMON,
    **COLOUR_NAMES,
    **SHAPE_NAMES,
    **{f"many_{shape}": names for shape, names in SHAPE_PLURALS.items()},
    **{f"like_{shape}": names for shape, names in SHAPE_ADJECTIVES.items()},
    **{f"with_{shape}": phrases for shape, phrases in SHAPE_FEATURES.items()},
}
_DRESSED, _FILLED = 0.3, 0.12  # of the questions
_CONTRACTED, _UNIVERSAL = 0.3, 0.5


def english_frames(program: Program) -> tuple[str, ...]:
    """The frames for a program; empty if its family has none."""
    if program["family"] == "attribute":
        return COLOUR if program["ask"] == "colour" else SHAPE
    return _FRAMES.get(program["family"], ())


def english_slots(program: Program) -> Slots:
    """The phrases for a program, and the general words."""
    found: dict[str, tuple[str, ...]] = dict(_SLOTS)
    family = program["family"]
    if family == "what":
        found["place"] = PLACES[program["direction"]]
    elif family in ("relative", "distance"):
        found["first"], found["second"] = (_kinds(program[name]) for name in ("first", "second"))
        if family == "distance":
            found.update(DISTANCES[program["ask"]])
    elif family != "caption":
        found["kind"], found["kinds"] = _kinds(program), _kinds(program, many=True)
        if "colour" in program:
            found["hue"] = COLOUR_NAMES[program["colour"]]
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
        text = f"{draw_text(pick(rng, POLITE), slots, rng)}{pick(rng, (', ', ' ', ': '))}{_lower(text)}"
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
    texts = {*ABBREVIATIONS, *FILLERS, *HARMLESS, *OPENINGS, *POLITE, *CLOSINGS}
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
    return text if text.startswith(("I ", "I'")) else text[:1].lower() + text[1:]


def _kinds(kind: Mapping[str, Any], many: bool = False) -> tuple[str, ...]:
    return _kind_phrases(kind.get("colour"), kind.get("shape"), many)


@functools.cache
def _kind_phrases(colour: str | None, shape: str | None, many: bool) -> tuple[str, ...]:
    """Noun phrases without an article for a colour, a shape, both or neither; the usual one is the most frequent."""
    thing, is_, has, alike = ("{things}", "are", "have", "look") if many else ("{thing}", "is", "has", "looks")
    hue, adjective, one = f"{{{colour}}}", f"{{like_{shape}}}", f"{{{shape}}}"
    noun = f"{{many_{shape}}}" if many else one
    coloured = f"{hue}( |-)(coloured|colored|color|colour)"
    if colour is None and shape is None:
        return (*(thing,) * 6, f"(different|separate|single|geometric|solid|3D) {thing}", f"{thing} of any (kind|sort)")
    if colour is None:
        return (
            *(noun,) * 14,
            f"{adjective} {thing}",
            f"{adjective} {thing}",
            f"{thing} (shaped like|in the shape of|that {alike} like|which {alike} like|with the shape of) a {one}",
            f"{one}( |-)shaped {thing}",
            f"{thing} that {is_} {adjective}",
            f"{thing} {{with_{shape}}}",
        )
    if shape is None:
        return (
            *(f"{hue} {thing}",) * 11,
            f"{hue} (ones|things|objects)" if many else f"{hue} one",
            f"{thing} (that|which) {is_} {hue}",
            f"{coloured} {thing}",
            f"{thing} (painted|in|of colour|of color|with the colour|with the color|colored|coloured) {hue}",
            f"{thing} (with|of|that {has}) {hue} (colour|color)",
            f"{thing} {hue}",
        )
    return (
        *(f"{hue} {noun}",) * 24,
        f"{hue} {adjective} {thing}",
        f"{hue} {adjective} {thing}",
        f"{hue} {one}( |-)shaped {thing}",
        f"{coloured} {noun}",
        f"{noun} (that|which) {is_} {hue}",
        f"{noun} (in|painted|of colour|of color|coloured|colored) {hue}",
        f"{noun} (with|of|that {has}) {hue} (colour|color)",
        f"{noun} {hue}",
        f"{adjective} {thing} (in|that {is_}) {hue}",
        f"{hue} {thing} {{with_{shape}}}",
        f"{hue} {thing} (shaped like|that {alike} like|in the shape of) a {one}",
    )
