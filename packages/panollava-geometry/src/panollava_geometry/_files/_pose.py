"""Turn a panorama by the pose of its camera, so that the horizon is level or the centre looks north."""

import warnings
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray

from panollava_geometry._errors import PanoramaError, PanoramaWarning, short
from panollava_geometry._metadata._panorama_metadata import GPano
from panollava_geometry._projections._rotation import rotate_equirectangular
from panollava_geometry._views._sphere import rotation_angles, rotation_matrix

Pose = Literal["level", "north"]


def check_pose(pose: object) -> None:
    """Check the argument `pose`.

    Raises:
        PanoramaError: It is something else.
    """
    if pose not in ("level", "north", None):
        raise PanoramaError(f"pose must be 'level', 'north' or None, got {short(pose)}")


def apply_pose(
    panorama: UInt8[ndarray, "height width 3"],
    mask: Bool[ndarray, "height width"] | None,
    gpano: GPano | None,
    pose: Pose,
    name: str,
) -> tuple[UInt8[ndarray, "height width 3"], Bool[ndarray, "height width"] | None]:
    """Turn a panorama upright.

    A ray r of the image points to R(heading, pitch, roll) · r in the world. The pixel of the result at the ray w is
    read at R⁻¹ · w; with `level`, the heading of R is 0.

    Args:
        panorama: The panorama.
        mask: Which pixels it shows; None: all.
        gpano: Its metadata.
        pose: "level" applies pitch and roll, "north" also the heading.
        name: Its name in messages.

    Raises:
        PanoramaError: A field of the pose is not a number of degrees in its range.
    """
    wrong = [field for field in (gpano.unreadable if gpano else ()) if field.startswith("Pose")]
    if wrong:
        raise PanoramaError(
            f"{name}: GPano {wrong[0]} is not a number of degrees in its range; "
            "repair the XMP metadata, or pass no pose"
        )
    angles = None if gpano is None else gpano.pose
    if angles is None or (pose == "north" and gpano is not None and gpano.pose_heading_deg is None):
        missing = "GPano pose" if angles is None else "PoseHeadingDegrees (where north is)"
        warnings.warn(
            PanoramaWarning(f"{name}: it has no {missing}; pose={pose!r} changes nothing that is not known"),
            stacklevel=2,
        )
    heading, pitch, roll = angles or (0.0, 0.0, 0.0)
    inverse = rotation_matrix(heading if pose == "north" else 0.0, pitch, roll).T
    turn = tuple(0.0 if abs(angle) < 1e-9 else angle for angle in rotation_angles(inverse))
    if turn == (0.0, 0.0, 0.0):
        return panorama, mask
    turned = rotate_equirectangular(torch.from_numpy(panorama).permute(2, 0, 1), *turn)
    if mask is not None:
        shown = torch.from_numpy(mask.astype(np.uint8) * np.uint8(255))[None]
        mask = (rotate_equirectangular(shown, *turn)[0] >= 128).numpy()
    return np.ascontiguousarray(turned.permute(1, 2, 0).numpy()), mask
