"""Directions on the sphere in words, for people and language models.

Yaw and pitch follow `docs/conventions.md`: yaw 0 is the centre column of the panorama and grows to the right, pitch
grows upwards.
"""

from panollava_geometry import EquirectangularView, PerspectiveView

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
    """
    if isinstance(view, PerspectiveView):
        yaw, pitch = _degrees(view.yaw_deg), _degrees(view.pitch_deg)
        return f"{direction(view.yaw_deg, view.pitch_deg)} (yaw {yaw}°, pitch {pitch}°)"
    if isinstance(view, EquirectangularView):
        (west, east), (south, north) = view.longitude_range_deg, view.latitude_range_deg
        if east - west >= 360 and north - south >= 180:
            return "the whole panorama"
        return f"yaw {_degrees(west)}° to {_degrees(east)}°, pitch {_degrees(south)}° to {_degrees(north)}°"
    raise TypeError(f"expected a view, got {type(view).__name__}")


def _degrees(angle: float) -> str:
    return f"{round(angle):+d}" if round(angle) else "0"
