"""The words of PanoShapes: colours, shapes, splits, and the names of directions."""

from types import MappingProxyType

#: Colours of objects as sRGB: six hues that stay distinguishable under every light of the renderer.
COLOUR_VALUES = MappingProxyType(
    {
        "red": (0.86, 0.07, 0.09),
        "green": (0.08, 0.66, 0.18),
        "blue": (0.09, 0.25, 0.93),
        "yellow": (0.97, 0.88, 0.08),
        "purple": (0.58, 0.14, 0.74),
        "orange": (1.0, 0.50, 0.02),
    }
)
COLOURS = tuple(COLOUR_VALUES)
SHAPES = ("sphere", "cube", "cone", "cylinder", "torus")

#: Sectors of 45°, clockwise from the centre of the image.
SECTORS = ("front", "front right", "right", "back right", "back", "back left", "left", "front left")
DIRECTIONS = (*SECTORS, "above", "below")

#: All words that questions fill in; what remains of a question is its template.
WORDS = (*COLOURS, *SHAPES, *DIRECTIONS)

#: The order matters: the number of a split is part of the seed of its scenes.
SPLITS = ("train", "validation", "test")

SECTOR_WIDTH_DEG = 45.0
#: Up to this pitch a direction has the name of its sector; beyond it is "above" or "below".
HORIZONTAL_PITCH_DEG = 40.0
#: Questions about a direction are asked only if the object is at least this far from the borders of its sector.
CLEARANCE_DEG = 8.0


def wrap_degrees(angle_deg: float) -> float:
    """Wrap an angle to [-180, 180).

    >>> wrap_degrees(190.0), wrap_degrees(180.0), wrap_degrees(-540.0)
    (-170.0, -180.0, -180.0)
    """
    return (angle_deg + 180.0) % 360.0 - 180.0


def direction_name(yaw_deg: float, pitch_deg: float) -> str:
    """The name of a direction, one of `DIRECTIONS`.

    >>> direction_name(-170.0, 5.0), direction_name(40.0, -20.0), direction_name(40.0, 70.0)
    ('back', 'front right', 'above')
    """
    if pitch_deg > HORIZONTAL_PITCH_DEG:
        return "above"
    if pitch_deg < -HORIZONTAL_PITCH_DEG:
        return "below"
    return SECTORS[int((yaw_deg + SECTOR_WIDTH_DEG / 2) // SECTOR_WIDTH_DEG) % len(SECTORS)]


def degrees_from_sector_centre(yaw_deg: float, sector: str) -> float:
    """How far a yaw is to the right of the centre of a sector, in [-180, 180).

    >>> degrees_from_sector_centre(-170.0, "back")
    10.0
    """
    return wrap_degrees(yaw_deg - SECTOR_WIDTH_DEG * SECTORS.index(sector))
