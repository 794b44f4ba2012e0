"""`PerspectiveView`: a pinhole camera at the centre of the sphere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._views._sphere import Degrees, rotation_matrix
from panollava_geometry._views._view_base import BaseView, check_finite, from_unit, to_unit

#: Below it, rounding errors are larger than the pixels.
_MIN_FOV_DEG = 1e-6
#: How far outside the image a principal point may be, in sides of the image.
_MAX_SHIFT = 1000.0


@dataclass(frozen=True)
class PerspectiveView(BaseView):
    """A pinhole camera at the centre of the sphere.

    Args:
        yaw_deg: Rotation to the right in degrees. 0 is the centre column of the panorama.
        pitch_deg: Rotation upwards in degrees, in [-90, 90].
        roll_deg: Clockwise rotation in degrees, as seen by the camera.
        hfov_deg: Horizontal field of view between the outer pixel edges, in degrees, in [1e-6, 180).
        vfov_deg: Vertical field of view in degrees. None means the same as `hfov_deg`.
        principal_point: Where the axis of the camera meets the image, as fractions of its width and height. The
            fields of view are those of the same camera with the axis in the centre: the focal length is
            width / (2 tan(hfov/2)) pixels.

    Raises:
        PanoramaError: An angle is not finite, or out of its range, or the principal point is not a pair of numbers.

    Example:
        >>> from panollava_geometry import PerspectiveView
        >>> view = PerspectiveView(yaw_deg=90.0)
        >>> view.rays((1, 1)).round(6).tolist()
        [[[1.0, 0.0, 0.0]]]
    """

    yaw_deg: Degrees
    pitch_deg: Degrees = 0.0
    roll_deg: Degrees = 0.0
    hfov_deg: Degrees = 90.0
    vfov_deg: Degrees | None = None
    principal_point: tuple[Degrees, Degrees] = (0.5, 0.5)

    kind: ClassVar[str] = "perspective"

    def __post_init__(self) -> None:
        check_finite(self, yaw_deg=self.yaw_deg, pitch_deg=self.pitch_deg, roll_deg=self.roll_deg)
        check_finite(self, hfov_deg=self.hfov_deg, vfov_deg=self.hfov_deg if self.vfov_deg is None else self.vfov_deg)
        if not -90 <= self.pitch_deg <= 90:
            raise PanoramaError(
                f"pitch_deg must be in [-90, 90], got {self.pitch_deg}: to look past a pole, add 180 to yaw_deg"
            )
        for name, fov in (("hfov_deg", self.hfov_deg), ("vfov_deg", self.vfov_deg)):
            if fov is not None and not _MIN_FOV_DEG <= fov < 180:
                raise PanoramaError(
                    f"{name} must be between 0 and 180 degrees (the limits of a flat image) and at least "
                    f"{_MIN_FOV_DEG}, got {fov}: use an EquirectangularView, or several views"
                )

        self._check_principal_point()

    def _check_principal_point(self) -> None:
        point = self.principal_point
        if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
            raise PanoramaError(f"principal_point must be a pair (x, y) of fractions, got {short(point)}")
        for axis, value in enumerate(point):
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_SHIFT:
                raise PanoramaError(
                    f"principal_point[{axis}] must be a fraction of the image, 0.5 in its centre, got {short(value)}"
                )
        object.__setattr__(self, "principal_point", tuple(map(float, point)))

    @classmethod
    def from_intrinsics(
        cls,
        fx: Degrees,
        fy: Degrees,
        cx: Degrees,
        cy: Degrees,
        size: tuple[int, int],
        *,
        yaw_deg: Degrees = 0.0,
        pitch_deg: Degrees = 0.0,
        roll_deg: Degrees = 0.0,
    ) -> "PerspectiveView":
        """The view of a calibrated camera without distortion.

        Args:
            fx: Focal length in pixels along x.
            fy: Focal length in pixels along y.
            cx: Principal point in pixels along x, where the centre of the first pixel is 0 (OpenCV).
            cy: Principal point in pixels along y.
            size: Height and width of the image in pixels.
            yaw_deg: Rotation to the right in degrees.
            pitch_deg: Rotation upwards in degrees.
            roll_deg: Clockwise rotation in degrees.

        Raises:
            PanoramaError: A focal length is not positive, or another value is impossible.

        Example:
            >>> from panollava_geometry import PerspectiveView
            >>> PerspectiveView.from_intrinsics(50.0, 50.0, 49.5, 49.5, (100, 100)).hfov_deg
            90.0
        """
        height, width = size
        fields = []
        for name, focal, side in (("fx", fx, width), ("fy", fy, height)):
            if isinstance(focal, bool) or not isinstance(focal, int | float) or not 0 < focal < math.inf:
                raise PanoramaError(f"{name} must be a positive number of pixels, got {short(focal)}")
            fields.append(math.degrees(2 * math.atan2(side, 2 * focal)))
        point = ((cx + 0.5) / width, (cy + 0.5) / height)
        return cls(yaw_deg, pitch_deg, roll_deg, fields[0], fields[1], point)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary for JSON. A principal point in the centre is left out, as by earlier releases."""
        data = super().to_dict()
        if self.principal_point == (0.5, 0.5):
            del data["principal_point"]
        return data

    @property
    def fov_deg(self) -> tuple[Degrees, Degrees]:
        """Horizontal and vertical field of view in degrees."""
        return self.hfov_deg, self.hfov_deg if self.vfov_deg is None else self.vfov_deg

    @cached_property
    def rotation(self) -> Float[ndarray, "3 3"]:
        """Camera-to-world rotation matrix."""
        return rotation_matrix(self.yaw_deg, self.pitch_deg, self.roll_deg)

    @property
    def _half_extent(self) -> Float[ndarray, " 2"]:
        return np.tan(np.deg2rad(self.fov_deg) / 2)

    @property
    def _shift(self) -> Float[ndarray, " 2"]:
        """The principal point as (u, v), which run from -1 to 1 over the image."""
        return 2 * np.asarray(self.principal_point) - 1

    def pixels_to_rays(
        self, xy: Float[ndarray, "*grid 2"], size: tuple[int, int], *, align_corners: bool = False
    ) -> Float[ndarray, "*grid 3"]:
        """Convert continuous pixel coordinates (x, y) of an image of `size` to unit rays."""
        plane = (to_unit(xy, size, align_corners) - self._shift) * self._half_extent
        rays = np.stack([plane[..., 0], -plane[..., 1], np.ones(plane.shape[:-1])], axis=-1)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        return np.asarray(rays @ self.rotation.T)

    def rays_to_pixels(
        self, rays: Float[ndarray, "*grid 3"], size: tuple[int, int], *, align_corners: bool = False
    ) -> tuple[Float[ndarray, "*grid 2"], Bool[ndarray, "*grid"]]:
        """Convert rays to continuous pixel coordinates (x, y), and report which rays the view sees.

        The coordinates of rays that the view does not see are NaN.
        """
        x, y, z = np.moveaxis(rays @ self.rotation, -1, 0)
        ahead = np.asarray(z > 0)
        depth = np.where(ahead, z, np.nan)
        uv = np.stack([x / depth, -y / depth], axis=-1) / self._half_extent + self._shift
        seen = np.asarray(ahead & (np.abs(np.where(ahead[..., None], uv, 2.0)) <= 1.0 + 1e-9).all(axis=-1))
        return np.where(seen[..., None], from_unit(uv, size, align_corners), np.nan), seen

    def solid_angles(self, size: tuple[int, int]) -> Float[ndarray, "height width"]:
        """Exact solid angle of every pixel of an image of `size`, in steradians.

        The rectangle from the axis to (x, y) at distance 1 has the solid angle atan(x y / sqrt(1 + x² + y²)).
        """
        half, shift = self._half_extent, self._shift
        x = np.linspace((-1 - shift[0]) * half[0], (1 - shift[0]) * half[0], size[1] + 1)
        y = np.linspace((-1 - shift[1]) * half[1], (1 - shift[1]) * half[1], size[0] + 1)[:, None]
        corner = np.arctan2(x * y, np.sqrt(1 + x**2 + y**2))
        return np.asarray(np.diff(np.diff(corner, axis=0), axis=1))
