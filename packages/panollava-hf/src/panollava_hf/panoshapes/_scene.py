"""The records that describe a scene: frozen dataclasses that survive a round trip through JSON unchanged."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from panollava_hf._errors import PanoShapesError, boundary

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
#: Names of the colours of objects.
COLOURS = tuple(COLOUR_VALUES)
#: Names of the solids.
SHAPES = ("sphere", "cube", "cone", "cylinder", "torus")

#: Sectors of 45°, clockwise from the centre of the image.
SECTORS = ("front", "front right", "right", "back right", "back", "back left", "left", "front left")
#: Names of directions: eight sectors around the camera, above and below.
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


#: Decimals of every stored number, to keep files small.
DECIMALS = 4
TEXTURES = ("plain", "checker", "stripes", "noise")

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class SceneObject:
    """One solid.

    Attributes:
        colour: One of `COLOURS`.
        shape: One of `SHAPES`.
        yaw_deg: Azimuth of its centre, in [-180, 180); 0 is the centre column of the image, positive to the right.
        pitch_deg: Elevation of its centre, positive up.
        distance: Distance from the camera to its centre.
        radius: Radius of a sphere; the other shapes look about as large as a sphere of this radius.
        tilt_deg: Angle by which its top leans towards the camera.
        roll_deg: Angle by which its top leans to the right in the image.
        spin_deg: Angle by which it is turned about its own axis.
        tint: Its exact colour, sRGB from 0 to 1.
        visible_share: Visible part of the solid angle that it would cover if nothing were in front of it.
    """

    colour: str
    shape: str
    yaw_deg: float
    pitch_deg: float
    distance: float
    radius: float
    tilt_deg: float
    roll_deg: float
    spin_deg: float
    tint: Colour
    visible_share: float = 1.0

    def __post_init__(self) -> None:
        if self.colour not in COLOURS:
            raise PanoShapesError(f"unknown colour {self.colour!r}: expected one of {', '.join(COLOURS)}")
        if self.shape not in SHAPES:
            raise PanoShapesError(f"unknown shape {self.shape!r}: expected one of {', '.join(SHAPES)}")

    @property
    def name(self) -> str:
        """Colour and shape, as in questions and answers."""
        return f"{self.colour} {self.shape}"

    @property
    def direction(self) -> str:
        """The name of its direction, one of `DIRECTIONS`."""
        return direction_name(self.yaw_deg, self.pitch_deg)

    @property
    def horizontal(self) -> bool:
        """Whether its direction is one of the eight sectors, not "above" or "below"."""
        return abs(self.pitch_deg) <= HORIZONTAL_PITCH_DEG

    @property
    def clear_of_borders(self) -> bool:
        """Whether its direction is unambiguous: "above", "below", or not close to a border of its sector."""
        if not self.horizontal:
            return True
        offset = abs(degrees_from_sector_centre(self.yaw_deg, self.direction))
        return offset <= SECTOR_WIDTH_DEG / 2 - CLEARANCE_DEG


@dataclass(frozen=True)
class Sky:
    """The upper half of the image: a gradient with clouds.

    Attributes:
        zenith: Colour straight above.
        horizon: Colour at the horizon; the ground fades into it.
        cloud_cover: Opacity of the clouds; 0 for no clouds.
        offset: Position of the clouds in the noise table, as a fraction of its size.
    """

    zenith: Colour
    horizon: Colour
    cloud_cover: float
    offset: tuple[float, float]


@dataclass(frozen=True)
class Ground:
    """The lower half of the image: a plane below the camera.

    Attributes:
        texture: One of `TEXTURES`.
        colour: First colour of the texture.
        second_colour: Second colour of the texture.
        scale: Width of a tile or stripe, in units of distance.
        angle_deg: Rotation of the texture.
        offset: Shift of the texture.
    """

    texture: str
    colour: Colour
    second_colour: Colour
    scale: float
    angle_deg: float
    offset: tuple[float, float]

    def __post_init__(self) -> None:
        if self.texture not in TEXTURES:
            raise PanoShapesError(f"unknown texture {self.texture!r}: expected one of {', '.join(TEXTURES)}")


@dataclass(frozen=True)
class Scene:
    """Everything that an image shows.

    Attributes:
        name: For example `test-000012`; also the name of the image file.
        objects: The solids, in no particular order.
        sky: The upper half.
        ground: The lower half.
        camera_height: Height of the camera above the ground.
        light_yaw_deg: Azimuth of the light.
        light_pitch_deg: Elevation of the light.
        heading_deg: Angle by which sky and ground are turned to the right.
    """

    name: str
    objects: tuple[SceneObject, ...]
    sky: Sky
    ground: Ground
    camera_height: float
    light_yaw_deg: float
    light_pitch_deg: float
    heading_deg: float = 0.0

    def rotated(self, yaw_deg: float) -> Self:
        """The scene whose image is this scene's image, rolled to the right by `yaw_deg`.

        What was at yaw y is at y + `yaw_deg` afterwards.
        """

        def turned(angle_deg: float) -> float:
            angle_deg = round(wrap_degrees(angle_deg + yaw_deg), 9)  # rotating back restores the same scene
            return angle_deg if angle_deg < 180 else -180.0

        return dataclasses.replace(
            self,
            objects=tuple(dataclasses.replace(item, yaw_deg=turned(item.yaw_deg)) for item in self.objects),
            light_yaw_deg=turned(self.light_yaw_deg),
            heading_deg=turned(self.heading_deg),
        )

    def matching(self, colour: str | None = None, shape: str | None = None) -> list[SceneObject]:
        """The objects of a colour, of a shape, or of both."""
        return [item for item in self.objects if colour in (None, item.colour) and shape in (None, item.shape)]

    def only(self, colour: str | None = None, shape: str | None = None) -> SceneObject | None:
        """The object of a colour, of a shape, or of both; None if there is none or more than one."""
        found = self.matching(colour, shape)
        return found[0] if len(found) == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Convert to a dictionary that can be written as JSON."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Convert back from the dictionary that `to_dict` returned.

        Raises:
            PanoShapesError: A field is missing or unknown, or has an unknown value.
        """
        with boundary(PanoShapesError, "not a PanoShapes scene", "expected an object that Scene.to_dict wrote"):
            parts = dict(values)
            parts["objects"] = tuple(SceneObject(**_tuples(item)) for item in parts["objects"])
            parts["sky"] = Sky(**_tuples(parts["sky"]))
            parts["ground"] = Ground(**_tuples(parts["ground"]))
            return cls(**parts)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
