"""`FisheyeView`: the circular image of a fisheye lens."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._views._camera_view import MIN_FOV_DEG, CameraView, check_pose_of
from panollava_geometry._views._sphere import Degrees
from panollava_geometry._views._view_base import check_finite, pixel_centres, to_unit

Projection = Literal["equidistant", "equisolid", "stereographic"]


@dataclass(frozen=True)
class FisheyeView(CameraView):
    """The circular image of a fisheye lens. The circle touches the edges of the image; outside it, the image is black.

    With the angle θ of a ray to the axis, and the distance ρ to the centre (1 at the edge of the circle), where h is
    half of the field of view:

    - equidistant: ρ = θ / h
    - equisolid: ρ = sin(θ/2) / sin(h/2)
    - stereographic: ρ = tan(θ/2) / tan(h/2)

    Args:
        yaw_deg: Rotation to the right in degrees.
        pitch_deg: Rotation upwards in degrees, in [-90, 90].
        roll_deg: Clockwise rotation in degrees, as seen by the camera.
        hfov_deg: Field of view across the circle in degrees: up to 360, stereographic below 360.
        projection: "equidistant", "equisolid" or "stereographic".

    Raises:
        PanoramaError: An angle is not finite, or out of its range, or the projection is unknown.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import FisheyeView
        >>> FisheyeView(0.0, hfov_deg=180.0).pixels_to_rays(np.array([10.0, 5.0]), (10, 10)).round(6).tolist()
        [1.0, 0.0, 0.0]
    """

    yaw_deg: Degrees
    pitch_deg: Degrees = 0.0
    roll_deg: Degrees = 0.0
    hfov_deg: Degrees = 180.0
    projection: Projection = "equidistant"

    kind: ClassVar[str] = "fisheye"

    def __post_init__(self) -> None:
        check_pose_of(self)
        check_finite(self, hfov_deg=self.hfov_deg)
        if self.projection not in get_args(Projection):
            raise PanoramaError(
                f"unknown projection {short(self.projection)}: choose from {', '.join(get_args(Projection))}"
            )
        open_end = self.projection == "stereographic"
        if not MIN_FOV_DEG <= self.hfov_deg <= 360 or (open_end and self.hfov_deg == 360):
            raise PanoramaError(
                f"hfov_deg of an {self.projection} fisheye must be at least {MIN_FOV_DEG} and "
                f"{'below' if open_end else 'at most'} 360 degrees, got {self.hfov_deg}"
            )

    @property
    def fov_deg(self) -> tuple[Degrees, Degrees]:
        """Horizontal and vertical field of view in degrees."""
        return self.hfov_deg, self.hfov_deg

    @property
    def _half(self) -> float:
        return float(np.deg2rad(self.hfov_deg) / 2)

    @property
    def centre_scale(self) -> tuple[float, float]:
        """Radians per unit of u and of v at the centre of the image."""
        slope = float(self._angle(np.zeros(()))[1])
        return slope, slope

    def _angle(self, rho: Float[ndarray, "*grid"]) -> tuple[Float[ndarray, "*grid"], Float[ndarray, "*grid"]]:
        """The angle to the axis at a distance to the centre of at most 1, and its derivative."""
        half = self._half
        if self.projection == "equidistant":
            return np.asarray(rho * half), np.full_like(rho, half)
        if self.projection == "equisolid":
            end = np.sin(half / 2)
            slope = 2 * end / np.sqrt(np.maximum(1 - (rho * end) ** 2, 1e-12))
            return np.asarray(2 * np.arcsin(np.minimum(rho * end, 1.0))), np.asarray(slope)
        end = np.tan(half / 2)
        return np.asarray(2 * np.arctan(rho * end)), np.asarray(2 * end / (1 + (rho * end) ** 2))

    def _unit_to_rays(self, uv: Float[ndarray, "*grid 2"]) -> Float[ndarray, "*grid 3"]:
        """Rays of the camera. Outside the circle, a smooth continuation that ends before the ray behind the camera."""
        rho = np.hypot(uv[..., 0], uv[..., 1])
        theta, slope = self._angle(np.asarray(np.minimum(rho, 1.0)))
        rest = np.maximum(np.pi - theta, 1e-9)
        theta = theta + np.where(rho > 1, rest * -np.expm1(-np.maximum(rho - 1, 0) * slope / rest), 0.0)
        factor = np.where(rho > 1e-12, np.sin(theta) / np.maximum(rho, 1e-12), slope)
        return np.stack([uv[..., 0] * factor, -uv[..., 1] * factor, np.cos(theta)], axis=-1)

    def _rays_to_unit(self, rays: Float[ndarray, "*grid 3"]) -> Float[ndarray, "*grid 2"]:
        x, y, z = np.moveaxis(rays, -1, 0)
        side = np.hypot(x, y)
        theta = np.arctan2(side, z)
        half = self._half
        if self.projection == "equidistant":
            rho = theta / half
        elif self.projection == "equisolid":
            rho = np.sin(theta / 2) / np.sin(half / 2)
        else:
            rho = np.tan(np.minimum(theta, np.pi - 1e-12) / 2) / np.tan(half / 2)
        factor = np.where(side > 0, rho / np.where(side > 0, side, 1.0), 0.0)
        opposite = (side == 0) & (z < 0)  # the ray behind the camera is everywhere on the circle of θ = 180°
        return np.stack([np.where(opposite, rho, x * factor), -y * factor], axis=-1)

    def _is_inside(self, uv: Float[ndarray, "*grid 2"]) -> Bool[ndarray, "*grid"]:
        return np.asarray(np.hypot(uv[..., 0], uv[..., 1]) <= 1.0 + 1e-9)

    def _density(self, uv: Float[ndarray, "*grid 2"]) -> Float[ndarray, "*grid"]:
        rho = np.asarray(np.minimum(np.hypot(uv[..., 0], uv[..., 1]), 1.0))
        theta, slope = self._angle(rho)
        return np.asarray(slope * np.where(rho > 1e-9, np.sin(theta) / np.maximum(rho, 1e-9), slope))

    def visible(self, size: tuple[int, int], *, align_corners: bool = False) -> Bool[ndarray, "height width"]:
        """Which pixels of an image of `size` have their centre inside the circle."""
        return self._is_inside(to_unit(pixel_centres(size), size, align_corners))
