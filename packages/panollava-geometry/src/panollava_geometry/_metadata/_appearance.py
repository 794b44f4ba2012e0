"""Notes about images that have the shape of a full panorama but do not look like one.

Only a grid of pixels is read, so the cost does not depend on the size of the image.
"""

import functools
import warnings
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from panollava_geometry._errors import PanoramaWarning
from panollava_geometry._metadata._shape import Extent
from panollava_geometry._sources._formats import DUAL_FISHEYE_SUFFIX

Pixels = UInt8[ndarray, "height width 3"]
_VERY_SMALL = 32
#: Levels of the ground of a dual fisheye image, and how much brighter its circles are at least.
_DARK, _BRIGHTER = 48, 16
#: Neighbouring pixels of a column whose mean is taken.
_MEAN = 3


def note_appearance(panorama: Pixels, name: str, size: Extent) -> None:
    """Warn about an image that is very small, an unstitched dual fisheye image, or whose edges do not meet.

    Args:
        panorama: The panorama, at the scale at which it was decoded.
        name: Its name.
        size: Width and height of the file.
    """
    note = {
        "very small": f"the image is very small ({size[0]}x{size[1]} pixels)",
        "dual fisheye": "this looks like an unstitched dual fisheye image; export it as equirectangular from the "
        "camera's app, or convert it with dual_fisheye_to_equirect",
        "open edges": "left and right edges do not meet: is this a full panorama?",
        "": "",
    }[look(panorama, name, size)]
    if note:
        warnings.warn(PanoramaWarning(f"{name}: {note}"), stacklevel=2)


def look(panorama: Pixels, name: str, size: Extent) -> Literal["", "very small", "dual fisheye", "open edges"]:
    """What an image of the shape of a full panorama looks like; empty if it looks like a full panorama.

    Args:
        panorama: The image, at the scale at which it was decoded.
        name: Its name. The suffix .insp is that of dual fisheye cameras.
        size: Width and height of the file.
    """
    if size[0] < _VERY_SMALL:
        return "very small"
    if panorama.shape[0] < _VERY_SMALL:
        return ""  # too few pixels to look at
    insp = name.lower().endswith(DUAL_FISHEYE_SUFFIX)
    if is_dual_fisheye(panorama) or (insp and not edges_meet(panorama)):
        return "dual fisheye"
    return "" if edges_meet(panorama) else "open edges"


def edges_meet(image: Pixels) -> bool:
    """Whether the left edge of an image continues its right edge.

    The difference of the two edge columns must not exceed 0.4 of the difference of distant columns, or the largest
    difference of columns next to each other in a reduced copy. Noise and drawn edges have a large difference
    everywhere: nothing can be said about them, and they pass.
    """
    few = _grid(image, 32, 13)
    seam = _difference(few[:, 0], few[:, -1])
    far = _difference(few[:, 5:], few[:, :-5])
    if seam <= max(1, 0.4 * far):
        return True
    near = np.abs(np.diff(_grid(image, 64, 256), axis=1)).mean((0, 2)).max()
    return bool(seam <= 1.2 * near + 1)


def _grid(image: Pixels, rows: int, columns: int) -> Float[ndarray, "rows columns 3"]:
    """A grid of pixels, each the mean of `_MEAN` in a column. The first and the last column are those of the image."""
    places = _places(image.shape[0], image.shape[1], rows, columns)
    pixels: ndarray = image.reshape(-1, 3).take(places, axis=0).astype(np.float32)  # much faster than two indices
    total: ndarray = pixels[:, 0] + pixels[:, 1] + pixels[:, 2]
    return total / _MEAN


@functools.lru_cache(maxsize=64)
def _places(height: int, width: int, rows: int, columns: int) -> Int[ndarray, "rows 3 columns"]:
    """The pixels of a grid, as indices of the flattened image."""
    top = np.linspace(0, max(0, height - _MEAN), min(rows, height)).round().astype(int)
    left = np.linspace(0, width - 1, min(columns, width)).round().astype(int)
    row: ndarray = np.minimum(top[:, None] + np.arange(_MEAN), height - 1)
    places: ndarray = row[:, :, None] * width + left
    return places


def _difference(one: ndarray, other: ndarray) -> float:
    return float(np.abs(one - other).sum()) / one.size


def is_dual_fisheye(image: Pixels) -> bool:
    """Whether an image is two circles side by side on a dark ground, which is seen in the corners of each half."""
    if image.shape[0] < _VERY_SMALL:
        return False
    if image[:: image.shape[0] - 1, :: image.shape[1] - 1].max() > 2 * _DARK:  # the four corners of the image
        return False
    grid = _grid(image, 96, 192).max(-1)
    middle = grid.shape[1] // 2
    return all(_is_circle(half) for half in (grid[:, :middle], grid[:, middle:]))


def _is_circle(square: Float[ndarray, "rows columns"]) -> bool:
    """Whether a square is dark outside its inscribed circle, and brighter inside.

    A panorama with dark rows at the top and bottom is dark in the corners too, but as dark between them: the rows above
    or below the middle of a circle must be brighter than the corners.
    """
    y, x = (np.linspace(-1, 1, size) for size in square.shape)
    radius = np.hypot(y[:, None], x)
    between = (np.abs(x) < 0.2) & ((0.62 < np.abs(y)) & (np.abs(y) < 0.74))[:, None]
    corners, rims, middles = [], [], []
    for above in (True, False):
        half = ((y < 0) == above)[:, None]
        middles.append(float(np.median(square[half & between])))
        for left in (True, False):
            quadrant = half & ((x < 0) == left)
            corners.append(float(np.quantile(square[quadrant & (radius > 1.12)], 0.9)))
            rims.append(float(np.median(square[quadrant & (radius > 0.6) & (radius < 0.8)])))
    ground = float(np.mean(corners))
    return max(corners) <= _DARK and float(np.mean(rims)) > ground + _BRIGHTER and max(middles) > ground + _BRIGHTER
