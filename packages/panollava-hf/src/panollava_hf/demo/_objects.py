"""Coloured solids that a question or an answer names, and where the panorama shows one.

A checkpoint that answers in words says "back left", which is a sector of 45°. Where the object has a colour, the
largest area of that colour in the sector is the object, and its centre is a direction. This is read from the image; it
does not show what the answer rests on.
"""

import colorsys
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from panollava_geometry import load_equirectangular

from panollava_hf.demo._named_directions import NamedDirection, named_directions
from panollava_hf.panoshapes._scene import COLOUR_VALUES, SHAPES

if TYPE_CHECKING:
    from torch import Tensor

_COLOURS = tuple(COLOUR_VALUES)
_HUES = np.array([colorsys.rgb_to_hsv(*value)[0] for value in COLOUR_VALUES.values()], np.float32)
_COLOUR = re.compile(rf"\b({'|'.join(_COLOURS)})\b", re.IGNORECASE)
_SHAPE = re.compile(rf"\b({'|'.join(SHAPES)})\b", re.IGNORECASE)
_NAMED = re.compile(rf"\b({'|'.join(_COLOURS)}) ({'|'.join(SHAPES)})\b", re.IGNORECASE)
_NO = re.compile(r"\s*(?:no|none|nothing|zero|0)\b", re.IGNORECASE)
#: Width at which colours are compared, in pixels.
_WIDTH = 720
#: Least saturation, and difference of the largest and the smallest channel, of a coloured pixel.
_SATURATION, _CHROMA = 0.5, 0.25
#: How far a centre may be from the direction that is named: 22.5° and a margin. Above and below begin at 40°.
_REACH_DEG, _PITCH_DEG, _POLE_FROM_DEG = 26.0, 45.0, 35.0
#: Smallest area of an object in square degrees, and as a share of the largest of its colour.
_AREA, _SHARE = 4.0, 0.1


@dataclass(frozen=True)
class NamedObject:
    """An object that a question or answer names.

    Attributes:
        name: Colour and shape.
        colour: The colour.
        direction: Where it is according to the words around it; None if they do not say.
    """

    name: str
    colour: str
    direction: NamedDirection | None = None


def named_objects(question: str, answer: str) -> list[NamedObject]:
    """The objects that an answer is about, each once.

    Those that the answer names; if there are none, those of the question, unless the answer is "no".

    Example:
        >>> [found.name for found in named_objects("What colour is the cube?", "red")]
        ['red cube']
        >>> (found,) = named_objects("Where is the red cube?", "back left")
        >>> found.name, found.direction.yaw_deg
        ('red cube', -135.0)
    """
    found: dict[str, NamedObject] = {}
    clauses = re.split(r"[,;.\n]+", answer)
    for clause in clauses:
        names = _NAMED.findall(clause)
        places = named_directions(clause)
        for colour, shape in names:
            place = places[0] if len(names) == len(places) == 1 else None
            _add(found, colour, shape, place)
    asked = _directions_asked(question)
    if len(found) == 1 and len(asked) == 1:
        (only,) = found.values()
        return [only if only.direction else NamedObject(only.name, only.colour, asked[0])]
    if found or _NO.match(answer):
        return list(found.values())
    of_question = _NAMED.findall(question)
    if not of_question:
        colours, shapes = _COLOUR.findall(answer), _SHAPE.findall(answer)
        colours = colours or (_COLOUR.findall(question) if shapes else [])
        shapes = shapes or (_SHAPE.findall(question) if colours else [])
        if len(colours) == len(shapes) == 1:
            of_question = [(colours[0], shapes[0])]
    places = named_directions(answer)
    for colour, shape in of_question:
        _add(found, colour, shape, places[0] if len(places) == len(of_question) == 1 else None)
    return list(found.values())


@dataclass(frozen=True)
class Area:
    """A connected area of one colour: its centre and its size.

    Attributes:
        yaw_deg: Yaw of its centre.
        pitch_deg: Pitch of its centre.
        square_degrees: Its size.
    """

    yaw_deg: float
    pitch_deg: float
    square_degrees: float


def areas_of(image: "Tensor", colour: str, direction: NamedDirection) -> list[Area]:
    """The areas of a colour whose centres lie in a direction, the largest first.

    Args:
        image: `[3, H, 2H]` uint8.
        colour: One of PanoShapes' colours.
        direction: A sector of 45°, above or below.

    Returns:
        Areas of at least four square degrees and a tenth of the largest.
    """
    small = load_equirectangular(image, max_width=_WIDTH).permute(1, 2, 0).numpy()
    height, width = small.shape[:2]
    yaws = (np.arange(width) + 0.5) / width * 360 - 180
    pitches = 90 - (np.arange(height) + 0.5) / height * 180
    coloured = _of_colour(small, _COLOURS.index(colour))
    found = []
    for rows, columns in _parts(coloured):
        yaw, pitch = np.deg2rad(yaws[columns]), np.deg2rad(pitches[rows])
        weights = np.cos(pitch) * (360 / width) ** 2
        right, up, ahead = (
            float((weights * part).sum())
            for part in (np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw))
        )
        centre = float(np.degrees(np.arctan2(right, ahead))), float(np.degrees(np.arctan2(up, np.hypot(right, ahead))))
        if float(weights.sum()) >= _AREA and _in_direction(*centre, direction):
            found.append(Area(*centre, float(weights.sum())))
    found.sort(key=lambda area: -area.square_degrees)
    return [area for area in found if area.square_degrees >= _SHARE * found[0].square_degrees]


def _in_direction(yaw_deg: float, pitch_deg: float, direction: NamedDirection) -> bool:
    if abs(direction.pitch_deg) > 45:
        return pitch_deg * float(np.sign(direction.pitch_deg)) > _POLE_FROM_DEG
    return abs((yaw_deg - direction.yaw_deg + 180) % 360 - 180) <= _REACH_DEG and abs(pitch_deg) <= _PITCH_DEG


def _add(found: dict[str, NamedObject], colour: str, shape: str, place: NamedDirection | None) -> None:
    colour, name = colour.lower(), f"{colour} {shape}".lower()
    found.setdefault(name, NamedObject(name, colour, place))


def _directions_asked(question: str) -> list[NamedDirection]:
    """The directions in a question such as "What is to the back left?" or "What can you see above?"."""
    text = question.strip().rstrip("?").strip()
    words = text.split()
    return (
        named_directions(text) or named_directions(" ".join(words[-2:])) or named_directions(words[-1] if words else "")
    )


def _of_colour(image: NDArray[np.uint8], wanted: int) -> NDArray[np.bool_]:
    """Which pixels have a hue that is nearer to one colour than to the others, and are not grey."""
    values = image.astype(np.float32) / 255
    most, least = values.max(-1), values.min(-1)
    chroma = most - least
    red, green, blue = np.moveaxis(values, -1, 0)
    safe = np.maximum(chroma, 1e-6)
    hue = np.where(
        most == red,
        ((green - blue) / safe) % 6,
        np.where(most == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    distance = np.abs((hue[..., None] / 6 - _HUES + 0.5) % 1 - 0.5)
    found: NDArray[np.bool_] = (
        (distance.argmin(-1) == wanted) & (chroma > _SATURATION * np.maximum(most, 1e-6)) & (chroma > _CHROMA)
    )
    return found


def _parts(mask: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows and columns of each connected part of a mask; its left and right edges are neighbours."""
    height, width = mask.shape
    left = mask.copy()
    for start in np.argwhere(mask).tolist():
        if not left[start[0], start[1]]:
            continue
        left[start[0], start[1]] = False
        part, place = [(start[0], start[1])], 0
        while place < len(part):
            y, x = part[place]
            place += 1
            for other in ((y - 1, x), (y + 1, x), (y, (x - 1) % width), (y, (x + 1) % width)):
                if 0 <= other[0] < height and left[other]:
                    left[other] = False
                    part.append(other)
        rows, columns = zip(*part, strict=True)
        yield np.array(rows), np.array(columns)
