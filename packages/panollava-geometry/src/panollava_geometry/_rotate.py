"""A panorama as a turned camera would have taken it."""

import torch
from jaxtyping import Shaped
from torch import Tensor

from panollava_geometry._backends import torch_backend
from panollava_geometry._errors import PanoramaError
from panollava_geometry._recipe import turned_strip
from panollava_geometry._sphere import Degrees, rotation_matrix

_STRIP = 256


def rotate_equirectangular(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"],
    yaw_deg: Degrees = 0.0,
    pitch_deg: Degrees = 0.0,
    roll_deg: Degrees = 0.0,
) -> Shaped[Tensor, "*batch channels erp_height erp_width"]:
    """Turn a panorama: the centre of the result looks where a view of the same yaw, pitch and roll looks.

    Turning by yaw alone, by a whole number of columns, moves them unchanged; everything else is read bilinearly. To
    level a panorama whose camera was tilted by some angles, turn it by the inverse (negate pitch or roll alone).

    Args:
        erp: Panoramas `[..., C, H, 2H]`, uint8 or floating point. Differentiable.
        yaw_deg: Turn to the right, in degrees.
        pitch_deg: Turn upwards, in degrees.
        roll_deg: Turn clockwise, in degrees.

    Returns:
        The turned panoramas, of the same shape, dtype and device.

    Raises:
        PanoramaError: The panorama is not 2:1.

    Example:
        >>> from panollava_geometry import rotate_equirectangular
        >>> rotate_equirectangular(torch.arange(4.0).expand(1, 2, 4), yaw_deg=90.0)[0, 0].tolist()
        [1.0, 2.0, 3.0, 0.0]
    """
    *batch, channels, height, width = erp.shape
    if width != 2 * height:
        raise PanoramaError(f"a full panorama must be twice as wide as high, got {width}x{height}")
    columns = yaw_deg / 360 * width
    if pitch_deg == 0 and roll_deg == 0 and abs(columns - round(columns)) < 1e-6:
        return erp.roll(-round(columns), -1)
    rotation = rotation_matrix(yaw_deg, pitch_deg, roll_deg)
    flat = erp.reshape(-1, channels, height, width)
    strips = [
        torch_backend.sample(flat, turned_strip(rotation, (height, width), top, min(top + _STRIP, height)), width // 2)
        for top in range(0, height, _STRIP)
    ]
    turned = torch.cat(strips, dim=-2)
    turned = turned.round().clamp(0, 255).to(torch.uint8) if erp.dtype == torch.uint8 else turned.to(erp.dtype)
    return turned.reshape(*batch, channels, height, width)
