"""Rotate a panorama, as if the camera had been rotated."""

import torch
from jaxtyping import Shaped
from torch import Tensor

from panollava_geometry._backends import torch_backend
from panollava_geometry._sampled_grid import plan_rotated_strip
from panollava_geometry._sphere import Degrees, rotation_matrix
from panollava_geometry._tensors import cast_like, check_panorama

_STRIP = 256  # rows read at a time, to limit the memory


def rotate_equirectangular(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"],
    yaw_deg: Degrees = 0.0,
    pitch_deg: Degrees = 0.0,
    roll_deg: Degrees = 0.0,
) -> Shaped[Tensor, "*batch channels erp_height erp_width"]:
    """Rotate a panorama. The centre of the result looks where a view of the same yaw, pitch and roll looks.

    A rotation by yaw alone and by a whole number of columns moves the columns without changing them. All other
    rotations are read bilinearly. To level a panorama whose camera was tilted, rotate by the inverse: negate the pitch
    or the roll.

    Args:
        erp: Panoramas `[..., C, H, 2H]`, uint8 or floating point. Differentiable.
        yaw_deg: Rotation to the right, in degrees.
        pitch_deg: Rotation upwards, in degrees.
        roll_deg: Clockwise rotation, in degrees.

    Returns:
        The rotated panoramas, of the same shape, dtype and device.

    Raises:
        PanoramaError: The panorama is not 2:1.

    Example:
        >>> from panollava_geometry import rotate_equirectangular
        >>> rotate_equirectangular(torch.arange(4.0).expand(1, 2, 4), yaw_deg=90.0)[0, 0].tolist()
        [1.0, 2.0, 3.0, 0.0]
    """
    check_panorama(erp)
    *batch, channels, height, width = erp.shape
    columns = yaw_deg / 360 * width
    if pitch_deg == 0 and roll_deg == 0 and abs(columns - round(columns)) < 1e-6:
        return erp.roll(-round(columns), -1)
    rotation = rotation_matrix(yaw_deg, pitch_deg, roll_deg)
    flat = erp.reshape(-1, channels, height, width)
    strips = [
        torch_backend.sample(
            flat, plan_rotated_strip(rotation, (height, width), top, min(top + _STRIP, height)), width // 2
        )
        for top in range(0, height, _STRIP)
    ]
    return cast_like(torch.cat(strips, dim=-2), erp).reshape(*batch, channels, height, width)
