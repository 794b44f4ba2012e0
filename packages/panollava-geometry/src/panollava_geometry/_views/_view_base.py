"""What both kinds of view have in common: continuous pixel coordinates and the methods built on them.

The centre of pixel (row r, column c) is at (x, y) = (c + ½, r + ½). The field of view spans the outer edges of the
outer pixels, or, with `align_corners=True`, their centres.
"""

import sys
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from panollava_geometry._errors import PanoramaError, boundary, short
from panollava_geometry._views._sphere import Degrees


def pixel_centres(size: tuple[int, int], top: int = 0) -> Float[ndarray, "height width 2"]:
    """Coordinates (x, y) of all pixel centres of an image of `size` (height, width) whose first row is row `top`."""
    y, x = np.meshgrid(np.arange(size[0]) + (top + 0.5), np.arange(size[1]) + 0.5, indexing="ij")
    return np.stack([x, y], axis=-1)


def to_unit(xy: Float[ndarray, "*grid 2"], size: tuple[int, int], align_corners: bool) -> Float[ndarray, "*grid 2"]:
    """Convert pixel coordinates to (u, v), which run from -1 to 1 over the field of view; v points down."""
    height, width = size
    if not align_corners:
        return np.asarray(2.0 * xy / [width, height] - 1.0)
    return np.asarray(2.0 * (xy - 0.5) / [max(width - 1, 1), max(height - 1, 1)] - 1.0)


def from_unit(uv: Float[ndarray, "*grid 2"], size: tuple[int, int], align_corners: bool) -> Float[ndarray, "*grid 2"]:
    """Convert (u, v) to pixel coordinates. Inverse of `to_unit`."""
    height, width = size
    if not align_corners:
        return np.asarray((uv + 1.0) * [width / 2, height / 2])
    return np.asarray((uv + 1.0) * [max(width - 1, 1) / 2, max(height - 1, 1) / 2] + 0.5)


def check_finite(view: object, **values: Degrees) -> None:
    """Check that all angles of a view are finite numbers.

    Raises:
        PanoramaError: One of them is not.
    """
    for name, value in values.items():
        if not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise PanoramaError(f"{type(view).__name__}.{name} must be a finite number of degrees, got {short(value)}")


def numbers(values: object, name: str, last: int | None = None) -> Float[ndarray, "..."]:
    """Points as float64, from an array, a list, or a tensor on the CPU.

    Args:
        values: The points.
        name: Their name in the error message.
        last: Length of the last axis.

    Raises:
        PanoramaError: They are not numbers, or the last axis has another length.
    """
    shape = "[...]" if last is None else f"[..., {last}]"
    with boundary(f"{name} must be numbers {shape}", "pass an array, a list or a tensor on the CPU"):
        array = np.asarray(values, dtype=np.float64)
    if last is not None and (array.ndim == 0 or array.shape[-1] != last):
        raise PanoramaError(f"{name} must be numbers {shape}, got shape {array.shape}")
    return array


class BaseView:
    """The methods of both kinds of view. `size` is always (height, width) in pixels."""

    kind: ClassVar[str]

    def pixels_to_rays(
        self, xy: Float[ndarray, "*grid 2"], size: tuple[int, int], *, align_corners: bool = False
    ) -> Float[ndarray, "*grid 3"]:
        """Convert continuous pixel coordinates (x, y) of an image of `size` to unit rays."""
        raise NotImplementedError

    def rays_to_pixels(
        self, rays: Float[ndarray, "*grid 3"], size: tuple[int, int], *, align_corners: bool = False
    ) -> tuple[Float[ndarray, "*grid 2"], Bool[ndarray, "*grid"]]:
        """Convert rays to continuous pixel coordinates (x, y), and report which rays the view sees.

        The coordinates of rays that the view does not see are NaN.
        """
        raise NotImplementedError

    def point_to_ray(self, points: object) -> Float[ndarray, "*grid 3"]:
        """Convert places in the view to unit rays.

        Args:
            points: Places (x, y) `[..., 2]` as fractions of the width and height: (0, 0) is the upper left corner of
                the view, (0.5, 0.5) its centre. An array, a list, or a tensor on the CPU.

        Returns:
            float64 rays `[..., 3]`.

        Raises:
            PanoramaError: The points are not numbers `[..., 2]`.
        """
        return self.pixels_to_rays(numbers(points, "points", 2), (1, 1))

    def ray_to_point(self, rays: object) -> tuple[Float[ndarray, "*grid 2"], Bool[ndarray, "*grid"]]:
        """Convert rays to places in the view. Inverse of `point_to_ray`.

        Args:
            rays: Directions `[..., 3]` of any length.

        Returns:
            Places (x, y) `[..., 2]` as fractions, NaN for rays that the view does not see, and which it sees `[...]`.

        Raises:
            PanoramaError: The rays are not numbers `[..., 3]`.
        """
        return self.rays_to_pixels(numbers(rays, "rays", 3), (1, 1))

    def rays(self, size: tuple[int, int], *, align_corners: bool = False) -> Float[ndarray, "height width 3"]:
        """Unit rays of all pixel centres of an image of `size`."""
        return self.pixels_to_rays(pixel_centres(size), size, align_corners=align_corners)

    def solid_angles(self, size: tuple[int, int]) -> Float[ndarray, "height width"]:
        """Exact solid angle of every pixel of an image of `size`, in steradians."""
        raise NotImplementedError

    def visible(self, size: tuple[int, int], *, align_corners: bool = False) -> Bool[ndarray, "height width"] | None:
        """Which pixels of an image of `size` show something. None: all."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """A dictionary for JSON. `view_from_dict` reads it."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]  # subclasses are dataclasses
