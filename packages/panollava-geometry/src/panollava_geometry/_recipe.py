"""How one view is sampled: which patch of the panorama, reduced how far, read where. Planned once in float64, cached.

The target is the mean over each output pixel's footprint. It is reached in two stages of known blur: the patch is
reduced by block means of `level` x `level` pixels (near the poles also smoothed along its rows, so that its pixels stay
round on the sphere), then read bilinearly at `n` x `n` points per output pixel. The points are spread so that the
second moments of blocks, interpolation and points add up to exactly those of the footprint, in every direction and at
every pixel (Heckbert's elliptical footprints, https://www.cs.cmu.edu/~ph/texfund/texfund.pdf, less the blur of the
reconstruction). Where the map magnifies, this is plain bilinear interpolation.

A view's yaw is split into whole columns (which only move the patch) and a remainder (which enters the plan): rolling
the panorama by k columns and turning by k pixels is the same computation.
"""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from panollava_geometry._cache import RecipeCache
from panollava_geometry._footprint import local_scale, singular_values
from panollava_geometry._sphere import equirect_to_rays, rays_to_angles
from panollava_geometry._views import EquirectangularView, PerspectiveView, View, pixel_centres

#: More points per axis than this are never read; a view that would need more (beyond about 120 degrees) is softer in
#: its corners instead.
MAX_POINTS = 8


@dataclass(frozen=True, eq=False)
class Patch:
    """A rectangle of the panorama, in whole pixels; columns count from the anchor, rows from the top.

    Both may leave the image: columns wrap, rows continue over the pole on the opposite meridian.
    A patch of a full turn holds every column and no row twice; it is continued after its reduction instead, which saves
    a copy at full size.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    reduce_rows: int
    reduce_columns: int
    full_turn: bool = False
    #: After the reduction of a full turn: reduced columns to wrap on both sides, rows to continue above and below.
    wrap_columns: int = 0
    pole_rows: tuple[int, int] = (0, 0)
    #: Smoothing along rows near a pole: (first row, last row, width), in reduced pixels.
    polar_bands: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class PointRecipe:
    """Read a patch bilinearly at `points` x `points` places per output pixel and average them."""

    patch: Patch
    points: int
    #: Index coordinates on the reduced patch (the centre of its first pixel is 0).
    x: Float[ndarray, "rows columns"]
    y: Float[ndarray, "rows columns"]

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.x.nbytes + self.y.nbytes


@dataclass(frozen=True, eq=False)
class SeparableRecipe:
    """Weighted means along the rows and along the columns of a patch: a window of the ERP itself, low-passed."""

    patch: Patch
    row_index: Int[ndarray, "height row_taps"]
    row_weight: Float[ndarray, "height row_taps"]
    column_index: Int[ndarray, "width column_taps"]
    column_weight: Float[ndarray, "width column_taps"]

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.row_index.nbytes + self.row_weight.nbytes + self.column_index.nbytes + self.column_weight.nbytes


Recipe = PointRecipe | SeparableRecipe
_cache: RecipeCache[Recipe] = RecipeCache(max_bytes=256 * 2**20)


def find_recipe(
    view: View, size: tuple[int, int], erp: tuple[int, int], antialias: bool, align_corners: bool, precise: bool
) -> tuple[Recipe, int]:
    """The recipe of a view and its anchor, the column of the panorama from which the patch's columns count.

    Args:
        view: The view.
        size: Height and width of the output.
        erp: Height and width of the panorama.
        antialias: Low-pass by the local minification, or read one point per pixel.
        align_corners: Whether the field of view spans the outer pixel centres.
        precise: Keep coordinates in float64 instead of float32.
    """
    canonical, anchor = _split_yaw(view, erp[1])
    key = (canonical, size, erp, antialias, align_corners, precise)
    return _cache.get(key, lambda: _make(canonical, size, erp, antialias, align_corners, precise)), anchor


def _split_yaw(view: View, width: int) -> tuple[View, int]:
    """The view turned by a whole number of columns to yaw (almost) 0, and the column it looked at."""
    if isinstance(view, PerspectiveView):
        centre_deg = view.yaw_deg
    else:
        centre_deg = sum(view.longitude_range_deg) / 2
    columns = centre_deg / 360 * width
    whole = math.floor(columns + 0.5)
    rest_deg = round(columns - whole, 6) * 360 / width + 0.0
    anchor = (whole + width // 2) % width
    if isinstance(view, PerspectiveView):
        return replace(view, yaw_deg=rest_deg), anchor
    left, right = view.longitude_range_deg
    half = round((right - left) / 2, 9)
    return replace(view, longitude_range_deg=(rest_deg - half, rest_deg + half)), anchor


def _make(
    view: View, size: tuple[int, int], erp: tuple[int, int], antialias: bool, align_corners: bool, precise: bool
) -> Recipe:
    recipe: Recipe
    if antialias and isinstance(view, EquirectangularView):
        recipe = _separable(view, size, erp, align_corners)
        if not precise:
            recipe = replace(
                recipe,
                row_weight=recipe.row_weight.astype(np.float32),
                column_weight=recipe.column_weight.astype(np.float32),
            )
        return recipe
    recipe = _points(view, size, erp, antialias, align_corners)
    if not precise:
        recipe = replace(recipe, x=recipe.x.astype(np.float32), y=recipe.y.astype(np.float32))
    return recipe


def _polar_width(cos_latitude: Float[ndarray, " rows"]) -> Int[ndarray, " rows"]:
    """Odd number of columns about as wide as one row is high; from 9 on in steps, to keep the bands few."""
    width = 2 * np.floor(1 / (2 * np.maximum(cos_latitude, 1e-6))).astype(np.int64) + 1
    steps = np.array([1, 3, 5, 7, 9] + [m * 2**e + 1 for e in range(2, 16) for m in (3, 4)])
    return np.asarray(steps[np.searchsorted(steps, width, side="right") - 1])


def _spread(
    jacobian: Float[ndarray, "2 2 height width"],
    east_variance: Float[ndarray, "height width"],
    north_variance: float,
) -> tuple[Float[ndarray, "height width"], Float[ndarray, "height width"], Float[ndarray, "height width"]]:
    """Symmetric square root (xx, xy, yy) of the footprint's second moments less those of the reconstruction.

    Both in output pixels: the footprint is I/12, the reconstruction diag(east, north) pulled back by the map.
    """
    (east_x, east_y), (north_x, north_y) = jacobian
    square = np.maximum((east_x * north_y - east_y * north_x) ** 2, 1e-30)
    xx = 1 / 12 - (north_y**2 * east_variance + east_y**2 * north_variance) / square
    xy = (north_x * north_y * east_variance + east_x * east_y * north_variance) / square
    yy = 1 / 12 - (north_x**2 * east_variance + east_x**2 * north_variance) / square
    middle, spread = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    low, high = (np.sqrt(np.maximum(middle + sign * spread, 0)) for sign in (-1, 1))
    slope = (high - low) / np.maximum(2 * spread, 1e-15)
    offset = high - slope * (middle + spread)
    return offset + slope * xx, slope * xy, offset + slope * yy


def _points(
    view: View, size: tuple[int, int], erp: tuple[int, int], antialias: bool, align_corners: bool
) -> PointRecipe:
    erp_height, erp_width = erp
    centres = pixel_centres(size)
    level, points = 1, 1
    places = centres[None, None]
    polar = False
    if antialias:
        jacobian, cos_latitude = local_scale(view, size, align_corners=align_corners)
        jacobian *= erp_height / np.pi  # from radians to rows of the panorama
        low, high = singular_values(jacobian)
        smallest, largest = float(low.min()), float(high.max())
        level = 2 ** max(0, math.floor(math.log2(max(smallest, largest / (2 * MAX_POINTS), 1))))
        polar = smallest >= 1 and float(cos_latitude.min()) < 0.5
        while erp_width % (2 * level) and level > 1:
            level //= 2
        variance = (level**2 - 1) / 12 + level**2 / 6
        smoothing = _polar_width(cos_latitude.ravel()).reshape(size) if polar else np.ones(size)
        east = (variance + level**2 * (smoothing**2 - 1.0) / 12) * cos_latitude**2
        xx, xy, yy = _spread(jacobian, east, variance)
        if max(float(xx.max()), float(yy.max())) > 1e-6:
            points = min(max(2, math.ceil(largest / (2 * level))), MAX_POINTS)
            unit = ((np.arange(points) + 0.5) / points - 0.5) / math.sqrt((1 - 1 / points**2) / 12)
            v, u = (a[..., None, None] for a in np.meshgrid(unit, unit, indexing="ij"))
            places = centres + np.stack([xx * u + xy * v, xy * u + yy * v], axis=-1)
    longitude, latitude = rays_to_angles(view.pixels_to_rays(places, size, align_corners=align_corners))
    x = longitude * (erp_width / (2 * np.pi))
    y = (0.5 - latitude / np.pi) * erp_height
    patch = _patch_around(x, y, erp, level, polar)
    grid = (size[0] * points, size[1] * points)
    x = ((x - patch.columns[0]) / level - 0.5 + patch.wrap_columns).transpose(2, 0, 3, 1).reshape(grid)
    y = ((y - patch.rows[0]) / level - 0.5 + patch.pole_rows[0]).transpose(2, 0, 3, 1).reshape(grid)
    return PointRecipe(patch, points, np.ascontiguousarray(x), np.ascontiguousarray(y))


def _patch_around(
    x: Float[ndarray, "*grid"], y: Float[ndarray, "*grid"], erp: tuple[int, int], level: int, polar: bool
) -> Patch:
    """The patch that holds every pixel a bilinear read at (x, y) touches, with what the polar smoothing needs."""
    height, width = erp
    low_row = math.floor((float(y.min()) / level) - 0.5) * level
    high_row = (math.floor((float(y.max()) / level) - 0.5) + 2) * level
    bands: list[tuple[int, int, int]] = []
    if polar:
        latitude = ((np.arange(low_row, high_row, level) + level / 2) / height - 0.5) * np.pi
        widths = _polar_width(np.abs(np.cos(latitude)))
        starts = [0, *(np.flatnonzero(np.diff(widths)) + 1).tolist(), len(widths)]
        bands = [(first, last, int(widths[first])) for first, last in itertools.pairwise(starts) if widths[first] > 1]
    margin = max((band_width // 2 for _, _, band_width in bands), default=0)
    low = (math.floor(float(x.min()) / level - 0.5) - margin) * level
    high = (math.floor(float(x.max()) / level - 0.5) + 2 + margin) * level
    patch = Patch((low_row, high_row), (low, high), level, level, polar_bands=tuple(bands))
    return _as_full_turn(patch, erp, 1) if high - low > 0.75 * width and width % (2 * level) == 0 else patch


def _as_full_turn(patch: Patch, erp: tuple[int, int], wrap_columns: int) -> Patch:
    """The same patch with every column once, to be continued after its reduction."""
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


def _axis_taps(
    start: float, step: float, count: int
) -> tuple[tuple[int, int], int, Int[ndarray, "count taps"], Float[ndarray, "count taps"]]:
    """Pixels, reduction and weights for `count` footprints of `step` pixels, the first one centred on `start`."""
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
    """Integral of the bilinear kernel max(0, 1 - |t|) from minus infinity."""
    t = np.clip(t, -1, 1)
    return np.asarray(np.where(t < 0, (1 + t) ** 2 / 2, 1 - (1 - t) ** 2 / 2))


def _separable(
    view: EquirectangularView, size: tuple[int, int], erp: tuple[int, int], align_corners: bool
) -> SeparableRecipe:
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
        patch = _as_full_turn(patch, erp, wrap)
        # The wrapped patch starts `wrap_columns` before the seam; the taps counted from the columns planned first.
        column_index = column_index + (columns[0] - patch.columns[0]) // reduce_columns + patch.wrap_columns
    return SeparableRecipe(patch, row_index, row_weight, column_index, column_weight)


def turned_strip(rotation: Float[ndarray, "3 3"], erp: tuple[int, int], top: int, bottom: int) -> PointRecipe:
    """Rows [top, bottom) of a panorama turned by a rotation, read one point per pixel; its anchor is half the width."""
    height, width = erp
    centres = pixel_centres((bottom - top, width), top)
    longitude, latitude = rays_to_angles(equirect_to_rays(centres, erp) @ rotation.T)
    x, y = longitude * (width / (2 * np.pi)), (0.5 - latitude / np.pi) * height
    patch = _patch_around(x, y, erp, 1, False)
    return PointRecipe(
        patch, 1, x - patch.columns[0] - 0.5 + patch.wrap_columns, y - patch.rows[0] - 0.5 + patch.pole_rows[0]
    )


def forget() -> None:
    """Drop every cached plan (to measure planning, or to free its memory)."""
    _cache.clear()
