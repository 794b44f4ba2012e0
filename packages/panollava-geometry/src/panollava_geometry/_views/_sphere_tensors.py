"""The functions of `_sphere` for tensors: differentiable, on any device. The tests compare them with `_sphere`."""

import math

import torch
import torch.autograd.forward_ad as forward_ad
from jaxtyping import Float, Shaped
from torch import Tensor

#: A ray closer to a pole than this (in radians) has no longitude; its derivative is zero instead of infinite.
_POLE = 1e-12


def precise_dtype(device: torch.device) -> torch.dtype:
    """float64, or float32 on devices that have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def has_gradient(values: Shaped[Tensor, "..."]) -> bool:
    """Whether derivatives with respect to a tensor are wanted: backward, or forward (the tensor has a tangent)."""
    if values.requires_grad and torch.is_grad_enabled():
        return True
    return not torch.compiler.is_compiling() and forward_ad.unpack_dual(values).tangent is not None  # type: ignore[no-untyped-call]


def rotation_tensor(
    yaw_deg: Float[Tensor, "*shape"], pitch_deg: Float[Tensor, "*shape"], roll_deg: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape 3 3"]:
    """The camera-to-world rotations `R_yaw · R_pitch · R_roll` of angles in degrees."""
    (cos_y, cos_p, cos_r), (sin_y, sin_p, sin_r) = (
        [function(torch.deg2rad(angle)) for angle in (yaw_deg, pitch_deg, roll_deg)]
        for function in (torch.cos, torch.sin)
    )
    right = (cos_y * cos_r + sin_y * sin_p * sin_r, -cos_p * sin_r, -sin_y * cos_r + cos_y * sin_p * sin_r)
    up = (cos_y * sin_r - sin_y * sin_p * cos_r, cos_p * cos_r, -sin_y * sin_r - cos_y * sin_p * cos_r)
    forward = (sin_y * cos_p, sin_p, cos_y * cos_p)
    return torch.stack([torch.stack(axis, dim=-1) for axis in (right, up, forward)], dim=-1)


def rotation_angle_tensors(
    rotation: Float[Tensor, "*shape 3 3"],
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Yaw, pitch and roll of rotations, in degrees. Inverse of `rotation_tensor`.

    At a pitch of ±90°, yaw and roll turn around the same axis; the yaw is then the one of `arctan2`.
    """
    x, y, z = rotation[..., 0, 2], rotation[..., 1, 2], rotation[..., 2, 2]
    yaw, pitch = ray_angles(x, y, z)
    flat = rotation_tensor(torch.rad2deg(yaw), torch.rad2deg(pitch), torch.zeros_like(yaw))
    rest = flat.transpose(-1, -2) @ rotation
    roll = torch.atan2(rest[..., 0, 1], rest[..., 0, 0])
    return torch.rad2deg(yaw), torch.rad2deg(pitch), torch.rad2deg(roll)


def ray_angles(
    x: Float[Tensor, "*grid"], y: Float[Tensor, "*grid"], z: Float[Tensor, "*grid"]
) -> tuple[Float[Tensor, "*grid"], Float[Tensor, "*grid"]]:
    """Longitude and latitude in radians of rays of any length. At a pole the longitude has no derivative."""
    square = x * x + z * z
    at_pole = square <= _POLE**2 * y * y
    elsewhere = torch.atan2(torch.where(at_pole, 0.0, x), torch.where(at_pole, 1.0, z))
    longitude = torch.where(at_pole, torch.atan2(x.detach(), z.detach()), elsewhere)
    radius = torch.where(at_pole, 0.0, torch.sqrt(torch.where(at_pole, 1.0, square)))
    return longitude, torch.atan2(y, radius)


def rays_to_equirect(
    x: Float[Tensor, "*grid"], y: Float[Tensor, "*grid"], z: Float[Tensor, "*grid"], size: tuple[int, int]
) -> tuple[Float[Tensor, "*grid"], Float[Tensor, "*grid"]]:
    """Continuous pixel coordinates of rays on a full panorama: columns from longitude 0, rows from the top."""
    longitude, latitude = ray_angles(x, y, z)
    return longitude * (size[1] / (2 * math.pi)), (0.5 - latitude / math.pi) * size[0]
