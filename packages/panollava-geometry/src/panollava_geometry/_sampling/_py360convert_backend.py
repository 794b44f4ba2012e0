"""The py360convert backend, for comparison with that library and for models that were trained on its views.

Without `antialias`, perspective views come from the library's `e2p`. Its field of view spans the centres of the outer
pixels, so for `align_corners=False` we pass a slightly smaller field of view, which gives the same grid. In all other
cases its sampler reads the points of our sampled grid, because the library has no low-pass filter. If OpenCV 4 or 5 is
installed, the sampler rounds coordinates to 1/32 pixel.
"""

import math

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from panollava_geometry._sampling._sampled_grid import SampledGrid
from panollava_geometry._views._perspective_view import PerspectiveView
from panollava_geometry._views._sphere import Degrees


def _inner_fov(fov_deg: Degrees, pixels: int) -> float:
    """The field of view between the centres of the outer pixels, given the one between their edges."""
    return math.degrees(2 * math.atan(math.tan(math.radians(fov_deg) / 2) * (pixels - 1) / pixels))


def perspective(
    image: Shaped[ndarray, "erp_height erp_width channels"],
    view: PerspectiveView,
    size: tuple[int, int],
    align_corners: bool,
) -> Shaped[ndarray, "height width channels"]:
    """Read one view of one panorama with `e2p`, one point per pixel."""
    from py360convert import e2p

    fov = view.fov_deg
    if not align_corners:
        fov = (_inner_fov(fov[0], size[1]), _inner_fov(fov[1], size[0]))
    yaw_deg = (view.yaw_deg + 180) % 360 - 180
    return np.asarray(e2p(image, fov, yaw_deg, view.pitch_deg, size, in_rot_deg=view.roll_deg, mode="bilinear"))


def read_grid(
    image: Shaped[ndarray, "channels rows columns"], grid: SampledGrid
) -> Shaped[ndarray, "channels height width"]:
    """Read one view from its reduced patch with the library's sampler, and average the points of each pixel."""
    from py360convert.utils import EquirecSampler

    sampler = EquirecSampler(np.asarray(grid.x), np.asarray(grid.y), 1)
    read = np.stack([sampler(channel) for channel in image])
    points, (channels, rows, columns) = grid.points, read.shape
    blocks = read.reshape(channels, rows // points, points, columns // points, points)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))
