"""Through py360convert, to compare with it and to reproduce what was trained on its views.

Without `antialias`, perspective views are the library's own `e2p`. Its field of view spans the centres of the outer
pixels, so for `align_corners=False` it is asked for a slightly smaller one, which makes the same grid. Otherwise its
sampler reads our plan's points; the library itself has no low-pass filter. With OpenCV 4 or 5 installed the sampler
rounds coordinates to 1/32 pixel.
"""

import math

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from panollava_geometry._recipe import PointRecipe
from panollava_geometry._sphere import Degrees
from panollava_geometry._views import PerspectiveView


def _inner_fov(fov_deg: Degrees, pixels: int) -> float:
    """The field of view between the centres of the outer pixels of one that spans their edges."""
    return math.degrees(2 * math.atan(math.tan(math.radians(fov_deg) / 2) * (pixels - 1) / pixels))


def perspective(
    image: Shaped[ndarray, "erp_height erp_width channels"],
    view: PerspectiveView,
    size: tuple[int, int],
    align_corners: bool,
) -> Shaped[ndarray, "height width channels"]:
    """One view of one panorama by `e2p`, one point per pixel."""
    from py360convert import e2p

    fov = view.fov_deg
    if not align_corners:
        fov = (_inner_fov(fov[0], size[1]), _inner_fov(fov[1], size[0]))
    yaw_deg = (view.yaw_deg + 180) % 360 - 180
    return np.asarray(e2p(image, fov, yaw_deg, view.pitch_deg, size, in_rot_deg=view.roll_deg, mode="bilinear"))


def read_points(
    image: Shaped[ndarray, "channels rows columns"], recipe: PointRecipe
) -> Shaped[ndarray, "channels height width"]:
    """One view from its reduced patch: the library's sampler at the plan's points, averaged."""
    from py360convert.utils import EquirecSampler

    sampler = EquirecSampler(np.asarray(recipe.x), np.asarray(recipe.y), 1)
    read = np.stack([sampler(channel) for channel in image])
    points, (channels, rows, columns) = recipe.points, read.shape
    blocks = read.reshape(channels, rows // points, points, columns // points, points)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))
