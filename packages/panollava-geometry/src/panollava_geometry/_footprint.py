"""How large the pixels of a view are on the sphere, and how much of the sphere some views see."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from panollava_geometry._views import EquirectangularView, View


def local_scale(
    view: View, size: tuple[int, int], *, align_corners: bool = False
) -> tuple[Float[ndarray, "2 2 height width"], Float[ndarray, "height width"]]:
    """Derivative of the direction (east, north; radians) by the pixel's (x, y), and the cosine of its latitude."""
    height, width = size
    y, x = np.meshgrid(np.arange(height + 1.0), np.arange(width + 1.0), indexing="ij")
    corner = view.pixels_to_rays(np.stack([x, y], axis=-1), size, align_corners=align_corners)
    along_x = corner[:, 1:] - corner[:, :-1]
    along_y = corner[1:] - corner[:-1]
    centre = corner[1:, 1:] + corner[:-1, :-1] + corner[1:, :-1] + corner[:-1, 1:]
    centre /= np.linalg.norm(centre, axis=-1, keepdims=True)
    radius = np.maximum(np.hypot(centre[..., 0], centre[..., 2]), 1e-12)
    jacobian = np.empty((2, 2, height, width))
    for axis, step in enumerate(((along_x[1:] + along_x[:-1]) / 2, (along_y[:, 1:] + along_y[:, :-1]) / 2)):
        jacobian[0, axis] = (centre[..., 2] * step[..., 0] - centre[..., 0] * step[..., 2]) / radius
        jacobian[1, axis] = step[..., 1] / radius
    return jacobian, radius


def singular_values(jacobian: Float[ndarray, "2 2 *grid"]) -> tuple[Float[ndarray, "*grid"], Float[ndarray, "*grid"]]:
    """Smallest and largest stretch of a 2 x 2 derivative."""
    half_trace = (jacobian**2).sum(axis=(0, 1)) / 2
    determinant = jacobian[0, 0] * jacobian[1, 1] - jacobian[0, 1] * jacobian[1, 0]
    spread = np.sqrt(np.maximum(half_trace**2 - determinant**2, 0))
    return np.sqrt(np.maximum(half_trace - spread, 0)), np.sqrt(half_trace + spread)


@lru_cache(maxsize=64)  # asked for every picture that is loaded, and always of the same plan
def required_width(views: tuple[View, ...], size: tuple[int, int]) -> int:
    """Width of the panorama whose pixels are as fine as the finest pixel of any view (an even number).

    Fineness is the short side of a pixel: of a perspective view the radial one in its corners, where a pixel spans
    cos² of its angle from the axis.
    """
    finest = math.inf
    for view in views:
        if isinstance(view, EquirectangularView):
            (left, right), (low, high) = view.longitude_range_deg, view.latitude_range_deg
            pitch = math.radians(min((right - left) / size[1], (high - low) / size[0]))
        else:
            pitch = float(singular_values(local_scale(view, size)[0])[0].min())
        finest = min(finest, pitch)
    return 2 * math.ceil(math.pi / finest - 1e-6)


@dataclass(frozen=True)
class Coverage:
    """How much of the sphere a plan sees.

    Args:
        times: Share of the sphere seen by exactly 0, 1, 2, … views; the shares add up to 1.
    """

    times: tuple[float, ...]

    @property
    def seen(self) -> float:
        """Share of the sphere seen by at least one view."""
        return 1.0 - self.times[0]

    @property
    def mean(self) -> float:
        """Views that see a direction, on average over the sphere."""
        return sum(count * share for count, share in enumerate(self.times))


def coverage(views: Sequence[View], num_directions: int = 100_000) -> Coverage:
    """Shares of the sphere by how many views see them, counted on a Fibonacci lattice (error about 1e-3)."""
    index = np.arange(num_directions)
    y = 1 - (2 * index + 1) / num_directions
    angle = index * (np.pi * (3 - math.sqrt(5)))
    radius = np.sqrt(1 - y**2)
    rays = np.stack([radius * np.sin(angle), y, radius * np.cos(angle)], axis=-1)
    count = sum(view.rays_to_pixels(rays, (1, 1))[1].astype(np.int64) for view in views)
    return Coverage(tuple((np.bincount(count) / num_directions).tolist()))
