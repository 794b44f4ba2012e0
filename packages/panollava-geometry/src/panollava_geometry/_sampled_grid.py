"""The sampled grid: a view read bilinearly at n x n points per pixel, which are then averaged.

The target is the mean over the footprint of each output pixel. Block means, bilinear interpolation and the spread of
the points each blur the image by a known variance. The points are spread so that these variances add up to the variance
of the footprint, in every direction and at every pixel. This is Heckbert's elliptical footprint
(https://www.cs.cmu.edu/~ph/texfund/texfund.pdf) less the blur of the reconstruction. Where the view magnifies the
panorama, plain bilinear interpolation remains.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from panollava_geometry._footprint import local_scale, singular_values
from panollava_geometry._patch import Patch, patch_around, polar_width
from panollava_geometry._sphere import equirect_to_rays, rays_to_angles
from panollava_geometry._view_base import pixel_centres
from panollava_geometry._views import View

#: Most points per axis. A view that needs more (beyond about 120 degrees) is softer in its corners instead.
MAX_POINTS = 8


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
    view: View, size: tuple[int, int], erp: tuple[int, int], antialias: bool, align_corners: bool
) -> SampledGrid:
    """Plan the grid of a view.

    Args:
        view: The view.
        size: Height and width of the output.
        erp: Height and width of the panorama.
        antialias: Average over the footprint of each pixel, or read one point at its centre.
        align_corners: The field of view spans the centres of the outer pixels.
    """
    erp_height, erp_width = erp
    centres = pixel_centres(size)
    level, points = 1, 1
    places = centres[None, None]
    polar = False
    if antialias:
        jacobian, cos_latitude = local_scale(view, size, align_corners=align_corners)
        visible = view.visible(size, align_corners=align_corners)
        if visible is not None and not visible.all():  # pixels that show nothing take no part in the choice of scale
            jacobian = np.where(visible, jacobian, jacobian[:, :, size[0] // 2, size[1] // 2, None, None])
        jacobian *= erp_height / np.pi  # from radians to rows of the panorama
        low, high = singular_values(jacobian)
        smallest, largest = float(low.min()), float(high.max())
        level = 2 ** max(0, math.floor(math.log2(max(smallest, largest / (2 * MAX_POINTS), 1))))
        polar = smallest >= 1 and float(cos_latitude.min()) < 0.5
        while erp_width % (2 * level) and level > 1:
            level //= 2
        variance = (level**2 - 1) / 12 + level**2 / 6
        smoothing = polar_width(cos_latitude.ravel()).reshape(size) if polar else np.ones(size)
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
    patch = patch_around(x, y, erp, level, polar)
    grid = (size[0] * points, size[1] * points)
    x = ((x - patch.columns[0]) / level - 0.5 + patch.wrap_columns).transpose(2, 0, 3, 1).reshape(grid)
    y = ((y - patch.rows[0]) / level - 0.5 + patch.pole_rows[0]).transpose(2, 0, 3, 1).reshape(grid)
    return SampledGrid(patch, points, np.ascontiguousarray(x), np.ascontiguousarray(y))


def plan_rotated_strip(rotation: Float[ndarray, "3 3"], erp: tuple[int, int], top: int, bottom: int) -> SampledGrid:
    """Plan rows [top, bottom) of a rotated panorama, one point per pixel. The anchor is half the width."""
    height, width = erp
    centres = pixel_centres((bottom - top, width), top)
    longitude, latitude = rays_to_angles(equirect_to_rays(centres, erp) @ rotation.T)
    x, y = longitude * (width / (2 * np.pi)), (0.5 - latitude / np.pi) * height
    patch = patch_around(x, y, erp, 1, False)
    return SampledGrid(
        patch, 1, x - patch.columns[0] - 0.5 + patch.wrap_columns, y - patch.rows[0] - 0.5 + patch.pole_rows[0]
    )


def _spread(
    jacobian: Float[ndarray, "2 2 height width"],
    east_variance: Float[ndarray, "height width"],
    north_variance: float,
) -> tuple[Float[ndarray, "height width"], Float[ndarray, "height width"], Float[ndarray, "height width"]]:
    """Symmetric square root (xx, xy, yy) of the covariance that the points must add, in output pixels.

    It is the footprint's covariance I/12 less the reconstruction's, which is diag(east, north) on the panorama, pulled
    back through the derivative of the map.
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
