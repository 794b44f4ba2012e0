"""What views with a camera pose have in common: yaw, pitch and roll, and integrals over their pixels."""

from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from panollava_geometry._errors import PanoramaError
from panollava_geometry._views._sphere import Degrees, rotation_matrix
from panollava_geometry._views._view_base import BaseView, check_finite, from_unit, to_unit

#: Below it, rounding errors are larger than the pixels.
MIN_FOV_DEG = 1e-6
#: Points per pixel and axis of a Gauss rule.
_POINTS = 4


def check_pose_of(view: Any) -> None:
    """Check the yaw, pitch and roll of a view.

    Raises:
        PanoramaError: One is not finite, or the pitch is out of its range.
    """
    check_finite(view, yaw_deg=view.yaw_deg, pitch_deg=view.pitch_deg, roll_deg=view.roll_deg)
    if not -90 <= view.pitch_deg <= 90:
        raise PanoramaError(
            f"pitch_deg must be in [-90, 90], got {view.pitch_deg}: to look past a pole, add 180 to yaw_deg"
        )


class CameraView(BaseView):
    """A view whose image is a function of the directions in the frame of a camera.

    A subclass maps (u, v), which run from -1 to 1 over the image with v down, to unit rays of the camera and back.
    """

    yaw_deg: Degrees
    pitch_deg: Degrees
    roll_deg: Degrees

    @property
    def fov_deg(self) -> tuple[Degrees, Degrees]:
        """Horizontal and vertical field of view in degrees."""
        raise NotImplementedError

    @property
    def centre_scale(self) -> tuple[float, float]:
        """Radians per unit of u and of v at the centre of the image."""
        raise NotImplementedError

    def _unit_to_rays(self, uv: Float[ndarray, "*grid 2"]) -> Float[ndarray, "*grid 3"]:
        raise NotImplementedError

    def _rays_to_unit(self, rays: Float[ndarray, "*grid 3"]) -> Float[ndarray, "*grid 2"]:
        raise NotImplementedError

    def _is_inside(self, uv: Float[ndarray, "*grid 2"]) -> Bool[ndarray, "*grid"]:
        return np.asarray((np.abs(uv) <= 1.0 + 1e-9).all(axis=-1))

    def _density(self, uv: Float[ndarray, "*grid 2"]) -> Float[ndarray, "*grid"]:
        """Solid angle per unit of area of the (u, v) plane."""
        raise NotImplementedError

    @cached_property
    def rotation(self) -> Float[ndarray, "3 3"]:
        """Camera-to-world rotation matrix."""
        return rotation_matrix(self.yaw_deg, self.pitch_deg, self.roll_deg)

    def pixels_to_rays(
        self, xy: Float[ndarray, "*grid 2"], size: tuple[int, int], *, align_corners: bool = False
    ) -> Float[ndarray, "*grid 3"]:
        """Convert continuous pixel coordinates (x, y) of an image of `size` to unit rays."""
        return np.asarray(self._unit_to_rays(to_unit(xy, size, align_corners)) @ self.rotation.T)

    def rays_to_pixels(
        self, rays: Float[ndarray, "*grid 3"], size: tuple[int, int], *, align_corners: bool = False
    ) -> tuple[Float[ndarray, "*grid 2"], Bool[ndarray, "*grid"]]:
        """Convert rays to continuous pixel coordinates (x, y), and report which rays the view sees.

        The coordinates of rays that the view does not see are NaN.
        """
        uv = self._rays_to_unit(rays @ self.rotation)
        seen = self._is_inside(np.where(np.isfinite(uv), uv, 2.0))
        return np.where(seen[..., None], from_unit(uv, size, align_corners), np.nan), seen

    def solid_angles(self, size: tuple[int, int]) -> Float[ndarray, "height width"]:
        """Solid angle of every pixel of an image of `size`, in steradians, by a Gauss rule of 4 x 4 points."""
        node, weight = np.polynomial.legendre.leggauss(_POINTS)
        total = np.zeros(size)
        y, x = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing="ij")
        for node_y, weight_y in zip(node, weight, strict=True):
            for node_x, weight_x in zip(node, weight, strict=True):
                xy = np.stack([x + (1 + node_x) / 2, y + (1 + node_y) / 2], axis=-1)
                uv = to_unit(xy, size, False)
                total += np.where(self._is_inside(uv), self._density(uv), 0.0) * (weight_x * weight_y)
        return total / (size[0] * size[1])
