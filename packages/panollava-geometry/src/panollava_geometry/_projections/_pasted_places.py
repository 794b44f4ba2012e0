"""Where the pixels of a panorama are in a view, and the weight of the view there."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._fisheye_view import FisheyeView
from panollava_geometry._views._flat_views import CylindricalView
from panollava_geometry._views._perspective_view import PerspectiveView
from panollava_geometry._views._sphere import rotated_rays
from panollava_geometry._views._views import View

#: Weight at the very edge of a view, so that what only this view sees has a value.
_FAINTEST = 1e-6
#: How far beyond the edge of a view, in halves of its side, pixels are still seen: more than the rounding of float32.
_TOLERANCE = 1e-6


class PlacesInRows(NamedTuple):
    """The pixels of some rows and columns of a panorama."""

    #: The first column of the panorama.
    column: int
    #: Places in the view as `grid_sample` takes them. Those that the view does not see have no meaning.
    grid: Float[ndarray, "rows columns 2"]
    #: The weight of the view, 0 where it does not see the panorama.
    weight: Float[ndarray, "rows columns"]
    seen: Bool[ndarray, "rows columns"]


def places_in_rows(
    view: View, size: tuple[int, int], height: int, fine: int, rows: tuple[int, int], dtype: type[np.floating[Any]]
) -> list[PlacesInRows]:
    """The pixels that a view may see in some rows of a panorama: one or two rectangles, or none.

    Args:
        view: The view.
        size: Height and width of its image.
        height: Height of the panorama.
        fine: Places per pixel and axis.
        rows: The first row, and the row after the last one.
        dtype: Of the result.
    """
    erp = (height * fine, 2 * height * fine)
    density = size[0] * size[1] / float(view.solid_angles(size).sum())
    parts = []
    for first, last in _columns(view, height, rows):
        uv, seen = _places(view, size, erp, (rows[0] * fine, rows[1] * fine), (first * fine, last * fine), dtype)
        weight = (_weight(view, uv) * np.float32(density)) * seen
        if is_full_turn(view):  # the image has one more column on both sides
            uv[..., 0] *= dtype(size[1] / (size[1] + 2))
        parts.append(PlacesInRows(first, uv, weight.astype(dtype, copy=False), seen))
    return parts


def is_full_turn(view: View) -> bool:
    """Whether the left edge of a view continues its right edge."""
    if isinstance(view, CylindricalView):
        return view.hfov_deg >= 360 - 1e-6
    return isinstance(view, EquirectangularView) and float(np.diff(view.longitude_range_deg)[0]) >= 360 - 1e-6


def _places(
    view: View,
    size: tuple[int, int],
    erp: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    dtype: type[np.floating[Any]],
) -> tuple[Float[ndarray, "rows columns 2"], Bool[ndarray, "rows columns"]]:
    """Places (u, v), which run from -1 to 1 over the view, and which pixels it sees."""
    if not isinstance(view, PerspectiveView):
        rays = np.stack(rotated_rays(np.eye(3), erp, rows, columns), axis=-1)
        xy, seen = view.rays_to_pixels(rays, size)
        return np.where(seen[..., None], 2 * xy / [size[1], size[0]] - 1, 0).astype(dtype), seen
    x, y, z = rotated_rays(view.rotation.T, erp, rows, columns, dtype)
    seen = z > _TOLERANCE
    np.maximum(z, dtype(_TOLERANCE), out=z)
    half_width, half_height = np.tan(np.deg2rad(view.fov_deg) / 2)
    uv = np.empty((*z.shape, 2), dtype)
    for axis, (side, scale) in enumerate(((x, 1 / half_width), (y, -1 / half_height))):
        side /= z
        side *= dtype(scale)
        side += dtype(2 * view.principal_point[axis] - 1)
        uv[..., axis] = side
        seen &= np.abs(side) <= 1 + _TOLERANCE
    return uv, seen


def _weight(view: View, uv: Float[ndarray, "rows columns 2"]) -> Float[ndarray, "rows columns"]:
    """A weight that falls from the centre of a view to its edges, but not across edges that meet."""
    across, down = np.abs(uv[..., 0]), np.abs(uv[..., 1])
    if isinstance(view, FisheyeView):  # it falls towards the circle
        return np.asarray(np.maximum(1 - np.hypot(across, down), uv.dtype.type(_FAINTEST)))
    weight = np.ones_like(across)
    ends_of_rows = not is_full_turn(view)
    ends_of_columns = True
    if isinstance(view, EquirectangularView):
        low, high = view.latitude_range_deg
        ends_of_columns = low > -90 and high < 90
    for distance, counts in ((across, ends_of_rows), (down, ends_of_columns)):
        if counts:
            weight *= np.maximum(1 - distance, uv.dtype.type(_FAINTEST))
    return np.asarray(weight)


def _columns(view: View, height: int, rows: tuple[int, int]) -> list[tuple[int, int]]:
    """The columns that a view may see in some rows: of the smallest cone around a flat view, or all of them."""
    width = 2 * height
    if not isinstance(view, PerspectiveView):
        return [(0, width)]
    # the point of a flat view that is farthest from its axis is a corner
    axis, corners = view.rotation[:, 2], view.point_to_ray([[0, 0], [0, 1], [1, 0], [1, 1]])
    radius = math.acos(min(max(float((corners @ axis).min()), -1.0), 1.0)) + 1e-6
    latitude = math.asin(min(max(float(axis[1]), -1.0), 1.0))
    top, bottom = ((0.5 - row / height) * math.pi for row in rows)
    if top < latitude - radius or bottom > latitude + radius:
        return []
    if abs(latitude) + radius >= math.pi / 2:
        return [(0, width)]
    reach = math.asin(math.sin(radius) / math.cos(latitude))  # of a circle that contains no pole
    centre = math.atan2(axis[0], axis[2])
    first, last = (math.floor(((centre + side * reach) / (2 * math.pi) + 0.5) * width) for side in (-1, 1))
    last += 1
    if last - first >= width:
        return [(0, width)]
    if first < 0:
        return [(first + width, width), (0, last)]
    if last > width:
        return [(first, width), (0, last - width)]
    return [(first, last)]
