"""Boxes on the sphere and regions of the panorama, across the seam and the poles; boxes of other definitions."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from panollava_geometry._arrays._sizes import Size
from panollava_geometry._boxes._spherical_box import SphericalBox
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._views._coordinates import erp_pair
from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._sphere import Degrees, angles_to_rays, rays_to_angles, rotation_matrix
from panollava_geometry._views._view_base import numbers

_HALF_TURN_DEG = 180.0
#: Rays with a smaller z are not in front of a frame.
_AHEAD = 1e-9


def box_around(rays: Any, *, roll_deg: Degrees = 0.0) -> SphericalBox:
    """A small box of a given roll around directions, for example the corners of a rectangle in a view.

    The box is centred so that the outermost directions are on opposite sides of it. A box of at most 180° is convex: it
    also encloses the great-circle arcs between the directions.

    Args:
        rays: Directions `[..., 3]` of any length, except 0.
        roll_deg: Roll of the box in degrees. For directions around a pole, where the roll changes quickly with the yaw,
            the roll of the box may differ.

    Raises:
        PanoramaError: There are no directions, or one is 0 or not finite.

    Example:
        >>> from panollava_geometry.boxes import box_around
        >>> from panollava_geometry import PerspectiveView
        >>> view = PerspectiveView(0.0, hfov_deg=90.0)
        >>> corners = view.point_to_ray([[0.6, 0.4], [0.9, 0.4], [0.9, 0.6], [0.6, 0.6]])
        >>> box = box_around(corners)
        >>> round(box.yaw_deg), round(box.width_deg), round(box.height_deg)
        (25, 27, 23)
    """
    array = numbers(rays, "rays", 3).reshape(-1, 3)
    lengths = np.linalg.norm(array, axis=1)
    if len(array) == 0 or not (np.isfinite(lengths) & (lengths > 0)).all():
        raise PanoramaError(f"a box needs at least one direction, none of length 0 and all finite, got {len(array)}")
    unit = array / lengths[:, None]
    centre = unit.sum(axis=0)
    if np.linalg.norm(centre) < 1e-12:
        centre = unit[0]
    frame = _centred(unit, _looking(centre, roll_deg), roll_deg)
    x, y, z = (unit @ frame).T
    if (z > _AHEAD).all():
        sizes = [2 * np.abs(np.arctan2(side, z)).max() for side in (x, y)]
    else:  # not in one hemisphere around the centre
        sizes = [2 * np.abs(np.arctan2(x, z)).max(), 2 * np.abs(np.arctan2(y, np.hypot(x, z))).max()]
        sizes[1] = sizes[1] if sizes[0] > np.pi else np.pi
    # A little more, so that the rounding of the angles leaves no direction outside.
    width, height = (np.rad2deg(sizes) * (1 + 1e-12) + 4e-12).tolist()
    return SphericalBox.of_frame(frame, min(max(width, 1e-6), 360.0), min(max(height, 1e-6), 180.0))


def _centred(rays: Float[ndarray, "rays 3"], frame: Float[ndarray, "3 3"], roll_deg: Degrees) -> Float[ndarray, "3 3"]:
    """Turn a frame until the outermost rays are on opposite sides of its forward axis.

    The roll is kept. Where this does not converge, which happens around a pole, the frame is turned without a twist.
    """
    for step in range(200):
        x, y, z = (rays @ frame).T
        if (z <= _AHEAD).any():
            break
        across, up = np.arctan2(x, z), np.arctan2(y, z)
        middle = float(across.min() + across.max()) / 2, float(up.min() + up.max()) / 2
        if abs(middle[0]) + abs(middle[1]) < 1e-13:
            break
        if step < 60:
            frame = _looking(frame @ [np.tan(middle[0]), np.tan(middle[1]), 1.0], roll_deg)
        else:
            frame = frame @ rotation_matrix(*np.rad2deg(middle).tolist())
    return frame


def box_to_window(box: SphericalBox) -> EquirectangularView:
    """The smallest range of longitude and latitude around a box.

    It crosses the seam if the box does, and spans all longitudes if the box contains a pole. Exact for boxes up to
    180°, for wider ones to 0.001°.

    Example:
        >>> from panollava_geometry.boxes import box_to_window
        >>> from panollava_geometry import SphericalBox
        >>> box_to_window(SphericalBox(180.0, 0.0, 20.0, 10.0)).longitude_range_deg
        (170.0, 190.0)
    """
    narrow = box.width_deg <= _HALF_TURN_DEG
    outline = box.outline(9 if narrow else 5761)
    longitude, latitude = rays_to_angles(outline)
    low, high = float(np.rad2deg(latitude.min())), float(np.rad2deg(latitude.max()))
    if narrow:  # the highest and lowest points of the great circles, if they are on the box
        for normal in box.half_spaces[:, :3]:
            top = np.array([0.0, 1.0, 0.0]) - normal[1] * normal
            length = np.linalg.norm(top)
            for ray in (top, -top) if length > 1e-12 else ():
                if box.contains(ray / length):
                    pitch = float(np.rad2deg(np.arcsin(np.clip(ray[1] / length, -1, 1))))
                    low, high = min(low, pitch), max(high, pitch)
    poles = [bool(box.contains(np.array([0.0, y, 0.0]))) for y in (-1.0, 1.0)]
    low, high = (-90.0 if poles[0] else max(low, -90.0)), (90.0 if poles[1] else min(high, 90.0))
    steps = np.diff(longitude)
    turned = np.concatenate([[0.0], np.cumsum((steps + np.pi) % (2 * np.pi) - np.pi)])
    left, right = (float(np.rad2deg(longitude[0] + turn)) for turn in (turned.min(), turned.max()))
    if any(poles) or right - left >= 360 - 1e-9 or box.width_deg >= 360:
        return EquirectangularView((-180.0, 180.0), (low, high))
    shift = 360.0 * np.floor((left + 180.0 + 1e-9) / 360.0)
    left, right = (round(value - shift, 9) for value in (left, right))
    return EquirectangularView((left, right), (low, high))


def window_to_box(window: EquirectangularView) -> SphericalBox:
    """A box without roll around a range of longitude and latitude.

    The sides of the two are different curves. The box is the smallest of those centred on the meridian in the middle of
    the range, or on the equator, or on a pole that the range touches.

    Example:
        >>> from panollava_geometry.boxes import window_to_box
        >>> from panollava_geometry import EquirectangularView
        >>> box = window_to_box(EquirectangularView((-10.0, 10.0), (-5.0, 5.0)))
        >>> round(box.width_deg, 6), round(box.height_deg, 4)
        (20.0, 10.1535)
    """
    (left, right), (low, high) = window.longitude_range_deg, window.latitude_range_deg
    yaw, width = _wrapped((left + right) / 2), min(right - left, 360.0)
    tall = 2 * max(abs(low), abs(high))
    found = [SphericalBox(yaw, 0.0, width, tall if width > _HALF_TURN_DEG else 180.0)]
    if width > 180 - 1e-9:
        if high == 90 and low > 0:
            found.append(SphericalBox(yaw, 90.0, 180 - 2 * low, 180 - 2 * low))
        if high < 0 and low == -90:
            found.append(SphericalBox(yaw, -90.0, 180 + 2 * high, 180 + 2 * high))
    elif high - low < 180:
        # The sides lie on meridians: the outermost points are the corners, and the middles of the parallels.
        longitude = np.deg2rad([left, left, right, right, (left + right) / 2, (left + right) / 2])
        found.append(box_around(angles_to_rays(longitude, np.deg2rad([low, high, low, high, low, high]))))
    return min(found, key=lambda box: box.area)


def box_to_erp(box: SphericalBox, erp_size: Size) -> list[tuple[float, float, float, float]]:
    """The rectangles of the panorama around a box: one, or two if the box crosses the seam.

    Args:
        box: The box.
        erp_size: Height of the panorama in pixels (the width is twice that), or (height, width).

    Returns:
        Left, top, right and bottom in pixels, within the panorama. The part at the right edge is first.

    Raises:
        PanoramaError: The size is not 2:1.

    Example:
        >>> from panollava_geometry.boxes import box_to_erp
        >>> from panollava_geometry import SphericalBox
        >>> for left, top, right, bottom in box_to_erp(SphericalBox(180.0, 0.0, 20.0, 10.0), 180):
        ...     print(round(left), round(top), round(right), round(bottom))
        350 85 360 95
        0 85 10 95
    """
    height, width = erp_pair(erp_size)
    window = box_to_window(box)
    left, right = ((edge / 360 + 0.5) * width for edge in window.longitude_range_deg)
    bottom, top = ((0.5 - edge / 180) * height for edge in window.latitude_range_deg)
    if right <= width + 1e-9:
        return [(left, top, min(right, float(width)), bottom)]
    return [(left, top, float(width), bottom), (0.0, top, right - width, bottom)]


def erp_to_box(rectangle: Any, erp_size: Size) -> SphericalBox:
    """A box around a rectangle of the panorama, as detectors on equirectangular images return.

    Args:
        rectangle: Left, top, right and bottom in pixels. A rectangle across the seam has right > width, or left < 0.
        erp_size: Height of the panorama in pixels (the width is twice that), or (height, width).

    Returns:
        A box that encloses the rectangle, see `window_to_box`.

    Raises:
        PanoramaError: The rectangle is empty, not finite, wider than the panorama, or outside of it.

    Example:
        >>> from panollava_geometry.boxes import erp_to_box
        >>> erp_to_box((350.0, 80.0, 370.0, 100.0), 180).yaw_deg
        180.0
    """
    height, width = erp_pair(erp_size)
    values = numbers(rectangle, "a rectangle")
    if values.shape != (4,):
        raise PanoramaError(f"a rectangle must be (left, top, right, bottom), got {short(rectangle)}")
    left, top, right, bottom = values.tolist()
    if not (-width <= left < right <= 2 * width and right - left <= width and 0 <= top < bottom <= height):
        raise PanoramaError(
            f"a rectangle must be (left, top, right, bottom) in pixels of the {width}x{height} panorama, with "
            f"0 <= top < bottom <= {height} and at most {width} wide, got {(left, top, right, bottom)}"
        )
    longitudes = (left / width - 0.5) * 360, (right / width - 0.5) * 360
    latitudes = max((0.5 - bottom / height) * 180, -90.0), min((0.5 - top / height) * 180, 90.0)
    return window_to_box(EquirectangularView(longitudes, latitudes))


def box_to_sph(box: SphericalBox) -> tuple[float, float, float, float, float]:
    """The box as (theta, phi, alpha, beta, gamma) in degrees, the order of many detectors.

    theta is the longitude in [0, 360) from the left edge of the panorama, phi the colatitude in [0, 180] from the
    zenith, alpha and beta are the field of view, gamma is the roll. This is the format of Sph-IoU
    (https://doi.org/10.1609/aaai.v34i07.6995), FoV-IoU (https://arxiv.org/abs/2202.03176) and Sph2Pob
    (https://github.com/AntXinyuan/sph2pob).

    Example:
        >>> from panollava_geometry.boxes import box_to_sph
        >>> from panollava_geometry import SphericalBox
        >>> box_to_sph(SphericalBox(-90.0, 30.0, 20.0, 10.0))
        (90.0, 60.0, 20.0, 10.0, 0.0)
    """
    theta = (float(box.yaw_deg) + 180.0) % 360.0
    return theta, 90.0 - box.pitch_deg, float(box.width_deg), float(box.height_deg), float(box.roll_deg)


def sph_to_box(values: Any) -> SphericalBox:
    """The box of (theta, phi, alpha, beta) or (theta, phi, alpha, beta, gamma). Inverse of `box_to_sph`.

    Raises:
        PanoramaError: There are not 4 or 5 numbers, or one is out of its range.

    Example:
        >>> from panollava_geometry.boxes import sph_to_box
        >>> sph_to_box((90.0, 60.0, 20.0, 10.0))
        SphericalBox(yaw_deg=-90.0, pitch_deg=30.0, width_deg=20.0, height_deg=10.0, roll_deg=0.0)
    """
    array = numbers(values, "a box")
    if array.shape not in ((4,), (5,)):
        raise PanoramaError(f"a box must be (theta, phi, alpha, beta) or with gamma, in degrees, got {short(values)}")
    theta, phi, alpha, beta, *gamma = array.tolist()
    if not 0 <= phi <= 180:
        raise PanoramaError(f"phi must be in [0, 180] degrees from the zenith, got {phi}")
    return SphericalBox(theta - 180.0, 90.0 - phi, alpha, beta, *gamma)


def latitude_box_to_box(box: SphericalBox) -> SphericalBox:
    """The box around a region whose upper and lower sides are circles of latitude in its own frame.

    Sph-IoU (https://doi.org/10.1609/aaai.v34i07.6995) means such a region with a centre and a field of view: its area
    is 2 · width · sin(height / 2). Unbiased IoU (https://doi.org/10.1609/aaai.v36i1.19929), 360VOT
    (https://arxiv.org/abs/2307.14630) and `SphericalBox` up to 180° mean what a view of this field of view sees, with
    great circles on all sides. The region bulges beyond the latter; the result encloses it.

    Args:
        box: Centre and field of view of the region, with a width below 180°.

    Returns:
        A box of the same centre and width, and of height 2 atan(tan(height / 2) / cos(width / 2)).

    Raises:
        PanoramaError: The width is not below 180°.

    Example:
        >>> from panollava_geometry.boxes import latitude_box_to_box
        >>> from panollava_geometry import SphericalBox
        >>> round(latitude_box_to_box(SphericalBox(0.0, 0.0, 90.0, 40.0)).height_deg, 3)
        54.473
    """
    if not box.width_deg < _HALF_TURN_DEG:
        raise PanoramaError(f"width_deg must be below 180, got {box.width_deg}: a wider SphericalBox is such a region")
    width, height = np.deg2rad([box.width_deg, box.height_deg]) / 2
    tall = float(np.rad2deg(2 * np.arctan2(np.sin(height), np.cos(height) * np.cos(width))))
    return SphericalBox(box.yaw_deg, box.pitch_deg, box.width_deg, min(tall, 180.0), box.roll_deg)


def _looking(centre: Float[ndarray, " 3"], roll_deg: Degrees) -> Float[ndarray, "3 3"]:
    """The frame of a camera that looks at a place, with a roll."""
    flat = np.hypot(centre[0], centre[2])
    yaw = float(np.rad2deg(np.arctan2(centre[0], centre[2]))) if flat > 1e-12 else 0.0
    return rotation_matrix(yaw, float(np.rad2deg(np.arctan2(centre[1], flat))), roll_deg)


def _wrapped(yaw_deg: float) -> float:
    """A yaw in (-180, 180]."""
    return 180.0 - (180.0 - yaw_deg) % 360.0
