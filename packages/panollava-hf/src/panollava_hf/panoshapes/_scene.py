"""What a scene is made of: plain frozen data that goes through JSON unchanged."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._vocabulary import (
    COLOURS,
    HORIZONTAL_PITCH_DEG,
    SHAPES,
    direction_name,
    wrap_degrees,
)

#: Places after the point of everything stored, so that files stay small.
DECIMALS = 4
TEXTURES = ("plain", "checker", "stripes", "noise")

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class SceneObject:
    """A solid somewhere around the camera.

    Attributes:
        colour: One of `COLOURS`.
        shape: One of `SHAPES`.
        yaw_deg: Azimuth of its centre, in [-180, 180); 0 is the middle of the picture, positive to the right.
        pitch_deg: Elevation of its centre, positive up.
        distance: From the camera to its centre.
        radius: Its size: half the width of a sphere; the other shapes look about as large.
        tilt_deg: How far its top leans towards the camera.
        roll_deg: How far its top leans to the right, in the picture.
        spin_deg: How far it is turned about its own axis.
        tint: Its exact colour, sRGB in 0…1.
        visible_share: Visible part of the solid angle that it would cover if nothing hid it.
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
        """Colour and shape, as questions and answers say it."""
        return f"{self.colour} {self.shape}"

    @property
    def direction(self) -> str:
        """One of `DIRECTIONS`."""
        return direction_name(self.yaw_deg, self.pitch_deg)

    @property
    def horizontal(self) -> bool:
        """Whether its direction is a sector, not above or below."""
        return abs(self.pitch_deg) <= HORIZONTAL_PITCH_DEG


@dataclass(frozen=True)
class Sky:
    """A gradient with clouds.

    Attributes:
        zenith: Colour overhead.
        horizon: Colour at the horizon; the ground fades into it.
        cloud_cover: Opacity of the clouds, 0 for none.
        offset: Where the clouds lie in the table of noise, in turns of the table.
    """

    zenith: Colour
    horizon: Colour
    cloud_cover: float
    offset: tuple[float, float]


@dataclass(frozen=True)
class Ground:
    """A plane below the camera.

    Attributes:
        texture: One of `TEXTURES`.
        colour: First colour.
        second_colour: The other colour of the texture.
        scale: Width of a checker or stripe, in units of distance.
        angle_deg: How the texture is turned.
        offset: How it is shifted.
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
    """Everything that is in a picture.

    Attributes:
        name: Such as `test-000012`; names the picture's file.
        objects: In no particular order.
        sky: The upper half.
        ground: The lower half.
        camera_height: Of the camera above the ground.
        light_yaw_deg: Where the light comes from.
        light_pitch_deg: Its elevation.
        heading_deg: How far sky and ground are turned to the right.
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
        """The scene as it is seen when the panorama is rolled to the right: what was at yaw y is at y + yaw_deg."""

        def turned(angle_deg: float) -> float:
            angle_deg = round(wrap_degrees(angle_deg + yaw_deg), 9)  # there and back is the same scene
            return angle_deg if angle_deg < 180 else -180.0

        return dataclasses.replace(
            self,
            objects=tuple(dataclasses.replace(item, yaw_deg=turned(item.yaw_deg)) for item in self.objects),
            light_yaw_deg=turned(self.light_yaw_deg),
            heading_deg=turned(self.heading_deg),
        )

    def to_dict(self) -> dict[str, Any]:
        """The scene as JSON takes it."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The scene that `to_dict` wrote.

        Raises:
            PanoShapesError: Something is missing, superfluous or unknown.
        """
        try:
            parts = dict(values)
            parts["objects"] = tuple(SceneObject(**_tuples(item)) for item in parts["objects"])
            parts["sky"] = Sky(**_tuples(parts["sky"]))
            parts["ground"] = Ground(**_tuples(parts["ground"]))
            return cls(**parts)
        except (KeyError, TypeError, AttributeError) as error:
            raise PanoShapesError(f"this is no scene of PanoShapes: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
