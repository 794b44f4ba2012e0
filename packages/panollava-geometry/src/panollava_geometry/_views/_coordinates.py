"""Points of panoramas and views: pixels, rays and angles, for arrays of points in float64."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from panollava_geometry._arrays._sizes import Size, size_pair
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._views import _sphere
from panollava_geometry._views._view_base import BaseView, numbers
from panollava_geometry._views._views import View

#: Points as functions take them: arrays, lists, or tensors on the CPU.
Points = Any


def angles_to_rays(yaw_deg: Points, pitch_deg: Points) -> Float[ndarray, "*grid 3"]:
    """Convert angles to unit rays: x right, y up, z forward.

    Args:
        yaw_deg: Angles to the right in degrees `[...]`.
        pitch_deg: Angles upwards in degrees `[...]`; the shapes are broadcast.

    Returns:
        float64 rays `[..., 3]`.

    Raises:
        PanoramaError: The angles are not numbers, or their shapes differ.

    Example:
        >>> from panollava_geometry.coordinates import angles_to_rays
        >>> angles_to_rays([0.0, 90.0], 0.0).round(6).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    yaw, pitch = numbers(yaw_deg, "yaw_deg"), numbers(pitch_deg, "pitch_deg")
    try:
        yaw, pitch = np.broadcast_arrays(yaw, pitch)
    except ValueError as error:
        raise PanoramaError(
            f"yaw_deg and pitch_deg must have shapes that fit together, got {yaw.shape} and {pitch.shape}"
        ) from error
    return _sphere.angles_to_rays(np.asarray(np.deg2rad(yaw)), np.asarray(np.deg2rad(pitch)))


def rays_to_angles(rays: Points) -> tuple[Float[ndarray, "*grid"], Float[ndarray, "*grid"]]:
    """Convert rays of any length to angles.

    Args:
        rays: Directions `[..., 3]`: x right, y up, z forward.

    Returns:
        Yaw in (-180, 180] and pitch in [-90, 90], float64 `[...]`, in degrees. The yaw of a pole is 0 or 180.

    Raises:
        PanoramaError: The rays are not numbers `[..., 3]`.

    Example:
        >>> from panollava_geometry.coordinates import rays_to_angles
        >>> yaw, pitch = rays_to_angles([[1.0, 0.0, 0.0], [0.0, 2.0, 2.0]])
        >>> yaw.round(6).tolist(), pitch.round(6).tolist()
        ([90.0, 0.0], [0.0, 45.0])
    """
    longitude, latitude = _sphere.rays_to_angles(numbers(rays, "rays", 3))
    return np.asarray(np.rad2deg(longitude)), np.asarray(np.rad2deg(latitude))


def erp_to_rays(xy: Points, erp_size: Size) -> Float[ndarray, "*grid 3"]:
    """Convert pixels of a panorama to unit rays.

    Args:
        xy: Positions (x, y) `[..., 2]`. The centre of pixel (row r, column c) is (c + ½, r + ½). Positions left or
            right of the panorama continue around it.
        erp_size: Height of the panorama in pixels (the width is twice that), or (height, width).

    Returns:
        float64 rays `[..., 3]`.

    Raises:
        PanoramaError: The positions are not numbers `[..., 2]`, or the size is not 2:1.

    Example:
        >>> from panollava_geometry.coordinates import erp_to_rays
        >>> erp_to_rays([[512.0, 256.0], [768.0, 256.0]], 512).round(6).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return _sphere.equirect_to_rays(numbers(xy, "xy", 2), erp_pair(erp_size))


def rays_to_erp(rays: Points, erp_size: Size) -> Float[ndarray, "*grid 2"]:
    """Convert rays of any length to pixels of a panorama. Inverse of `erp_to_rays`.

    Args:
        rays: Directions `[..., 3]`.
        erp_size: Height of the panorama in pixels (the width is twice that), or (height, width).

    Returns:
        float64 positions (x, y) `[..., 2]`, with 0 < x <= width. Straight behind is the right edge.

    Raises:
        PanoramaError: The rays are not numbers `[..., 3]`, or the size is not 2:1.

    Example:
        >>> from panollava_geometry.coordinates import rays_to_erp
        >>> rays_to_erp([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], 512).tolist()
        [[512.0, 256.0], [512.0, 0.0]]
    """
    return _sphere.rays_to_equirect(numbers(rays, "rays", 3), erp_pair(erp_size))


def erp_to_angles(xy: Points, erp_size: Size) -> tuple[Float[ndarray, "*grid"], Float[ndarray, "*grid"]]:
    """Convert pixels of a panorama to yaw in (-180, 180] and pitch in degrees. See `erp_to_rays`.

    Example:
        >>> from panollava_geometry.coordinates import erp_to_angles
        >>> [round(float(angle), 6) for angle in erp_to_angles([768.0, 128.0], 512)]
        [90.0, 45.0]
    """
    return rays_to_angles(erp_to_rays(xy, erp_size))


def angles_to_erp(yaw_deg: Points, pitch_deg: Points, erp_size: Size) -> Float[ndarray, "*grid 2"]:
    """Convert angles in degrees to pixels of a panorama. See `angles_to_rays` and `rays_to_erp`.

    Example:
        >>> from panollava_geometry.coordinates import angles_to_erp
        >>> angles_to_erp(90.0, 45.0, 512).round(6).tolist()
        [768.0, 128.0]
    """
    return rays_to_erp(angles_to_rays(yaw_deg, pitch_deg), erp_size)


def view_to_angles(
    xy: Points, view: View, size: Size, *, align_corners: bool = False
) -> tuple[Float[ndarray, "*grid"], Float[ndarray, "*grid"]]:
    """Convert pixels of a view to yaw and pitch in degrees.

    Args:
        xy: Positions (x, y) `[..., 2]` in the view.
        view: The view.
        size: Height and width of the view in pixels, or one number for both.
        align_corners: The field of view spans the centres of the outer pixels.

    Returns:
        Yaw in (-180, 180] and pitch, float64 `[...]`.

    Raises:
        PanoramaError: The positions are not numbers `[..., 2]`, or the size is invalid.

    Example:
        >>> from panollava_geometry.coordinates import view_to_angles
        >>> from panollava_geometry import PerspectiveView
        >>> [float(angle.round(6)) + 0.0 for angle in view_to_angles([224.0, 112.0], PerspectiveView(0.0), 224)]
        [45.0, 0.0]
    """
    return rays_to_angles(
        _view(view).pixels_to_rays(numbers(xy, "xy", 2), size_pair(size), align_corners=align_corners)
    )


def angles_to_view(
    yaw_deg: Points, pitch_deg: Points, view: View, size: Size, *, align_corners: bool = False
) -> tuple[Float[ndarray, "*grid 2"], Bool[ndarray, "*grid"]]:
    """Convert angles in degrees to pixels of a view.

    Returns:
        Positions (x, y) `[..., 2]`, NaN for directions that the view does not see, and which it sees `[...]`.

    Raises:
        PanoramaError: The angles are not numbers, their shapes differ, or the size is invalid.

    Example:
        >>> from panollava_geometry.coordinates import angles_to_view
        >>> from panollava_geometry import PerspectiveView
        >>> xy, seen = angles_to_view([45.0, 180.0], 0.0, PerspectiveView(0.0), 224)
        >>> xy.round(6).tolist(), seen.tolist()
        ([[224.0, 112.0], [nan, nan]], [True, False])
    """
    return _view(view).rays_to_pixels(angles_to_rays(yaw_deg, pitch_deg), size_pair(size), align_corners=align_corners)


def view_to_erp(
    xy: Points, view: View, size: Size, erp_size: Size, *, align_corners: bool = False
) -> Float[ndarray, "*grid 2"]:
    """Convert pixels of a view to pixels of the panorama.

    Args:
        xy: Positions (x, y) `[..., 2]` in the view.
        view: The view.
        size: Height and width of the view in pixels, or one number for both.
        erp_size: Height of the panorama in pixels (the width is twice that), or (height, width).
        align_corners: The field of view spans the centres of the outer pixels.

    Returns:
        float64 positions (x, y) `[..., 2]` in the panorama.

    Raises:
        PanoramaError: The positions are not numbers `[..., 2]`, or a size is invalid.

    Example:
        >>> from panollava_geometry.coordinates import view_to_erp
        >>> from panollava_geometry import PerspectiveView
        >>> view_to_erp([[112.0, 112.0]], PerspectiveView(90.0), 224, 512).round(6).tolist()
        [[768.0, 256.0]]
    """
    rays = _view(view).pixels_to_rays(numbers(xy, "xy", 2), size_pair(size), align_corners=align_corners)
    return rays_to_erp(rays, erp_size)


def erp_to_view(
    xy: Points, view: View, size: Size, erp_size: Size, *, align_corners: bool = False
) -> tuple[Float[ndarray, "*grid 2"], Bool[ndarray, "*grid"]]:
    """Convert pixels of the panorama to pixels of a view. Inverse of `view_to_erp`.

    Returns:
        Positions (x, y) `[..., 2]`, NaN where the view does not see the pixel, and which pixels it sees `[...]`.

    Raises:
        PanoramaError: The positions are not numbers `[..., 2]`, or a size is invalid.

    Example:
        >>> from panollava_geometry.coordinates import erp_to_view
        >>> from panollava_geometry import PerspectiveView
        >>> xy, seen = erp_to_view([[768.0, 256.0], [256.0, 256.0]], PerspectiveView(90.0), 224, 512)
        >>> xy.round(6).tolist(), seen.tolist()
        ([[112.0, 112.0], [nan, nan]], [True, False])
    """
    return _view(view).rays_to_pixels(erp_to_rays(xy, erp_size), size_pair(size), align_corners=align_corners)


def erp_pair(erp_size: Size) -> tuple[int, int]:
    """The height and width of a panorama, given by its height, or by both.

    Raises:
        PanoramaError: The size is not a positive height, or not 2:1.
    """
    height, width = (erp_size, 2 * erp_size) if isinstance(erp_size, int) else size_pair(erp_size, "erp_size")
    if height < 1 or width != 2 * height:
        raise PanoramaError(f"erp_size must be a positive height or (height, 2 * height), got {short(erp_size)}")
    return height, width


def _view(view: object) -> BaseView:
    if not isinstance(view, BaseView):
        raise PanoramaError(
            f"expected one view, got {type(view).__name__}: pass a PerspectiveView, or a view of a plan"
        )
    return view
