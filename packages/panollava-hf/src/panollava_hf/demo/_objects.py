"""Coloured solids that a question or an answer names, and where the panorama shows one.

A checkpoint that answers in words says "back left", which is a sector of 45°. Where the object has a colour, the
largest area of that colour in the sector is the object, and its centre is a direction. This is read from the image; it
does not show what the answer rests on.
"""

import colorsys
import re
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
#: Half of the width of the sector that is searched: 22.5° and a margin; and the pitch that it ends at.
_REACH_DEG, _PITCH_DEG, _POLE_FROM_DEG = 30.0, 60.0, 30.0
#: Smallest area of an object, in square degrees.
_AREA = 4.0


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


def centre_of(image: "Tensor", colour: str, direction: NamedDirection) -> tuple[float, float] | None:
    """Yaw and pitch of the centre of the largest area of a colour in a direction, in degrees.

    Args:
        image: `[3, H, 2H]` uint8.
        colour: One of PanoShapes' colours.
        direction: A sector of 45°, above or below.

    Returns:
        None if there is no area of that colour of at least four square degrees.
    """
    small = load_equirectangular(image, max_width=_WIDTH).permute(1, 2, 0).numpy()
    height, width = small.shape[:2]
    yaws = (np.arange(width) + 0.5) / width * 360 - 180
    pitches = 90 - (np.arange(height) + 0.5) / height * 180
    coloured = _of_colour(small, _COLOURS.index(colour))
    if abs(direction.pitch_deg) < 45:
        centre = direction.yaw_deg
        in_reach = np.abs((yaws - centre + 180) % 360 - 180)[None] <= _REACH_DEG
        in_reach = in_reach & (np.abs(pitches) <= _PITCH_DEG)[:, None]
    else:
        centre = 0.0
        in_reach = np.broadcast_to((np.sign(direction.pitch_deg) * pitches > _POLE_FROM_DEG)[:, None], coloured.shape)
    area = np.cos(np.deg2rad(pitches))[:, None] * (360 / width) ** 2
    part = _largest(coloured, coloured & in_reach, np.broadcast_to(area, coloured.shape))
    if part is None:
        return None
    weights = np.where(part, area, 0)
    yaw, pitch = np.deg2rad(yaws)[None], np.deg2rad(pitches)[:, None]
    right = float((weights * np.cos(pitch) * np.sin(yaw)).sum())
    ahead = float((weights * np.cos(pitch) * np.cos(yaw)).sum())
    up = float((weights * np.sin(pitch)).sum())
    return float(np.degrees(np.arctan2(right, ahead))), float(np.degrees(np.arctan2(up, np.hypot(right, ahead))))


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


def _largest(mask: NDArray[np.bool_], seeds: NDArray[np.bool_], area: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    """The connected part of a mask with the largest area at the seeds; left and right edges are neighbours."""
    height, width = mask.shape
    open_, best, best_area = mask.copy(), list[tuple[int, int]](), _AREA
    for start in zip(*map(list, np.nonzero(seeds)), strict=True):
        if not open_[start]:
            continue
        open_[start] = False
        part, size, place = [start], 0.0, 0
        while place < len(part):
            y, x = part[place]
            place += 1
            if seeds[y, x]:
                size += float(area[y, x])
            for other in ((y - 1, x), (y + 1, x), (y, (x - 1) % width), (y, (x + 1) % width)):
                if 0 <= other[0] < height and open_[other]:
                    open_[other] = False
                    part.append(other)
        if size > best_area:
            best, best_area = part, size
    if not best:
        return None
    found = np.zeros_like(mask)
    rows, columns = zip(*best, strict=True)
    found[list(rows), list(columns)] = True
    return found
