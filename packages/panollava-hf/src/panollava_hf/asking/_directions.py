"""Directions on the sphere in words, for people and language models.

Yaw and pitch follow `docs/conventions.md`: yaw 0 is the centre column of the panorama and grows to the right, pitch
grows upwards.
"""

import math

from panollava_geometry import CylindricalView, EquirectangularView, FisheyeView, PerspectiveView, StereographicView

#: Words for the eight sectors of 45°, from yaw 0 to the right.
SECTORS = (
    "ahead",
    "ahead to the right",
    "right",
    "behind to the right",
    "behind",
    "behind to the left",
    "left",
    "ahead to the left",
)
#: From this pitch on, a view looks up or down rather than in a direction of the compass.
_POLE_DEG = 67.5
#: From this pitch on, "upwards" or "downwards" is added.
_TILT_DEG = 15.0
#: An image that is wider than this has no single direction.
_WIDE_DEG = 180.0
#: The names of other projections.
PROJECTIONS = {FisheyeView: "fisheye", CylindricalView: "cylindrical", StereographicView: "stereographic"}


def direction(yaw_deg: float, pitch_deg: float = 0.0) -> str:
    """Name a direction.

    Args:
        yaw_deg: Rotation to the right in degrees; any number of turns.
        pitch_deg: Rotation upwards in degrees, in [-90, 90].

    Returns:
        "ahead", "behind to the left", "right, upwards", "above", …

    Example:
        >>> direction(-90), direction(180, 30), direction(10, -90)
        ('left', 'behind, upwards', 'below')
    """
    if abs(pitch_deg) >= _POLE_DEG:
        return "above" if pitch_deg > 0 else "below"
    sector = SECTORS[round(yaw_deg / 45) % 8]
    if abs(pitch_deg) < _TILT_DEG:
        return sector
    return f"{sector}, {'upwards' if pitch_deg > 0 else 'downwards'}"


def label(view: object) -> str:
    """The direction of a view in words and degrees.

    Example:
        >>> label(PerspectiveView(-90.0))
        'left (yaw -90°, pitch 0°)'
        >>> label(EquirectangularView())
        'the whole panorama'
        >>> label(EquirectangularView((150, 210), (-45, 45)))
        'behind (panorama from yaw +150° to -150°, pitch -45° to +45°)'
        >>> label(FisheyeView(90.0, hfov_deg=180.0))
        'right (yaw +90°, pitch 0°, fisheye image 180° wide)'

    Raises:
        TypeError: It is not a view.
    """
    if isinstance(view, PerspectiveView | FisheyeView | CylindricalView | StereographicView):
        yaw, pitch = _centre(view)
        roll = f", roll {_signed(view.roll_deg)}°" if round(view.roll_deg) else ""
        name, projection, width = direction(yaw, pitch), PROJECTIONS.get(type(view)), view.fov_deg[0]
        if projection and width > _WIDE_DEG:
            name = "all around" if width >= 360 else f"all but {direction(*_opposite(yaw, pitch))}"
        image = f", {projection} image {round(width)}° wide" if projection else ""
        return f"{name} (yaw {_signed(yaw)}°, pitch {_signed(pitch)}°{roll}{image})"
    if isinstance(view, EquirectangularView):
        (west, east), (south, north) = view.longitude_range_deg, view.latitude_range_deg
        around, full = east - west >= 360, north - south >= 180
        if around and full:
            return "the whole panorama"
        centre = direction((west + east) / 2, (south + north) / 2)
        name = "all around" if around else centre if east - west <= _WIDE_DEG else "part of the panorama"
        longitudes = "" if around else f"yaw {_signed(west)}° to {_signed(east)}°, "
        return f"{name} (panorama from {longitudes}pitch {_signed(south)}° to {_signed(north)}°)"
    raise TypeError(f"expected a view, such as a PerspectiveView, got {type(view).__name__}")


def _centre(view: PerspectiveView | FisheyeView | CylindricalView | StereographicView) -> tuple[float, float]:
    """Yaw and pitch of the centre of an image. It is not on the axis of a camera with a principal point elsewhere."""
    if not isinstance(view, PerspectiveView) or view.principal_point == (0.5, 0.5):
        return view.yaw_deg, view.pitch_deg
    x, y, z = view.point_to_ray([0.5, 0.5]).tolist()
    return math.degrees(math.atan2(x, z)), math.degrees(math.asin(max(-1.0, min(1.0, y))))


def _opposite(yaw_deg: float, pitch_deg: float) -> tuple[float, float]:
    return yaw_deg + 180.0, -pitch_deg


def _signed(angle_deg: float) -> str:
    """An angle in whole degrees, in (-180, 180]."""
    whole = round(angle_deg)
    wrapped = 180 - (180 - whole) % 360
    return f"{wrapped:+d}" if wrapped else "0"
