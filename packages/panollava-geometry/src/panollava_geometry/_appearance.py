"""Notes about images that have the shape of a full panorama but do not look like one.

Only a grid of pixels is read, so the cost does not depend on the size of the image.
"""

import warnings

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from panollava_geometry._errors import PanoramaWarning
from panollava_geometry._formats import DUAL_FISHEYE_SUFFIX

Pixels = UInt8[ndarray, "height width 3"]
_VERY_SMALL = 32


def note_appearance(panorama: Pixels, name: str) -> None:
    """Warn about a panorama that is very small, an unstitched dual fisheye image, or not closed at its left and right."""
    height, width = panorama.shape[:2]
    insp = name.lower().endswith(DUAL_FISHEYE_SUFFIX)
    note = ""
    if width < _VERY_SMALL:
        note = f"the image is very small ({width}x{height} pixels)"
    elif is_dual_fisheye(panorama) or (insp and not edges_meet(panorama)):
        note = "this looks like an unstitched dual fisheye image; export it as equirectangular from the camera's app"
    elif not edges_meet(panorama):
        note = "left and right edges do not meet: is this a full panorama?"
    if note:
        warnings.warn(PanoramaWarning(f"{name}: {note}"), stacklevel=2)


def edges_meet(image: Pixels) -> bool:
    """Whether the left edge of an image continues its right edge.

    The difference of the two edge columns is compared with the differences of neighbouring columns elsewhere. Where
    these are large too, as in noise, nothing can be said, and the edges are taken to meet.
    """
    seam, inside, apart = edge_differences(image)
    return seam <= max(3 * inside + 2, 0.35 * apart)


def edge_differences(image: Pixels, samples: int = 64, rows: int = 48) -> tuple[float, float, float]:
    """Mean differences of the edge columns, of neighbouring columns (a high quantile), and of distant columns."""
    height, width = image.shape[:2]
    columns = np.unique(np.linspace(1, width - 2, samples).round().astype(int))
    bands = _bands(height, rows)
    left, right = _profile(image, bands, np.array([0])), _profile(image, bands, np.array([width - 1]))
    here, there = _profile(image, bands, columns), _profile(image, bands, columns + 1 - (columns == width - 2) * 2)
    neighbours = np.abs(here - there).mean((0, 2))
    distant = np.abs(here - np.roll(here, len(columns) // 3, axis=1)).mean((0, 2))
    return float(np.abs(left - right).mean()), float(np.quantile(neighbours, 0.9)), float(np.median(distant))


def _bands(height: int, rows: int) -> ndarray:
    """Row indices `[rows, 4]`: neighbouring rows whose mean is taken."""
    starts = np.linspace(0, max(0, height - 4), min(rows, height)).round().astype(int)
    return np.minimum(starts[:, None] + np.arange(4), height - 1)


def _profile(image: Pixels, bands: ndarray, columns: ndarray) -> Float[ndarray, "rows columns 3"]:
    return image[bands[:, :, None], columns[None, None]].mean(1, dtype=np.float32)


def is_dual_fisheye(image: Pixels) -> bool:
    """Whether an image is two circles side by side on a dark ground."""
    height, width = image.shape[:2]
    x = (np.arange(192) + 0.5) / 192
    y = (np.arange(96) + 0.5) / 96
    grid = image[(y * height).astype(int)[:, None], (x * width).astype(int)].max(-1).astype(np.float32)
    return all(_is_circle(half) for half in (grid[:, :96], grid[:, 96:]))


def _is_circle(square: Float[ndarray, "side side"]) -> bool:
    """Whether the corners of a square outside its inscribed circle are dark, and the circle is not, in every quadrant."""
    side = np.linspace(-1, 1, square.shape[0])
    radius = np.hypot(side[:, None], side)
    outside, rim = radius > 1.1, (radius > 0.6) & (radius < 0.8)
    half = square.shape[0] // 2
    corners, rims = [], []
    for rows in (slice(None, half), slice(half, None)):
        for columns in (slice(None, half), slice(half, None)):
            part = square[rows, columns]
            corners.append(float(np.quantile(part[outside[rows, columns]], 0.9)))
            rims.append(float(np.median(part[rim[rows, columns]])))
    return max(corners) < 48 and np.mean(rims) > np.mean(corners) + 16
