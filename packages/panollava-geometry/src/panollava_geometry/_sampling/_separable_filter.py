"""The separable filter: a window of the panorama itself, low-passed by weighted means along its rows and columns.

The kernel is a box convolved with the bilinear kernel. The width of the box is chosen so that the variances of block
means, interpolation and box add up to the variance of the pixel's footprint, as in `_sampled_grid`.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from panollava_geometry._sampling._patch import Patch, as_full_turn
from panollava_geometry._views._equirectangular_view import EquirectangularView


@dataclass(frozen=True, eq=False)
class SeparableFilter:
    """Weighted means along the rows and along the columns of a reduced patch.

    Output row r is the sum of patch rows `row_index[r]`, weighted by `row_weight[r]`. Columns likewise.
    """

    patch: Patch
    row_index: Int[ndarray, "height row_taps"]
    row_weight: Float[ndarray, "height row_taps"]
    column_index: Int[ndarray, "width column_taps"]
    column_weight: Float[ndarray, "width column_taps"]

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.row_index.nbytes + self.row_weight.nbytes + self.column_index.nbytes + self.column_weight.nbytes


def plan_separable_filter(
    view: EquirectangularView, size: tuple[int, int], erp: tuple[int, int], align_corners: bool
) -> SeparableFilter:
    """Plan the filter of a window.

    Args:
        view: The window.
        size: Height and width of the output.
        erp: Height and width of the panorama.
        align_corners: The field of view spans the centres of the outer pixels.
    """
    height, width = erp
    ends = np.array([[0.5, 0.5], [size[1] - 0.5, size[0] - 0.5]])
    longitude, latitude = view.pixels_to_angles(ends, size, align_corners=align_corners)
    x, y = longitude * (width / (2 * np.pi)), (0.5 - latitude / np.pi) * height
    (left, right), (low, high) = view.longitude_range_deg, view.latitude_range_deg
    steps = []
    for ends_of_axis, count, extent in (
        (x, size[1], (right - left) / 360 * width),
        (y, size[0], (high - low) / 180 * height),
    ):
        steps.append((ends_of_axis[1] - ends_of_axis[0]) / (count - 1) if count > 1 else extent)
    columns, reduce_columns, column_index, column_weight = _axis_taps(float(x[0]), float(steps[0]), size[1])
    rows, reduce_rows, row_index, row_weight = _axis_taps(float(y[0]), float(steps[1]), size[0])
    patch = Patch(rows, columns, reduce_rows, reduce_columns)
    if columns[1] - columns[0] > width and width % (2 * reduce_columns) == 0 and height % reduce_rows == 0:
        wrap = max(-(width // 2) - columns[0], columns[1] - width + width // 2) // reduce_columns + 1
        patch = as_full_turn(patch, erp, wrap)
        # The taps count from the first column of the first patch; the full turn begins `wrap_columns` before the seam.
        column_index = column_index + (columns[0] - patch.columns[0]) // reduce_columns + patch.wrap_columns
    return SeparableFilter(patch, row_index, row_weight, column_index, column_weight)


def _axis_taps(
    start: float, step: float, count: int
) -> tuple[tuple[int, int], int, Int[ndarray, "count taps"], Float[ndarray, "count taps"]]:
    """Pixel range, reduction, indices and weights of `count` footprints of `step` pixels, the first around `start`."""
    level = 2 ** max(0, math.floor(math.log2(max(abs(step) / 2, 1))))
    box = math.sqrt(max(step**2 - (level**2 - 1) - 2 * level**2, 0)) / level
    centre = (start + step * np.arange(count)) / level - 0.5
    first = np.floor(centre - box / 2 - 1).astype(np.int64) + 1
    taps = math.ceil(box) + 2
    index = first[:, None] + np.arange(taps)
    offset = index - centre[:, None]
    if box < 1e-9:
        weight = np.maximum(1 - np.abs(offset), 0)
    else:
        weight = (_triangle_integral(offset + box / 2) - _triangle_integral(offset - box / 2)) / box
    weight /= weight.sum(axis=1, keepdims=True)
    low, high = int(index.min()), int(index.max()) + 1
    return (low * level, high * level), level, index - low, weight


def _triangle_integral(t: Float[ndarray, "*grid"]) -> Float[ndarray, "*grid"]:
    """Integral of the bilinear kernel max(0, 1 - |t|) from minus infinity to t."""
    t = np.clip(t, -1, 1)
    return np.asarray(np.where(t < 0, (1 + t) ** 2 / 2, 1 - (1 - t) ** 2 / 2))
