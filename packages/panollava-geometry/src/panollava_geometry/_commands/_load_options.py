"""Options of commands that load panoramas: what an image shows where the file does not say it."""

from enum import StrEnum
from typing import Annotated, Any

import typer


class Eye(StrEnum):
    """Half of a stereo panorama."""

    left = "left"
    right = "right"


class Pose(StrEnum):
    """How a panorama is turned by the pose of its camera."""

    level = "level"
    north = "north"


HFovOption = Annotated[
    float | None,
    typer.Option("--hfov", metavar="DEGREES", help="Horizontal field of view of a partial panorama, such as 200."),
]
PartialOption = Annotated[
    bool, typer.Option("--partial", help="The image is a partial panorama: place it around the horizon of the sphere.")
]
EyeOption = Annotated[
    Eye | None,
    typer.Option("--eye", metavar="left|right", help="The image is a stereo panorama: use the view of this eye."),
]
WholeSphereOption = Annotated[
    bool, typer.Option("--whole-sphere", help="The image shows the whole sphere although it is not 2:1.")
]


PoseOption = Annotated[
    Pose | None,
    typer.Option(
        "--pose",
        metavar="level|north",
        help="Turn panoramas by the pose of the camera (GPano): the horizon level, or also the centre to the north.",
    ),
]


def load_options(
    hfov: float | None, partial: bool, eye: Eye | None, whole_sphere: bool, pose: Pose | None = None
) -> dict[str, Any]:
    """The keyword arguments of `load_equirectangular` and `load_views` for these options, without those not given."""
    options = {
        "hfov_deg": hfov,
        "partial": partial or None,
        "eye": None if eye is None else eye.value,
        "whole_sphere": whole_sphere or None,
        "pose": None if pose is None else pose.value,
    }
    return {name: value for name, value in options.items() if value is not None}
