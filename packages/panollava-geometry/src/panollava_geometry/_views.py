"""The two kinds of view: a pinhole camera and a window of the equirectangular image itself.

Both map continuous pixel coordinates to rays and rays to pixel coordinates, for any picture size. The centre of pixel
(row r, column c) is at (x, y) = (c + ½, r + ½); the field of view spans the outer pixel edges, or with
`align_corners=True` the centres of the outer pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from panollava_geometry._errors import PanoramaError
from panollava_geometry._sphere import Degrees, angles_to_rays, rays_to_angles, rotation_matrix


def _to_unit(xy: Float[ndarray, "*grid 2"], size: tuple[int, int], align_corners: bool) -> Float[ndarray, "*grid 2"]:
    """Pixel coordinates to (u, v) in [-1, 1] over the field of view, v downwards."""
    height, width = size
    if not align_corners:
        return np.asarray(2.0 * xy / [width, height] - 1.0)
    return np.asarray(2.0 * (xy - 0.5) / [max(width - 1, 1), max(height - 1, 1)] - 1.0)


def _from_unit(uv: Float[ndarray, "*grid 2"], size: tuple[int, int], align_corners: bool) -> Float[ndarray, "*grid 2"]:
    height, width = size
    if not align_corners:
        return np.asarray((uv + 1.0) * [width / 2, height / 2])
    return np.asarray((uv + 1.0) * [max(width - 1, 1) / 2, max(height - 1, 1) / 2] + 0.5)


def pixel_centres(size: tuple[int, int], top: int = 0) -> Float[ndarray, "height width 2"]:
    """Continuous coordinates (x, y) of all pixel centres of a picture, or of its rows from `top` on."""
    y, x = np.meshgrid(np.arange(size[0]) + (top + 0.5), np.arange(size[1]) + 0.5, indexing="ij")
    return np.stack([x, y], axis=-1)


def _finite(view: object, **values: Degrees) -> None:
    for name, value in values.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise PanoramaError(f"{type(view).__name__}.{name} must be a finite number of degrees, got {value!r}")


class _View:
    """What both kinds of view share."""

    kind: ClassVar[str]

    def pixels_to_rays(
        self, xy: Float[ndarray, "*grid 2"], size: tuple[int, int], *, align_corners: bool = False
    ) -> Float[ndarray, "*grid 3"]:
        """Unit rays through continuous pixel coordinates (x, y) of a picture of `size` (height, width)."""
        raise NotImplementedError

    def rays_to_pixels(
        self, rays: Float[ndarray, "*grid 3"], size: tuple[int, int], *, align_corners: bool = False
    ) -> tuple[Float[ndarray, "*grid 2"], Bool[ndarray, "*grid"]]:
        """Continuous pixel coordinates (x, y) of rays, and which of them the view sees (the others' are NaN)."""
        raise NotImplementedError

    def rays(self, size: tuple[int, int], *, align_corners: bool = False) -> Float[ndarray, "height width 3"]:
        """Unit rays of all pixel centres of a picture of `size` (height, width)."""
        return self.pixels_to_rays(pixel_centres(size), size, align_corners=align_corners)

    def solid_angles(self, size: tuple[int, int]) -> Float[ndarray, "height width"]:
        """Solid angle of every pixel of a picture of `size` (height, width), in steradians, exactly."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; `view_from_dict` reads it back."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]  # subclasses are dataclasses


@dataclass(frozen=True)
class PerspectiveView(_View):
    """A pinhole camera at the centre of the sphere.

    Args:
        yaw_deg: Turn to the right; 0 is the centre column of the panorama.
        pitch_deg: Turn upwards, in [-90, 90].
        roll_deg: Turn of the camera clockwise as it sees.
        hfov_deg: Horizontal field of view, in (0, 180), between the outer pixel edges.
        vfov_deg: Vertical field of view; None means the same as `hfov_deg` (square pixels in a square picture).

    Raises:
        PanoramaError: An angle is not finite, or out of its range.

    Example:
        >>> view = PerspectiveView(yaw_deg=90.0)
        >>> view.rays((1, 1)).round(6).tolist()
        [[[1.0, 0.0, 0.0]]]
    """

    yaw_deg: Degrees
    pitch_deg: Degrees = 0.0
    roll_deg: Degrees = 0.0
    hfov_deg: Degrees = 90.0
    vfov_deg: Degrees | None = None

    kind: ClassVar[str] = "perspective"

    def __post_init__(self) -> None:
        _finite(self, yaw_deg=self.yaw_deg, pitch_deg=self.pitch_deg, roll_deg=self.roll_deg)
        _finite(self, hfov_deg=self.hfov_deg, vfov_deg=self.hfov_deg if self.vfov_deg is None else self.vfov_deg)
        if not -90 <= self.pitch_deg <= 90:
            raise PanoramaError(
                f"pitch_deg must lie in [-90, 90], got {self.pitch_deg}: to look beyond a pole, turn yaw_deg by 180"
            )
        for name, fov in (("hfov_deg", self.hfov_deg), ("vfov_deg", self.vfov_deg)):
            if fov is not None and not 0 < fov < 180:
                raise PanoramaError(
                    f"{name} must lie between 0 and 180 degrees (a plane picture cannot hold more), got {fov}: "
                    "use an EquirectangularView, or several views"
                )

    @property
    def fov_deg(self) -> tuple[Degrees, Degrees]:
        """Horizontal and vertical field of view."""
        return self.hfov_deg, self.hfov_deg if self.vfov_deg is None else self.vfov_deg

    @cached_property
    def rotation(self) -> Float[ndarray, "3 3"]:
        """Camera-to-world rotation matrix."""
        return rotation_matrix(self.yaw_deg, self.pitch_deg, self.roll_deg)

    @property
    def _half_extent(self) -> Float[ndarray, " 2"]:
        return np.tan(np.deg2rad(self.fov_deg) / 2)

    def pixels_to_rays(
        self, xy: Float[ndarray, "*grid 2"], size: tuple[int, int], *, align_corners: bool = False
    ) -> Float[ndarray, "*grid 3"]:
        """Unit rays through continuous pixel coordinates (x, y) of a picture of `size` (height, width)."""
        plane = _to_unit(xy, size, align_corners) * self._half_extent
        rays = np.stack([plane[..., 0], -plane[..., 1], np.ones(plane.shape[:-1])], axis=-1)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        return np.asarray(rays @ self.rotation.T)

    def rays_to_pixels(
        self, rays: Float[ndarray, "*grid 3"], size: tuple[int, int], *, align_corners: bool = False
    ) -> tuple[Float[ndarray, "*grid 2"], Bool[ndarray, "*grid"]]:
        """Continuous pixel coordinates (x, y) of rays, and which of them the view sees (the others' are NaN)."""
        x, y, z = np.moveaxis(rays @ self.rotation, -1, 0)
        ahead = np.asarray(z > 0)
        depth = np.where(ahead, z, np.nan)
        uv = np.stack([x / depth, -y / depth], axis=-1) / self._half_extent
        seen = np.asarray(ahead & (np.abs(np.where(ahead[..., None], uv, 2.0)) <= 1.0 + 1e-9).all(axis=-1))
        return np.where(seen[..., None], _from_unit(uv, size, align_corners), np.nan), seen

    def solid_angles(self, size: tuple[int, int]) -> Float[ndarray, "height width"]:
        """Solid angle of every pixel of a picture of `size` (height, width), in steradians, exactly.

        The angle of the rectangle from the axis to (x, y) at distance 1 is atan(x y / sqrt(1 + x² + y²)).
        """
        half = self._half_extent
        x = np.linspace(-half[0], half[0], size[1] + 1)
        y = np.linspace(-half[1], half[1], size[0] + 1)[:, None]
        corner = np.arctan2(x * y, np.sqrt(1 + x**2 + y**2))
        return np.asarray(np.diff(np.diff(corner, axis=0), axis=1))


@dataclass(frozen=True)
class EquirectangularView(_View):
    """A window of the equirectangular image; by default the whole of it (the global view).

    Args:
        longitude_range_deg: Left and right edge. The right edge may pass 180 for a window across the seam.
        latitude_range_deg: Lower and upper edge, within [-90, 90].

    Raises:
        PanoramaError: A range is empty, longer than the sphere, or not finite.

    Example:
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
                raise PanoramaError(f"{name} must be a pair of degrees, got {value!r}")
            _finite(self, **{f"{name}[{index}]": edge for index, edge in enumerate(value)})
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
        """Unit rays through continuous pixel coordinates (x, y) of a picture of `size` (height, width)."""
        return angles_to_rays(*self.pixels_to_angles(xy, size, align_corners=align_corners))

    def pixels_to_angles(
        self, xy: Float[ndarray, "*grid 2"], size: tuple[int, int], *, align_corners: bool = False
    ) -> tuple[Float[ndarray, "*grid"], Float[ndarray, "*grid"]]:
        """Longitude (not wrapped) and latitude, in radians, of continuous pixel coordinates (x, y)."""
        centre, half = self._centre_and_half
        uv = _to_unit(xy, size, align_corners)
        return np.asarray(centre[0] + uv[..., 0] * half[0]), np.asarray(centre[1] - uv[..., 1] * half[1])

    def rays_to_pixels(
        self, rays: Float[ndarray, "*grid 3"], size: tuple[int, int], *, align_corners: bool = False
    ) -> tuple[Float[ndarray, "*grid 2"], Bool[ndarray, "*grid"]]:
        """Continuous pixel coordinates (x, y) of rays, and which of them the view sees (the others' are NaN)."""
        centre, half = self._centre_and_half
        longitude, latitude = rays_to_angles(rays)
        offset = np.remainder(longitude - centre[0] + np.pi, 2 * np.pi) - np.pi
        uv = np.stack([offset / half[0], (centre[1] - latitude) / half[1]], axis=-1)
        seen = np.asarray((np.abs(uv) <= 1.0 + 1e-9).all(axis=-1))
        return np.where(seen[..., None], _from_unit(uv, size, align_corners), np.nan), seen

    def solid_angles(self, size: tuple[int, int]) -> Float[ndarray, "height width"]:
        """Solid angle of every pixel of a picture of `size` (height, width), in steradians, exactly."""
        (left, right), (low, high) = np.deg2rad([self.longitude_range_deg, self.latitude_range_deg])
        rows = -np.diff(np.sin(np.linspace(high, low, size[0] + 1)))
        return np.asarray(np.broadcast_to(rows[:, None] * (right - left) / size[1], size))


View = PerspectiveView | EquirectangularView
_KINDS: dict[str, type[PerspectiveView] | type[EquirectangularView]] = {
    cls.kind: cls for cls in (PerspectiveView, EquirectangularView)
}


def view_from_dict(data: Mapping[str, Any]) -> View:
    """Read a view back from what its `to_dict` gave.

    Raises:
        PanoramaError: The kind is unknown, or a field is missing, unknown or wrong.
    """
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    kind = fields.pop("kind", None)
    if kind not in _KINDS:
        raise PanoramaError(f"unknown kind of view {kind!r}: expected one of {', '.join(sorted(_KINDS))}")
    try:
        return _KINDS[kind](**fields)
    except TypeError as error:
        raise PanoramaError(f"cannot read a {kind} view from {fields}: {error}") from error
