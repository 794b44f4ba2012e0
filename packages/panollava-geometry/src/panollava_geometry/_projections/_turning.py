"""Rotations of panoramas by tensors of angles: one rotation per panorama, differentiable by the angles."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from numpy import ndarray
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from panollava_geometry._arrays._tensors import cast_like
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._planning._poses import as_angles, check_values
from panollava_geometry._sampling._bilinear import read_bilinear
from panollava_geometry._views._sphere import Degrees, equirect_to_rays
from panollava_geometry._views._sphere_tensors import has_gradient, precise_dtype, rays_to_equirect, rotation_tensor
from panollava_geometry._views._view_base import pixel_centres

#: Degrees: one number, or one per panorama of a batch.
DegreesEach = Degrees | Tensor | ndarray | Sequence[Degrees]
_NAMES = ("yaw_deg", "pitch_deg", "roll_deg")
#: Most pixels that are read at a time.
_STRIP = 2**20


def is_each(angles: tuple[Any, Any, Any]) -> bool:
    """Whether one of the angles is a tensor, an array or a list."""
    return any(isinstance(angle, Tensor | Sequence) or (isinstance(angle, ndarray) and angle.ndim) for angle in angles)


def turn_each(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"],
    angles: tuple[Any, Any, Any],
    interpolation: str,
    turn_by: Callable[..., Tensor],
    foreign: bool,
) -> Shaped[Tensor, "*batch channels erp_height erp_width"]:
    """Rotate every panorama of a batch by its own angles.

    Args:
        erp: The panoramas.
        angles: Yaw, pitch and roll in degrees: numbers, or tensors of the shape of the batch.
        interpolation: `bilinear` or `nearest`.
        turn_by: Rotates panoramas by yaw, pitch and roll, given as numbers.
        foreign: The panorama is an array or an image, which has no gradients.

    Raises:
        PanoramaError: The angles are not finite, do not fit the batch, or have no gradient with these panoramas.
    """
    members = _angles_of_batch(angles, tuple(erp.shape[:-3]))
    flat = erp.reshape(-1, *erp.shape[-3:])
    if len(flat) == 0:
        return erp.clone()
    wanted = has_gradient(members)
    if wanted and (interpolation == "nearest" or foreign or not erp.is_floating_point()):
        kind = "a panorama that is an array or an image" if foreign else f"a panorama of {erp.dtype}"
        problem = "interpolation='nearest'" if interpolation == "nearest" else kind
        raise PanoramaError(
            f"{problem} has no gradient with respect to angles: pass detached angles, or a floating-point tensor and "
            "interpolation='bilinear'"
        )
    if wanted or (torch.compiler.is_compiling() and interpolation == "bilinear" and erp.is_floating_point()):
        turned = cast_like(_turn(flat, members.to(flat.device, precise_dtype(flat.device))), erp)
    else:
        turned = torch.stack([turn_by(one, *of_one) for one, of_one in zip(flat, members.tolist(), strict=True)])
    return turned.reshape(erp.shape)


def _angles_of_batch(angles: tuple[Any, Any, Any], batch: tuple[int, ...]) -> Float[Tensor, "members 3"]:
    """Yaw, pitch and roll of all panoramas of a batch, float64, from numbers and tensors.

    Raises:
        PanoramaError: A value is not a finite number, or their shape is not that of the batch.
    """
    tensors = {name: as_angles(values, name) for name, values in zip(_NAMES, angles, strict=True)}
    for name, values in tensors.items():
        if tuple(values.shape) not in ((), batch):
            raise PanoramaError(
                f"{name} must be a number, or one number per panorama of batch shape {batch}, got shape "
                f"{short(tuple(values.shape))}"
            )
        check_values(values, name, values.detach().isfinite())
    device = torch.device("cpu")
    for values in tensors.values():
        if values.device.type != "cpu":
            device = values.device
    dtype = precise_dtype(device)
    return torch.stack([values.to(device, dtype).expand(batch).flatten() for values in tensors.values()], dim=-1)


def _turn(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"], angles: Float[Tensor, "batch 3"]
) -> Float[Tensor, "batch channels erp_height erp_width"]:
    """Rotate every panorama by its angles, read bilinearly, in float32, or in float64 for float64 panoramas."""
    height, width = erp.shape[-2:]
    rotation = rotation_tensor(*angles.unbind(-1))
    rows = max(1, _STRIP // (width * max(1, erp.shape[0])))
    strips = []
    for top in range(0, height, rows):
        options = (erp, rotation, top, min(top + rows, height))
        many = (
            rows < height and not torch.compiler.is_compiling()
        )  # then the places are computed again for the gradient
        strips.append(
            checkpoint(_turned_strip, *options, use_reentrant=False, preserve_rng_state=False)
            if many
            else _turned_strip(*options)
        )
    return torch.cat(strips, dim=-2)


def _turned_strip(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    rotation: Float[Tensor, "batch 3 3"],
    top: int,
    bottom: int,
) -> Float[Tensor, "batch channels rows erp_width"]:
    height, width = erp.shape[-2:]
    rays = torch.from_numpy(equirect_to_rays(pixel_centres((bottom - top, width), top), (height, width))).to(rotation)
    x, y, z = (rays.flatten(0, 1) @ rotation.transpose(-1, -2)).unbind(-1)
    column, row = rays_to_equirect(x, y, z, (height, width))
    return read_bilinear(erp, column + width / 2, row).reshape(*erp.shape[:2], bottom - top, width)
