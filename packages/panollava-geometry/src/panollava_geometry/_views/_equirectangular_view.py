"""`EquirectangularView`: a window of the panorama itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._views._sphere import Degrees, angles_to_rays, rays_to_angles
from panollava_geometry._views._view_base import BaseView, check_finite, from_unit, to_unit


@dataclass(frozen=True)
class EquirectangularView(BaseView):
    """A window of the equirectangular image. The default is the full image (the global view).

    Args:
        longitude_range_deg: Left and right edge in degrees. For a window across the seam the right edge is above 180.
        latitude_range_deg: Lower and upper edge in degrees, within [-90, 90].

    Raises:
        PanoramaError: A range is empty, longer than the sphere, or not finite.

    Example:
        >>> from panollava_geometry import EquirectangularView
        >>> EquirectangularView().rays((1, 2)).round(6).tolist()
        [[[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]]
    """

    longitude_range_deg: tuple[Degrees, Degrees] = (-180.0, 180.0)
    latitude_range_deg: tuple[Degrees, Degrees] = (-90.0, 90.0)

    kind: ClassVar[str] = "equirectangular"

    def __post_init__(self) -> None:
        for name in ("longitude_range_deg", "latitude_range_deg"):
            value = getattr(self, name)
            if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
                raise PanoramaError(f"{name} must be a pair of angles in degrees, got {short(value)}")
            check_finite(self, **{f"{name}[{index}]": edge for index, edge in enumerate(value)})
            object.__setattr__(self, name, tuple(map(float, value)))
        (left, right), (low, high) = self.longitude_range_deg, self.latitude_range_deg
        if not 0 < right - left <= 360 + 1e-9:
            raise PanoramaError(
                f"longitude_range_deg must run from left to right over at most 360 degrees, got {(left, right)}: "
                "write a window across the seam as (150, 210)"
            )
        if not -90 <= low < high <= 90:
            raise PanoramaError(f"latitude_range_deg must be (lower, upper) within [-90, 90], got {(low, high)}")

    @property
    def _centre_and_half(self) -> tuple[Float[ndarray, " 2"], Float[ndarray, " 2"]]:
        ranges = np.deg2rad([self.longitude_range_deg, self.latitude_range_deg])
        return ranges.mean(axis=1), np.diff(ranges, axis=1)[:, 0] / 2

    def pixels_to_rays(
        self, xy: Float[ndarray, "*grid 2"], size: tuple[int, int], *, align_corners: bool = False
    ) -> Float[ndarray, "*grid 3"]:
        """Convert continuous pixel coordinates (x, y) of an image of `size` to unit rays."""
        return angles_to_rays(*self.pixels_to_angles(xy, size, align_corners=align_corners))

    def pixels_to_angles(
        self, xy: Float[ndarray, "*grid 2"], size: tuple[int, int], *, align_corners: bool = False
    ) -> tuple[Float[ndarray, "*grid"], Float[ndarray, "*grid"]]:
        """Convert continuous pixel coordinates to longitude (not wrapped) and latitude, in radians."""
        centre, half = self._centre_and_half
        uv = to_unit(xy, size, align_corners)
        return np.asarray(centre[0] + uv[..., 0] * half[0]), np.asarray(centre[1] - uv[..., 1] * half[1])

    def rays_to_pixels(
        self, rays: Float[ndarray, "*grid 3"], size: tuple[int, int], *, align_corners: bool = False
    ) -> tuple[Float[ndarray, "*grid 2"], Bool[ndarray, "*grid"]]:
        """Convert rays to continuous pixel coordinates (x, y), and report which rays the view sees.

        The coordinates of rays that the view does not see are NaN.
        """
        centre, half = self._centre_and_half
        longitude, latitude = rays_to_angles(rays)
        offset = np.remainder(longitude - centre[0] + np.pi, 2 * np.pi) - np.pi
        uv = np.stack([offset / half[0], (centre[1] - latitude) / half[1]], axis=-1)
        seen = np.asarray((np.abs(uv) <= 1.0 + 1e-9).all(axis=-1))
        return np.where(seen[..., None], from_unit(uv, size, align_corners), np.nan), seen

    def solid_angles(self, size: tuple[int, int]) -> Float[ndarray, "height width"]:
        """Exact solid angle of every pixel of an image of `size`, in steradians."""
        (left, right), (low, high) = np.deg2rad([self.longitude_range_deg, self.latitude_range_deg])
        rows = -np.diff(np.sin(np.linspace(high, low, size[0] + 1)))
        return np.asarray(np.broadcast_to(rows[:, None] * (right - left) / size[1], size))
