"""`CylindricalView` and `StereographicView`: rectangular images with a wide field of view."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from panollava_geometry._errors import PanoramaError
from panollava_geometry._views._camera_view import MIN_FOV_DEG, CameraView, check_pose_of
from panollava_geometry._views._sphere import Degrees
from panollava_geometry._views._view_base import check_finite


@dataclass(frozen=True)
class CylindricalView(CameraView):
    """A panorama on a cylinder around the camera's vertical axis, which keeps vertical lines straight.

    A pixel at (u, v), which run from -1 to 1 over the image with v down, is at the longitude u · hfov/2 and the
    latitude atan(-v · tan(vfov/2)) in the frame of the camera. Pixels are square if the height is
    width · tan(vfov/2) / (hfov/2), with hfov in radians.

    Args:
        yaw_deg: Rotation to the right in degrees.
        pitch_deg: Rotation upwards in degrees, in [-90, 90].
        roll_deg: Clockwise rotation in degrees, as seen by the camera.
        hfov_deg: Horizontal field of view in degrees, at most 360.
        vfov_deg: Vertical field of view in degrees, below 180.

    Raises:
        PanoramaError: An angle is not finite, or out of its range.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import CylindricalView
        >>> CylindricalView(0.0).pixels_to_rays(np.array([15.0, 5.0]), (10, 20)).round(6).tolist()
        [1.0, 0.0, 0.0]
    """

    yaw_deg: Degrees
    pitch_deg: Degrees = 0.0
    roll_deg: Degrees = 0.0
    hfov_deg: Degrees = 360.0
    vfov_deg: Degrees = 90.0

    kind: ClassVar[str] = "cylindrical"

    def __post_init__(self) -> None:
        check_pose_of(self)
        check_finite(self, hfov_deg=self.hfov_deg, vfov_deg=self.vfov_deg)
        if not MIN_FOV_DEG <= self.hfov_deg <= 360:
            raise PanoramaError(f"hfov_deg of a cylinder must be in [{MIN_FOV_DEG}, 360] degrees, got {self.hfov_deg}")
        if not MIN_FOV_DEG <= self.vfov_deg < 180:
            raise PanoramaError(f"vfov_deg of a cylinder must be in [{MIN_FOV_DEG}, 180) degrees, got {self.vfov_deg}")

    @property
    def fov_deg(self) -> tuple[Degrees, Degrees]:
        """Horizontal and vertical field of view in degrees."""
        return self.hfov_deg, self.vfov_deg

    @property
    def centre_scale(self) -> tuple[float, float]:
        """Radians per unit of u and of v at the centre of the image."""
        return float(np.deg2rad(self.hfov_deg) / 2), float(np.tan(np.deg2rad(self.vfov_deg) / 2))

    def _unit_to_rays(self, uv: Float[ndarray, "*grid 2"]) -> Float[ndarray, "*grid 3"]:
        across, up = self.centre_scale
        longitude, height = uv[..., 0] * across, -uv[..., 1] * up
        rays = np.stack([np.sin(longitude), height, np.cos(longitude)], axis=-1)
        return np.asarray(rays / np.sqrt(1 + height**2)[..., None])

    def _rays_to_unit(self, rays: Float[ndarray, "*grid 3"]) -> Float[ndarray, "*grid 2"]:
        across, up = self.centre_scale
        x, y, z = np.moveaxis(rays, -1, 0)
        radius = np.hypot(x, z)
        height = y / np.where(radius > 0, radius, np.nan)
        return np.stack([np.arctan2(x, z) / across, -height / up], axis=-1)

    def _density(self, uv: Float[ndarray, "*grid 2"]) -> Float[ndarray, "*grid"]:
        across, up = self.centre_scale
        return np.asarray(across * up / (1 + (uv[..., 1] * up) ** 2) ** 1.5)


@dataclass(frozen=True)
class StereographicView(CameraView):
    """A stereographic image, which keeps the shapes of small things. Looking down, it is a "little planet".

    The ray of (u, v) is at the angle θ to the axis with tan(θ/2) = |(u · tan(hfov/4), v · tan(vfov/4))|. Pixels are
    square if tan(hfov/4) / tan(vfov/4) is width / height; `vfov_deg=None` is right for square images.

    Args:
        yaw_deg: Rotation to the right in degrees.
        pitch_deg: Rotation upwards in degrees, in [-90, 90]; -90 for a little planet.
        roll_deg: Clockwise rotation in degrees, as seen by the camera.
        hfov_deg: Horizontal field of view through the centre, in degrees, below 360.
        vfov_deg: Vertical field of view through the centre in degrees. None means the same as `hfov_deg`.

    Raises:
        PanoramaError: An angle is not finite, or out of its range.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import StereographicView
        >>> StereographicView(0.0, hfov_deg=180.0).pixels_to_rays(np.array([10.0, 5.0]), (10, 10)).round(6).tolist()
        [1.0, 0.0, 0.0]
    """

    yaw_deg: Degrees
    pitch_deg: Degrees = 0.0
    roll_deg: Degrees = 0.0
    hfov_deg: Degrees = 240.0
    vfov_deg: Degrees | None = None

    kind: ClassVar[str] = "stereographic"

    def __post_init__(self) -> None:
        check_pose_of(self)
        check_finite(self, hfov_deg=self.hfov_deg, vfov_deg=self.fov_deg[1])
        for name, fov in (("hfov_deg", self.hfov_deg), ("vfov_deg", self.fov_deg[1])):
            if not MIN_FOV_DEG <= fov < 360:
                raise PanoramaError(
                    f"{name} of a stereographic view must be in [{MIN_FOV_DEG}, 360) degrees, got {fov}"
                )

    @property
    def fov_deg(self) -> tuple[Degrees, Degrees]:
        """Horizontal and vertical field of view in degrees."""
        return self.hfov_deg, self.hfov_deg if self.vfov_deg is None else self.vfov_deg

    @property
    def _extent(self) -> Float[ndarray, " 2"]:
        return np.asarray(np.tan(np.deg2rad(self.fov_deg) / 4))

    @property
    def centre_scale(self) -> tuple[float, float]:
        """Radians per unit of u and of v at the centre of the image."""
        across, up = self._extent
        return 2 * float(across), 2 * float(up)

    def _unit_to_rays(self, uv: Float[ndarray, "*grid 2"]) -> Float[ndarray, "*grid 3"]:
        plane = uv * self._extent
        square = (plane**2).sum(axis=-1)
        rays = np.stack([2 * plane[..., 0], -2 * plane[..., 1], 1 - square], axis=-1)
        return np.asarray(rays / (1 + square)[..., None])

    def _rays_to_unit(self, rays: Float[ndarray, "*grid 3"]) -> Float[ndarray, "*grid 2"]:
        x, y, z = np.moveaxis(rays, -1, 0)
        length = np.sqrt(x**2 + y**2 + z**2)
        ahead = length + z
        scale = np.where(ahead > 1e-12 * length, ahead, np.nan)
        return np.asarray(np.stack([x / scale, -y / scale], axis=-1) / self._extent)

    def _density(self, uv: Float[ndarray, "*grid 2"]) -> Float[ndarray, "*grid"]:
        across, up = self._extent
        square = ((uv * self._extent) ** 2).sum(axis=-1)
        return np.asarray(4 * across * up / (1 + square) ** 2)
