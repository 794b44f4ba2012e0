"""Directions on the sphere as the words that are written on images."""

from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._sphere import Degrees
from panollava_geometry._views._views import PosedView

#: Words for the eight sectors of 45°, from yaw 0 to the right.
_SECTORS = ("ahead", "ahead right", "right", "behind right", "behind", "behind left", "left", "ahead left")
#: From this pitch on, a view looks up or down rather than in a direction of the compass.
_POLE_DEG = 67.5
#: From this pitch on, "up" or "down" is added.
_TILT_DEG = 15.0
#: A window of the panorama that is wider than this has no single direction.
_WIDE_DEG = 180.0


def direction_words(yaw_deg: Degrees, pitch_deg: Degrees = 0.0) -> str:
    """Name a direction in at most three words.

    Args:
        yaw_deg: Rotation to the right in degrees; any number of turns.
        pitch_deg: Rotation upwards in degrees, in [-90, 90].

    Example:
        >>> from panollava_geometry.drawing import direction_words
        >>> direction_words(-90), direction_words(135, 30), direction_words(10, -90)
        ('left', 'behind right, up', 'down')
    """
    vertical = "up" if pitch_deg > 0 else "down"
    if abs(pitch_deg) >= _POLE_DEG:
        return vertical
    sector = _SECTORS[round(yaw_deg / 45) % 8]
    return sector if abs(pitch_deg) < _TILT_DEG else f"{sector}, {vertical}"


def view_words(view: object) -> tuple[str, str]:
    """The direction of a view in words, and in degrees for smaller letters.

    Example:
        >>> from panollava_geometry.drawing import view_words
        >>> from panollava_geometry import EquirectangularView, PerspectiveView
        >>> view_words(PerspectiveView(-90.0))
        ('left', '-90°')
        >>> view_words(PerspectiveView(0.0, 90.0))
        ('up', '90° up')
        >>> view_words(PerspectiveView(45.0, -30.0))
        ('ahead right, down', '+45°, 30° down')
        >>> view_words(EquirectangularView())
        ('whole panorama', '')
    """
    if isinstance(view, PosedView):
        return direction_words(view.yaw_deg, view.pitch_deg), degrees_text(view.yaw_deg, view.pitch_deg)
    if isinstance(view, EquirectangularView):
        (west, east), (south, north) = view.longitude_range_deg, view.latitude_range_deg
        around = east - west >= 360
        if around and north - south >= 180:
            return "whole panorama", ""
        words = direction_words((west + east) / 2, (south + north) / 2) if east - west <= _WIDE_DEG else "panorama"
        yaw = "all around" if around else f"{_signed(west)}° to {_signed(east)}°"
        return "panorama" if around else words, f"{yaw}, pitch {_signed(south)}° to {_signed(north)}°"
    raise TypeError(f"expected a view, got {type(view).__name__}")


def degrees_text(yaw_deg: Degrees, pitch_deg: Degrees = 0.0) -> str:
    """Yaw and pitch in whole degrees: the yaw alone on the horizon, the pitch alone at a pole.

    Example:
        >>> from panollava_geometry.drawing import degrees_text
        >>> degrees_text(180.0), degrees_text(-60.0, 30.0), degrees_text(45.0, -90.0)
        ('180°', '-60°, 30° up', '90° down')
    """
    pitch = round(pitch_deg)
    height = f"{abs(pitch)}° {'up' if pitch > 0 else 'down'}"
    if abs(pitch) == 90:
        return height
    yaw = f"{_signed(yaw_deg)}°"
    return f"{yaw}, {height}" if pitch else yaw


def _signed(angle_deg: Degrees) -> str:
    """An angle in whole degrees, in (-180, 180]; 0 and 180 without a sign."""
    whole = round(angle_deg)
    wrapped = 180 - (180 - whole) % 360
    return f"{wrapped:+d}" if wrapped % 180 else str(wrapped)
