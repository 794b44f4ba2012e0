"""Directions that an answer names: "to your left", "behind you", "yaw 90°", "back left".

Words such as *left* or *back* mean a direction only in a phrase ("on the left") or where the answer is nothing else, as
those of checkpoints trained on PanoShapes ("back left", "red cube front, blue cone left"). "He left" is none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from panollava_hf.panoshapes._scene import SHAPES

_YAW = re.compile(
    r"yaw\s*(?:of|is|=|:|≈|about)?\s*([+\-−]?\d{1,3}(?:\.\d+)?)\s*(?:°|deg(?:rees)?)?"
    r"(?:[\s,;]*(?:and )?pitch\s*(?:of|is|=|:|≈|about)?\s*([+\-−]?\d{1,2}(?:\.\d+)?)(?:°| ?deg(?:rees)?)?)?",
    re.IGNORECASE,
)
_YOU = r"(?:you|me|us|the (?:camera|viewer))"
_PHRASES: tuple[tuple[str, float, float], ...] = tuple(
    [
        (rf"\b{fore}(?: {_YOU})?,? (?:and )?(?:slightly )?(?:to|on) (?:the|your|my|its) {side}\b", (f + s) / 2, 0.0)
        for fore, f in (("ahead", 0.0), ("in front", 0.0), ("behind", 180.0))
        for side, s in (("right", 90.0), ("left", -90.0 if f == 0 else 270.0))
    ]
    + [
        (rf"\b(?:to|on|at|in) (?:the|your|my) {fore}[ -]{side}\b", (f + s) / 2, 0.0)
        for fore, f in (("front", 0.0), ("back", 180.0), ("rear", 180.0))
        for side, s in (("right", 90.0), ("left", -90.0 if f == 0 else 270.0))
    ]
    + [
        (r"\b(?:to|on|at) (?:the|your|my) (?:far )?right(?:[ -]hand)?(?: side)?\b(?! (?:of|side of) )", 90.0, 0.0),
        (r"\b(?:to|on|at) (?:the|your|my) (?:far )?left(?:[ -]hand)?(?: side)?\b(?! (?:of|side of) )", -90.0, 0.0),
        (rf"\b(?:straight |directly |right )?(?:behind {_YOU}|at (?:the|your) back|to the back)\b", 180.0, 0.0),
        (rf"\b(?:straight |directly |right )?(?:in front of {_YOU}|ahead(?: of {_YOU})?|to the front)\b", 0.0, 0.0),
        (rf"\b(?:straight |directly |right )?(?:above|over) {_YOU}\b|\boverhead\b|\bstraight up\b", 0.0, 90.0),
        (
            rf"\b(?:straight |directly |right )?(?:below|beneath|under) {_YOU}\b|\bat your feet\b|\bstraight down\b",
            0.0,
            -90.0,
        ),
    ]
)
#: Parts of an answer that are nothing but a direction, or that put one after the name of a solid.
_BARE = {
    "front": (0.0, 0.0),
    "ahead": (0.0, 0.0),
    "right": (90.0, 0.0),
    "back": (180.0, 0.0),
    "behind": (180.0, 0.0),
    "left": (-90.0, 0.0),
    "above": (0.0, 90.0),
    "up": (0.0, 90.0),
    "below": (0.0, -90.0),
    "down": (0.0, -90.0),
    "front right": (45.0, 0.0),
    "back right": (135.0, 0.0),
    "back left": (-135.0, 0.0),
    "front left": (-45.0, 0.0),
}
_BARE_END = re.compile(rf"(?:^|\b(?:{'|'.join(SHAPES)}) )({'|'.join(sorted(_BARE, key=len, reverse=True))})$")
#: Most words of a part of an answer that may end with a bare direction.
_BARE_WORDS = 5


@dataclass(frozen=True)
class NamedDirection:
    """A direction that a text names.

    Attributes:
        words: How the text names it.
        yaw_deg: Yaw, in (-180, 180].
        pitch_deg: Pitch.
        start: Where in the text it begins.
    """

    words: str
    yaw_deg: float
    pitch_deg: float
    start: int


def named_directions(text: str) -> list[NamedDirection]:
    """The directions that an answer names, in order, each once.

    Example:
        >>> [found.yaw_deg for found in named_directions("A door is on your left, a car behind you.")]
        [-90.0, 180.0]
        >>> [found.yaw_deg for found in named_directions("back left")], named_directions("He left.")
        ([-135.0], [])
    """
    found: list[NamedDirection] = []
    for entry in sorted(
        [*_bare(text), *_phrases(text), *_written(text)], key=lambda entry: (entry.start, -len(entry.words))
    ):
        inside = any(other.start <= entry.start < other.start + len(other.words) for other in found)
        same = any((other.yaw_deg, other.pitch_deg) == (entry.yaw_deg, entry.pitch_deg) for other in found)
        if not inside and not same:
            found.append(entry)
    return found


def _written(text: str) -> Iterator[NamedDirection]:
    """Directions in degrees."""
    for match in _YAW.finditer(text):
        yaw, pitch = (float((part or "0").replace("−", "-")) for part in match.groups())
        if abs(yaw) <= 360 and abs(pitch) <= 90:
            yield NamedDirection(match[0].strip(" ,;"), _wrapped(yaw), pitch, match.start())


def _phrases(text: str) -> Iterator[NamedDirection]:
    for pattern, yaw, pitch in _PHRASES:
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield NamedDirection(match[0], _wrapped(yaw), pitch, match.start())


def _bare(text: str) -> Iterator[NamedDirection]:
    """Parts of a short answer that are a direction, or put one after a solid: "back left", "red cube front"."""
    start = 0
    parts = re.split(r"([,;.\n]+)", text)
    if any(len(part.split()) > _BARE_WORDS for part in parts[::2]):
        return
    for part, mark in zip(parts[::2], [*parts[1::2], ""], strict=True):
        words = part.strip().lower().replace("-", " ")
        match = _BARE_END.search(words)
        if match is not None:
            place = start + part.lower().replace("-", " ").index(words) + match.start(1)
            yield NamedDirection(text[place : place + len(match[1])], *_BARE[match[1]], place)
        start += len(part) + len(mark)


def _wrapped(yaw_deg: float) -> float:
    return 180.0 - (180.0 - yaw_deg) % 360.0
