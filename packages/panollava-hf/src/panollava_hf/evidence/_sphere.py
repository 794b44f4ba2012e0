"""Equirectangular maps of densities on the sphere."""

import math

import torch
from torch import Tensor

#: Height of a map, in pixels: 2° each.
HEIGHT = 90


def directions(yaw_deg: Tensor, pitch_deg: Tensor) -> Tensor:
    """Unit rays `[…, 3]`: x to the right, y up, z ahead."""
    yaw, pitch = torch.deg2rad(yaw_deg.double()), torch.deg2rad(pitch_deg.double())
    return torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], -1)


def map_rays(height: int) -> Tensor:
    """Directions of the pixels of a map, `[H, 2H, 3]`."""
    pitch = 90 - (torch.arange(height) + 0.5) / height * 180
    yaw = (torch.arange(2 * height) + 0.5) / height * 180 - 180
    return directions(*torch.broadcast_tensors(yaw[None], pitch[:, None]))


def solid_angles(height: int) -> Tensor:
    """Solid angle of a pixel in each row of a map, in steradians, `[H]`."""
    edges = torch.linspace(90, -90, height + 1, dtype=torch.float64).deg2rad().sin()
    return ((edges[:-1] - edges[1:]) * math.pi / height).float()


def caps(height: int, centres: Tensor, radius_deg: float, edge_deg: float = 0.0) -> Tensor:
    """Which pixels of a map are within a radius of directions.

    Args:
        height: Height of the map.
        centres: Unit rays `[N, 3]`.
        radius_deg: The radius.
        edge_deg: Width of the edge, over which the values fall from 1 to 0; the radius is in its middle.

    Returns:
        Values from 0 to 1, `[N, H, 2H]` float32.
    """
    return soft(angles_deg(map_rays(height), centres), radius_deg, edge_deg)


def angles_deg(rays: Tensor, centres: Tensor) -> Tensor:
    """Angles in degrees between rays `[…, 3]` and directions `[N, 3]`: `[N, …]`."""
    return torch.einsum("...c,nc->n...", rays, centres).clamp(-1, 1).arccos().rad2deg()


def soft(angle_deg: Tensor, radius_deg: float, edge_deg: float) -> Tensor:
    """1 inside a radius, 0 outside, with a soft edge."""
    if not edge_deg:
        return (angle_deg <= radius_deg).float()
    return ((radius_deg - angle_deg) / edge_deg + 0.5).clamp(0, 1).float()


def normalised(values: Tensor) -> Tensor | None:
    """A density whose integral over the sphere is 1, `[H, 2H]` float32; None if all values are 0.

    Args:
        values: `[H, 2H]`, at least 0.
    """
    values = values.double()
    total = float((values * solid_angles(len(values))[:, None]).sum())
    return (values / total).float() if math.isfinite(total) and total > 0 else None


def uniform(height: int) -> Tensor:
    """The density that is the same everywhere."""
    return torch.full((height, 2 * height), 1 / (4 * math.pi))
