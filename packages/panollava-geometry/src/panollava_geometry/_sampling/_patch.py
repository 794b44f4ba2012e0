"""The patch: the rectangle of the panorama that one view needs, and how it is reduced before it is read."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

#: Bands of rows in which the needed columns of a patch are found.
_NEEDED_BANDS = 12
#: The largest share of a patch that is worth being made in parts.
_WORTHWHILE = 0.8


@dataclass(frozen=True, eq=False)
class Patch:
    """A rectangle of the panorama in pixels. Columns count from the anchor, rows from the top.

    Both ranges may exceed the image: columns wrap around, rows continue over the pole on the opposite meridian.
    A patch of a full turn contains every column once and no row twice. It is extended after its reduction, which saves
    a copy at full size.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    #: Pixels per block mean, along each axis.
    reduce_rows: int
    reduce_columns: int
    full_turn: bool = False
    #: Extension of a full turn after the reduction: columns on both sides, and rows above and below.
    wrap_columns: int = 0
    pole_rows: tuple[int, int] = (0, 0)
    #: Smoothing along the rows near a pole: (first row, last row, width), in reduced pixels.
    polar_bands: tuple[tuple[int, int, int], ...] = ()
    #: The parts that a view reads: (first row, last row, first column, last column), in reduced pixels after smoothing
    #: and before the extension. Empty: the whole patch.
    needed: tuple[tuple[int, int, int, int], ...] = ()


def polar_width(cos_latitude: Float[ndarray, " rows"]) -> Int[ndarray, " rows"]:
    """Odd number of columns that is about as wide as one row is high.

    From 9 on it grows in steps, so that there are few bands.
    """
    width = 2 * np.floor(1 / (2 * np.maximum(cos_latitude, 1e-6))).astype(np.int64) + 1
    steps = np.array([1, 3, 5, 7, 9] + [m * 2**e + 1 for e in range(2, 16) for m in (3, 4)])
    return np.asarray(steps[np.searchsorted(steps, width, side="right") - 1])


def patch_around(
    columns: tuple[float, float],
    rows: tuple[float, float],
    erp: tuple[int, int],
    level: int,
    polar: bool,
) -> Patch:
    """The smallest patch that contains every pixel read at some points, and the columns polar smoothing needs.

    Args:
        columns: First and last place along the rows of the reduced panorama, counted from the anchor.
        rows: First and last place along the columns of the reduced panorama.
        erp: Height and width of the panorama.
        level: Pixels per block mean, along both axes.
        polar: Smooth the rows near a pole.
    """
    height, width = erp
    low_row = math.floor(rows[0] - 0.5) * level
    high_row = (math.floor(rows[1] - 0.5) + 2) * level
    bands: list[tuple[int, int, int]] = []
    if polar:
        latitude = ((np.arange(low_row, high_row, level) + level / 2) / height - 0.5) * np.pi
        widths = polar_width(np.abs(np.cos(latitude)))
        starts = [0, *(np.flatnonzero(np.diff(widths)) + 1).tolist(), len(widths)]
        bands = [(first, last, int(widths[first])) for first, last in itertools.pairwise(starts) if widths[first] > 1]
    margin = max((band_width // 2 for _, _, band_width in bands), default=0)
    low = (math.floor(columns[0] - 0.5) - margin) * level
    high = (math.floor(columns[1] - 0.5) + 2 + margin) * level
    patch = Patch((low_row, high_row), (low, high), level, level, polar_bands=tuple(bands))
    if high - low <= 0.75 * width or width % (2 * level) != 0:
        return patch
    half = width / (2 * level)  # points beyond the seam, which the extension must contain
    beyond = math.ceil(max(columns[1] - half, -half - columns[0], 0))
    return as_full_turn(patch, erp, 1 + beyond)


def with_needed(patch: Patch, ranges: Float[ndarray, "parts 4"]) -> Patch:
    """The same patch, with the parts of it that are read.

    Args:
        patch: The patch.
        ranges: (first column, last column, first row, last row) of all points in one part of the view, on the patch
            after its extension, where the centre of the first pixel is 0.
    """
    rows = (patch.rows[1] - patch.rows[0]) // patch.reduce_rows
    width = (patch.columns[1] - patch.columns[0]) // patch.reduce_columns
    above, below = patch.pole_rows
    wrap = patch.wrap_columns
    parts: list[tuple[int, int, int, int]] = []
    edges = [rows * step // _NEEDED_BANDS for step in range(_NEEDED_BANDS + 1)]
    for top, bottom in itertools.pairwise(edges):
        read = [part for part in ranges.tolist() if part[2] - above < bottom and part[3] - above > top - 2]
        if top == bottom or not (read or (above and top == 0) or (below and bottom == rows)):
            continue
        left = min((math.floor(part[0]) for part in read), default=0) - wrap
        right = max((math.floor(part[1]) for part in read), default=0) + 2 - wrap
        half = max((size // 2 for first, last, size in patch.polar_bands if first < bottom and last > top), default=0)
        beyond = patch.full_turn and (left - half < 2 * wrap or right + half > width - 2 * wrap)
        if beyond or top < above or rows - bottom < below:
            left, right = 0, width
        left, right = max(left, 0), min(right, width)
        if parts and parts[-1][1] == top and parts[-1][2:] == (left, right):
            top = parts.pop()[0]
        parts.append((top, bottom, left, right))
    area = sum((bottom - top) * (right - left) for top, bottom, left, right in parts)
    return replace(patch, needed=tuple(parts)) if area <= _WORTHWHILE * rows * width else patch


def as_full_turn(patch: Patch, erp: tuple[int, int], wrap_columns: int) -> Patch:
    """The same patch as a full turn, with every column once and `wrap_columns` added after its reduction."""
    height, width = erp
    rows = (max(patch.rows[0], 0), min(patch.rows[1], height))
    pole_rows = ((rows[0] - patch.rows[0]) // patch.reduce_rows, (patch.rows[1] - rows[1]) // patch.reduce_rows)
    bands = tuple(
        (max(first - pole_rows[0], 0), min(last - pole_rows[0], (rows[1] - rows[0]) // patch.reduce_rows), band_width)
        for first, last, band_width in patch.polar_bands
    )
    return replace(
        patch,
        rows=rows,
        columns=(-(width // 2), width - width // 2),
        full_turn=True,
        wrap_columns=wrap_columns,
        pole_rows=pole_rows,
        polar_bands=tuple(band for band in bands if band[0] < band[1]),
    )
