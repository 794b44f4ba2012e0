"""Rotate a panorama, as if the camera had been rotated."""

import sys
from functools import partial
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._containers import open_panorama
from panollava_geometry._arrays._options import Interpolation
from panollava_geometry._arrays._pillow import Image
from panollava_geometry._arrays._tensors import cast_like, check_panorama
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._projections._tensor_views import opencv_is_possible
from panollava_geometry._projections._turning import DegreesEach, is_each, turn_each
from panollava_geometry._sampling import _opencv_backend as opencv_backend
from panollava_geometry._sampling import _torch_backend as torch_backend
from panollava_geometry._sampling._nearest import read_rotated
from panollava_geometry._sampling._sampled_grid import plan_rotated_strip
from panollava_geometry._views._sphere import Degrees, rotation_matrix

_STRIP = 256  # rows read at a time, to limit the memory


@overload
def rotate_equirectangular(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"],
    yaw_deg: DegreesEach = 0.0,
    pitch_deg: DegreesEach = 0.0,
    roll_deg: DegreesEach = 0.0,
    *,
    interpolation: Interpolation = "bilinear",
) -> Shaped[Tensor, "*batch channels erp_height erp_width"]: ...
@overload
def rotate_equirectangular(
    erp: ndarray,
    yaw_deg: DegreesEach = 0.0,
    pitch_deg: DegreesEach = 0.0,
    roll_deg: DegreesEach = 0.0,
    *,
    interpolation: Interpolation = "bilinear",
) -> ndarray: ...
@overload
def rotate_equirectangular(
    erp: Image,
    yaw_deg: DegreesEach = 0.0,
    pitch_deg: DegreesEach = 0.0,
    roll_deg: DegreesEach = 0.0,
    *,
    interpolation: Interpolation = "bilinear",
) -> Image: ...
def rotate_equirectangular(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"] | ndarray | Image,
    yaw_deg: DegreesEach = 0.0,
    pitch_deg: DegreesEach = 0.0,
    roll_deg: DegreesEach = 0.0,
    *,
    interpolation: Interpolation = "bilinear",
) -> Any:
    """Rotate a panorama. The centre of the result looks where a view of the same yaw, pitch and roll looks.

    A rotation by yaw alone and by a whole number of columns moves the columns without changing them. All other
    rotations are read bilinearly. To level a panorama whose camera was tilted, rotate by the inverse: negate the pitch
    or the roll.

    Args:
        erp: Panoramas `[..., C, H, 2H]`, uint8 or floating point. Differentiable. Or NumPy arrays `[H, 2H]` or
            `[..., H, 2H, C]`, or a Pillow image. With `interpolation="nearest"`, any dtype.
        yaw_deg: Rotation to the right, in degrees: one number, or one per panorama of the batch, as a tensor, an array
            or a list. Differentiable.
        pitch_deg: Rotation upwards, in degrees, likewise.
        roll_deg: Clockwise rotation, in degrees, likewise.
        interpolation: `bilinear`, or `nearest` for labels, masks and depth: each pixel is the pixel at its centre,
            unchanged.

    Returns:
        The rotated panoramas, of the same kind, shape, dtype and device.

    Raises:
        PanoramaError: The panorama is not 2:1, its dtype is not supported, an angle is not finite, the angles do not
            fit the batch, or they require gradients that these panoramas do not have.

    Example:
        >>> import torch
        >>> from panollava_geometry import rotate_equirectangular
        >>> rotate_equirectangular(torch.arange(4.0).expand(1, 2, 4), yaw_deg=90.0)[0, 0].tolist()
        [1.0, 2.0, 3.0, 0.0]
    """
    opened = open_panorama(erp, interpolation)
    check_panorama(opened.tensor)
    angles: tuple[Any, Any, Any] = (yaw_deg, pitch_deg, roll_deg)
    turn_by = partial(_rotate, interpolation=interpolation)
    if is_each(angles):
        return opened.restore(turn_each(opened.tensor, angles, interpolation, turn_by, not isinstance(erp, Tensor)))
    for name, angle in zip(("yaw_deg", "pitch_deg", "roll_deg"), angles, strict=True):
        if not abs(angle) <= sys.float_info.max:
            raise PanoramaError(f"{name} must be a finite number of degrees, got {short(angle)}")
    return opened.restore(turn_by(opened.tensor, *angles))


def _rotate(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"],
    yaw_deg: Degrees,
    pitch_deg: Degrees,
    roll_deg: Degrees,
    interpolation: str,
) -> Shaped[Tensor, "*batch channels erp_height erp_width"]:
    *batch, channels, height, width = erp.shape
    columns = yaw_deg / 360 * width
    if pitch_deg == 0 and roll_deg == 0 and abs(columns - round(columns)) < 1e-6:
        return erp.roll(-round(columns), -1)
    rotation = rotation_matrix(yaw_deg, pitch_deg, roll_deg)
    if interpolation == "nearest":
        return read_rotated(erp, rotation)
    flat = erp.reshape(-1, channels, height, width)
    tops = range(0, height, _STRIP)
    strips = [_read_strip(flat, rotation, top, min(top + _STRIP, height), width // 2) for top in tops]
    return torch.cat(strips, dim=-2).reshape(*batch, channels, height, width)


def _read_strip(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    rotation: Float[ndarray, "3 3"],
    top: int,
    bottom: int,
    anchor: int,
) -> Shaped[Tensor, "batch channels rows erp_width"]:
    size = (erp.shape[-2], erp.shape[-1])
    grid = plan_rotated_strip(rotation, size, top, bottom, precise=erp.dtype == torch.float64)
    if opencv_is_possible(erp) and opencv_backend.fits(grid):
        images = erp.permute(0, 2, 3, 1).numpy()
        rows = [opencv_backend.sample(image, grid, anchor) for image in images]
        return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)
    return cast_like(torch_backend.sample(erp, grid, anchor), erp)
