"""The sampled grid: a view read bilinearly at n x n points per pixel, which are then averaged.

The target is the mean over the footprint of each output pixel. Block means, bilinear interpolation and the spread of
the points each blur the image by a known variance. The points are spread so that these variances add up to the variance
of the footprint, in every direction and at every pixel. This is Heckbert's elliptical footprint
(https://www.cs.cmu.edu/~ph/texfund/texfund.pdf) less the blur of the reconstruction. Where the view magnifies the
panorama, plain bilinear interpolation remains.

Perspective views are planned by `_perspective_grid` in float32. All others, float64 panoramas, and the pixels around a
pole are planned here in float64, from differences between the rays of neighbouring pixels.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from panollava_geometry._sampling._patch import Patch, patch_around, polar_width, with_needed
from panollava_geometry._sampling._perspective_grid import (
    Sampling,
    is_fine,
    lowest_cosine,
    place_points,
    pole_windows,
    sample_pixels,
    square_root,
    unit_places,
)
from panollava_geometry._views._footprint import local_scale, scale_at, singular_values
from panollava_geometry._views._perspective_view import PerspectiveView
from panollava_geometry._views._sphere import rays_to_angles, rotated_rays
from panollava_geometry._views._view_base import pixel_centres
from panollava_geometry._views._views import View

#: Most points per axis. A view that needs more (beyond about 120 degrees) is softer in its corners instead.
MAX_POINTS = 8
#: Rows planned at a time in float64, to limit the memory.
_STRIP = 64
#: Parts of a view for each of which the patch of the panorama is measured.
_PARTS = 8
#: Rows whose latitude has a smaller cosine are smoothed along themselves.
_POLAR_COSINE = 0.5
#: Without antialiasing: one point at the centre of each pixel.
POINTS_OF_CENTRES = Sampling(1, 1, False)


@dataclass(frozen=True, eq=False)
class SampledGrid:
    """Read a reduced patch bilinearly at `points` x `points` positions per output pixel, and average them."""

    patch: Patch
    points: int
    #: Positions on the reduced patch. The centre of its first pixel is 0.
    x: Float[ndarray, "rows columns"]
    y: Float[ndarray, "rows columns"]

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.x.nbytes + self.y.nbytes


def plan_sampled_grid(
    view: View,
    size: tuple[int, int],
    erp: tuple[int, int],
    antialias: bool,
    align_corners: bool,
    precise: bool = True,
    reuse: bool = False,
) -> SampledGrid:
    """Plan the grid of a view.

    Args:
        view: The view.
        size: Height and width of the output.
        erp: Height and width of the panorama.
        antialias: Average over the footprint of each pixel, or read one point at its centre.
        align_corners: The field of view spans the centres of the outer pixels.
        precise: Plan and keep the positions in float64 instead of float32.
        reuse: The positions may be in memory that this thread uses for its next grid.
    """
    if not precise and isinstance(view, PerspectiveView) and is_fine(view, size, align_corners):
        sampling, x, y = _place_quickly(view, size, erp, antialias, align_corners, reuse)
    else:
        sampling, x, y = _place_exactly(view, size, erp, antialias, align_corners)
    ranges = _ranges(x, y)
    patch = patch_around(_extent(ranges[:, :2]), _extent(ranges[:, 2:]), erp, sampling.level, sampling.polar)
    across = patch.wrap_columns - patch.columns[0] / sampling.level - 0.5
    down = patch.pole_rows[0] - patch.rows[0] / sampling.level - 0.5
    x += x.dtype.type(across)
    y += y.dtype.type(down)
    patch = with_needed(patch, ranges + np.array([across, across, down, down]))
    if not precise:
        x, y = x.astype(np.float32, copy=False), y.astype(np.float32, copy=False)
    return SampledGrid(patch, sampling.points, x, y)


class _Scale(NamedTuple):
    """Derivatives of (east, north) by the pixel coordinates in rows of the panorama, and cosines of the latitude."""

    jacobian: Float[ndarray, "2 2 height width"]
    cos_latitude: Float[ndarray, "height width"]


def _place_quickly(
    view: PerspectiveView,
    size: tuple[int, int],
    erp: tuple[int, int],
    antialias: bool,
    align_corners: bool,
    reuse: bool,
) -> tuple[Sampling, Float[ndarray, "rows columns"], Float[ndarray, "rows columns"]]:
    if not antialias:
        return POINTS_OF_CENTRES, *place_points(view, size, erp, POINTS_OF_CENTRES, align_corners, reuse)
    # The pixels of a view are equally large wherever it looks; only the width of the panorama's columns differs.
    ahead = replace(view, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0)
    eighths = math.floor(8 * lowest_cosine(view, size, align_corners))
    sampling = _sampling_of(ahead, size, erp, align_corners, eighths / 8)
    x, y = place_points(view, size, erp, sampling, align_corners, reuse)
    if sampling.points > 1:
        grid = (size[0], sampling.points, size[1], sampling.points)
        for rows, columns in pole_windows(view, size, align_corners):
            near = pixel_centres(size)[rows, columns]
            jacobian, cos_latitude = scale_at(view, near, size, align_corners=align_corners)
            scale = _Scale(jacobian * (erp[0] / np.pi), cos_latitude)
            exact = _points_around(near, scale, view, size, erp, sampling, align_corners)
            for values, place in zip((x, y), exact, strict=True):
                values.reshape(grid)[rows, :, columns] = place
    return sampling, x, y


def _place_exactly(
    view: View, size: tuple[int, int], erp: tuple[int, int], antialias: bool, align_corners: bool
) -> tuple[Sampling, Float[ndarray, "rows columns"], Float[ndarray, "rows columns"]]:
    sampling = POINTS_OF_CENTRES
    scale = None
    if antialias:
        jacobian, cos_latitude = local_scale(view, size, align_corners=align_corners)
        visible = view.visible(size, align_corners=align_corners)
        if visible is not None and not visible.all():  # pixels that show nothing take no part in the choice of scale
            jacobian = np.where(visible, jacobian, jacobian[:, :, size[0] // 2, size[1] // 2, None, None])
        scale = _Scale(jacobian * (erp[0] / np.pi), cos_latitude)
        sampling = _choose(scale, float(cos_latitude.min()), erp)
    points = sampling.points
    x, y = np.empty((2, size[0], points, size[1], points))
    for top in range(0, size[0], _STRIP):
        rows = slice(top, min(top + _STRIP, size[0]))
        centres = pixel_centres((rows.stop - top, size[1]), top)
        part = None if scale is None else _Scale(scale.jacobian[:, :, rows], scale.cos_latitude[rows])
        x[rows], y[rows] = _points_around(centres, part, view, size, erp, sampling, align_corners)
    shape = (size[0] * points, size[1] * points)
    return sampling, x.reshape(shape), y.reshape(shape)


@lru_cache(maxsize=256)
def _sampling_of(
    view: PerspectiveView, size: tuple[int, int], erp: tuple[int, int], align_corners: bool, lowest_cosine: float
) -> Sampling:
    """The sampling of a view that looks ahead, if all of it had this cosine of the latitude."""
    jacobian, cos_latitude = scale_at(view, sample_pixels(view, size, align_corners), size, align_corners=align_corners)
    scale = _Scale(jacobian * (erp[0] / np.pi), np.full_like(cos_latitude, lowest_cosine))
    return _choose(scale, lowest_cosine, erp)


def _choose(scale: _Scale, lowest_cosine: float, erp: tuple[int, int]) -> Sampling:
    """Choose how to sample a view from the scale of its pixels, or of those among which are the extremes."""
    low, high = singular_values(scale.jacobian)
    smallest, largest = float(low.min()), float(high.max())
    level = 2 ** max(0, math.floor(math.log2(max(smallest, largest / (2 * MAX_POINTS), 1))))
    polar = smallest >= 1 and lowest_cosine < _POLAR_COSINE
    while erp[1] % (2 * level) and level > 1:
        level //= 2
    xx, _, yy = _spread(scale, Sampling(level, 1, polar))
    if max(float(xx.max()), float(yy.max())) <= 1e-6:
        return Sampling(level, 1, polar)
    return Sampling(level, min(max(2, math.ceil(largest / (2 * level))), MAX_POINTS), polar)


def _points_around(
    centres: Float[ndarray, "height width 2"],
    scale: _Scale | None,
    view: View,
    size: tuple[int, int],
    erp: tuple[int, int],
    sampling: Sampling,
    align_corners: bool,
) -> tuple[Float[ndarray, "height points width points"], Float[ndarray, "height points width points"]]:
    """Columns and rows, on the reduced panorama, of the points of pixels with the given centres."""
    places = centres[:, None, :, None]
    if scale is not None and sampling.points > 1:
        xx, xy, yy = (part[:, None, :, None] for part in _spread(scale, sampling))
        unit = unit_places(sampling.points)
        u, v = unit, unit[:, None, None]
        places = places + np.stack([xx * u + xy * v, xy * u + yy * v], axis=-1)
    longitude, latitude = rays_to_angles(view.pixels_to_rays(places, size, align_corners=align_corners))
    level = sampling.level
    return longitude * (erp[1] / (2 * np.pi * level)), (0.5 - latitude / np.pi) * (erp[0] / level)


def _ranges(x: Float[ndarray, "rows columns"], y: Float[ndarray, "rows columns"]) -> Float[ndarray, "parts 4"]:
    """Least and largest x, and least and largest y, of strips of rows."""
    step = -(-len(x) // _PARTS)
    strips = [(x[top : top + step], y[top : top + step]) for top in range(0, len(x), step)]
    return np.array([(a.min(), a.max(), b.min(), b.max()) for a, b in strips], np.float64)


def _extent(ranges: Float[ndarray, "parts 2"]) -> tuple[float, float]:
    return float(ranges[:, 0].min()), float(ranges[:, 1].max())


def plan_rotated_strip(
    rotation: Float[ndarray, "3 3"], erp: tuple[int, int], top: int, bottom: int, precise: bool = True
) -> SampledGrid:
    """Plan rows [top, bottom) of a rotated panorama, one point per pixel. The anchor is half the width."""
    height, width = erp
    east, up, north = rotated_rays(rotation, erp, (top, bottom), (0, width), np.float64 if precise else np.float32)
    kind = east.dtype.type
    x = np.arctan2(east, north)
    x *= kind(width / (2 * np.pi))
    east *= east
    north *= north
    east += north
    np.sqrt(east, out=east)
    y = np.arctan2(up, east, out=up)
    y *= kind(-height / np.pi)
    y += kind(height / 2)
    ranges = _ranges(x, y)
    patch = patch_around(_extent(ranges[:, :2]), _extent(ranges[:, 2:]), erp, 1, False)
    x += kind(patch.wrap_columns - patch.columns[0] - 0.5)
    y += kind(patch.pole_rows[0] - patch.rows[0] - 0.5)
    return SampledGrid(patch, 1, x, y)


def _spread(
    scale: _Scale, sampling: Sampling
) -> tuple[Float[ndarray, "height width"], Float[ndarray, "height width"], Float[ndarray, "height width"]]:
    """Symmetric square root (xx, xy, yy) of the covariance that the points must add, in output pixels.

    It is the footprint's covariance I/12 less the reconstruction's, which is diag(east, north) on the panorama, pulled
    back through the derivative of the map.
    """
    (east_x, east_y), (north_x, north_y) = scale.jacobian
    level = sampling.level
    north_variance = (level**2 - 1) / 12 + level**2 / 6
    smoothing = polar_width(scale.cos_latitude.ravel()).reshape(scale.cos_latitude.shape) if sampling.polar else 1
    east_variance = (north_variance + level**2 * (smoothing**2 - 1.0) / 12) * scale.cos_latitude**2
    square = np.maximum((east_x * north_y - east_y * north_x) ** 2, 1e-30)
    xx = 1 / 12 - (north_y**2 * east_variance + east_y**2 * north_variance) / square
    xy = (north_x * north_y * east_variance + east_x * east_y * north_variance) / square
    yy = 1 / 12 - (north_x**2 * east_variance + east_x**2 * north_variance) / square
    return square_root(xx, xy, yy)
