"""Regions that a model named in text: "yaw -45, pitch 10, width 40", "(-45, 10)", "behind to the left", JSON.

Small models rarely keep to a format, so each line is read for angles first and then for words. What names no direction
is left out.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from panollava_hf.asking._directions import SECTORS

#: A longer reply is not a list of a few regions.
_MAX_CHARACTERS = 4000
#: Field of view of a region in degrees: the smallest, the one where none is named, the largest.
MIN_WIDTH_DEG, WIDTH_DEG, MAX_WIDTH_DEG = 30.0, 50.0, 90.0
#: Regions closer than this share of their width are one.
_SAME = 0.25
_TILT_DEG = 35.0

_NUMBER = r"[-+]?\d{1,4}(?:\.\d{1,6})?"
_OBJECT = re.compile(r"\{[^{}]*\}")
_START = re.compile(r"^\s*(?:[-*•]+\s+|\(?\d{1,2}[.)]\s+|(?:region|view|area)\s+\d{1,2}\s*[:.)]?\s+)+", re.IGNORECASE)
_BARE = re.compile(rf"^[\s(\[]*({_NUMBER})\s*[,;/ ]\s*({_NUMBER})(?:\s*[,;/ ]\s*({_NUMBER}))?[\s)\].,;]*(?:[:(].*)?$")
_NAMES = {"yaw": "yaw|longitude|azimuth", "pitch": "pitch|latitude|elevation", "width": "width|hfov|fov|size"}
_NAMED = {key: re.compile(rf"\b(?:{names})\b[^\w+-]{{0,4}}({_NUMBER})") for key, names in _NAMES.items()}
_WORDS = {
    **{words: (45.0 * sector, 0.0) for sector, words in enumerate(SECTORS)},
    **{words: (0.0, 0.0) for words in ("in front", "front", "forward", "straight on")},
    **{words: (180.0, 0.0) for words in ("back", "rear", "backward", "backwards")},
    **{words: (0.0, 90.0) for words in ("overhead", "straight up", "ceiling", "zenith")},
    **{words: (0.0, -90.0) for words in ("straight down", "floor", "ground", "nadir")},
    "above": (0.0, 90.0),
    "below": (0.0, -90.0),
}
_WORD = re.compile(rf"\b({'|'.join(sorted(map(re.escape, _WORDS), key=len, reverse=True))})\b")
_TILTS = re.compile(r"\b(upwards?|up|downwards?|down)\b")


@dataclass(frozen=True)
class NamedRegion:
    """A direction with a field of view, in degrees."""

    yaw_deg: float
    pitch_deg: float
    width_deg: float


def read_regions(text: str, most: int) -> list[NamedRegion]:
    r"""The first regions that a reply names, without repetitions.

    Args:
        text: The reply.
        most: Maximum number of regions.

    Example:
        >>> [(r.yaw_deg, r.pitch_deg, r.width_deg) for r in read_regions("1. yaw: 270°, pitch −10°\n2. above", 3)]
        [(-90.0, -10.0, 50.0), (0.0, 90.0, 50.0)]
        >>> read_regions("I cannot see that.", 3)
        []
    """
    found: list[NamedRegion] = []
    for unit in _units(text[:_MAX_CHARACTERS].lower()):
        region = _by_angles(unit) or _by_words(unit)
        if region is not None and not any(_same(region, other) for other in found):
            found.append(region)
        if len(found) == most:
            break
    return found[:most]


def _units(text: str) -> Iterator[str]:
    """The parts of a reply that name one region each: objects of JSON, else lines, else what follows each "yaw"."""
    text = re.sub(r"[−–—](?=\s?\d)", "-", text)
    text = re.sub(r"°|\bdegrees?\b|\bdeg\b|[\"'`*_]", " ", text)
    text = re.sub(r"[ \t]+", " ", text)
    for part in _OBJECT.findall(text) or text.splitlines():
        starts = [match.start() for match in re.finditer(rf"\b(?:{_NAMES['yaw']})\b", part)]
        for start, end in zip([0, *starts[1:]], [*starts[1:], len(part)], strict=True):
            unit = _START.sub("", part[start:end]).strip()
            if unit and not re.match(r"(none|no|nothing)\b", unit):
                yield unit


def _by_angles(unit: str) -> NamedRegion | None:
    if (yaw := _NAMED["yaw"].search(unit)) is not None:
        pitch, width = _NAMED["pitch"].search(unit), _NAMED["width"].search(unit)
        return _region(yaw[1], "0" if pitch is None else pitch[1], None if width is None else width[1])
    bare = _BARE.match(unit)
    return None if bare is None else _region(bare[1], bare[2], bare[3])


def _by_words(unit: str) -> NamedRegion | None:
    words = _WORD.search(unit)
    if words is None:
        return None
    yaw, pitch = _WORDS[words[1]]
    tilt = _TILTS.search(unit)
    if tilt is not None and pitch == 0:
        pitch = _TILT_DEG if tilt[1].startswith("up") else -_TILT_DEG
    width = _NAMED["width"].search(unit)
    return _region(str(yaw), str(pitch), None if width is None else width[1])


def _region(yaw: str, pitch: str, width: str | None) -> NamedRegion | None:
    """The region, or None if its numbers are not angles, for example pixels."""
    turned, raised = float(yaw), float(pitch)
    if abs(turned) > 360 or abs(raised) > 90:
        return None
    wide = WIDTH_DEG if width is None else float(width)
    return NamedRegion(180 - (180 - turned) % 360, raised, min(max(wide, MIN_WIDTH_DEG), MAX_WIDTH_DEG))


def _same(region: NamedRegion, other: NamedRegion) -> bool:
    a, b = ((math.radians(r.yaw_deg), math.radians(r.pitch_deg)) for r in (region, other))
    cosine = math.sin(a[1]) * math.sin(b[1]) + math.cos(a[1]) * math.cos(b[1]) * math.cos(a[0] - b[0])
    apart = math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))
    return apart < _SAME * min(region.width_deg, other.width_deg)
