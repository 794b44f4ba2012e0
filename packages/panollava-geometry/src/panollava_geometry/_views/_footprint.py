"""The size of a view's pixels on the sphere."""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._views import View

#: Smallest size of a pixel in radians that differs from zero; no panorama has as small pixels.
_FINEST = 1e-9


def local_scale(
    view: View, size: tuple[int, int], *, align_corners: bool = False
) -> tuple[Float[ndarray, "2 2 height width"], Float[ndarray, "height width"]]:
    """Derivative of the direction with respect to the pixel coordinates, at every pixel.

    Returns:
        The derivative of (east, north), in radians, with respect to (x, y), and the cosine of the pixel's latitude.
    """
    height, width = size
    y, x = np.meshgrid(np.arange(height + 1.0), np.arange(width + 1.0), indexing="ij")
    corner = view.pixels_to_rays(np.stack([x, y], axis=-1), size, align_corners=align_corners)
    return _from_corners(corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:])


def scale_at(
    view: View, centres: Float[ndarray, "height width 2"], size: tuple[int, int], *, align_corners: bool = False
) -> tuple[Float[ndarray, "2 2 height width"], Float[ndarray, "height width"]]:
    """`local_scale` at some pixels of the view, given by their centres (x, y)."""
    corners = [centres + np.array([x, y]) for y in (-0.5, 0.5) for x in (-0.5, 0.5)]
    return _from_corners(*view.pixels_to_rays(np.stack(corners), size, align_corners=align_corners))


def _from_corners(
    upper_left: Float[ndarray, "height width 3"],
    upper_right: Float[ndarray, "height width 3"],
    lower_left: Float[ndarray, "height width 3"],
    lower_right: Float[ndarray, "height width 3"],
) -> tuple[Float[ndarray, "2 2 height width"], Float[ndarray, "height width"]]:
    """The derivative from the rays of the four corners of each pixel, and the cosine of its latitude."""
    centre = upper_left + upper_right + lower_left + lower_right
    centre /= np.linalg.norm(centre, axis=-1, keepdims=True)
    radius = np.maximum(np.hypot(centre[..., 0], centre[..., 2]), 1e-12)
    at_pole = radius < 1e-9  # east and north are not defined there, so those of longitude 0 are used
    jacobian = np.empty((2, 2, *radius.shape))
    steps = (
        (upper_right - upper_left + lower_right - lower_left) / 2,
        (lower_left - upper_left + lower_right - upper_right) / 2,
    )
    for axis, step in enumerate(steps):
        east = (centre[..., 2] * step[..., 0] - centre[..., 0] * step[..., 2]) / radius
        jacobian[0, axis] = np.where(at_pole, step[..., 0], east)
        jacobian[1, axis] = np.where(at_pole, -centre[..., 1] * step[..., 2], step[..., 1] / radius)
    return jacobian, radius


def singular_values(jacobian: Float[ndarray, "2 2 *grid"]) -> tuple[Float[ndarray, "*grid"], Float[ndarray, "*grid"]]:
    """Smallest and largest singular value of 2 x 2 derivatives."""
    half_trace = (jacobian**2).sum(axis=(0, 1)) / 2
    determinant = jacobian[0, 0] * jacobian[1, 1] - jacobian[0, 1] * jacobian[1, 0]
    spread = np.sqrt(np.maximum(half_trace**2 - determinant**2, 0))
    return np.sqrt(np.maximum(half_trace - spread, 0)), np.sqrt(half_trace + spread)


@lru_cache(maxsize=64)  # called for every image that is loaded, nearly always with the same plan
def required_width(views: tuple[View, ...], size: tuple[int, int]) -> int:
    """Width of the panorama whose pixels are as small as the smallest pixel of any view (an even number).

    The size of a pixel is its short side. In a perspective view this is the radial side of a corner pixel, which spans
    cos² of its angle from the axis.
    """
    finest = math.inf
    for view in views:
        if isinstance(view, EquirectangularView):
            (left, right), (low, high) = view.longitude_range_deg, view.latitude_range_deg
            pitch = math.radians(min((right - left) / size[1], (high - low) / size[0]))
        else:
            short_sides = singular_values(local_scale(view, size)[0])[0]
            visible = view.visible(size)
            pitch = float((short_sides if visible is None else short_sides[visible]).min(initial=math.pi))
        finest = min(finest, pitch)
    finest = max(finest, _FINEST)
    return 2 * math.ceil(math.pi / finest - 1e-6)
