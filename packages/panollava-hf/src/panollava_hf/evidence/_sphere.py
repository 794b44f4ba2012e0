"""Maps of values on the sphere, in the layout of an equirectangular image."""

import math
from functools import lru_cache

import torch
from panollava_geometry import ViewPlan, paste_views
from torch import Tensor

#: Height of a map in pixels: 2° each.
HEIGHT = 90
#: Largest grid of values that is pasted from one view, in cells.
_GRID = 64


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
    """Solid angle of a pixel in each row of a map, in steradians, `[H]` float64."""
    edges = torch.linspace(90, -90, height + 1, dtype=torch.float64).deg2rad().sin()
    return (edges[:-1] - edges[1:]) * math.pi / height


def angles_deg(rays: Tensor, centres: Tensor) -> Tensor:
    """Angles in degrees between rays `[…, 3]` and directions `[N, 3]`: `[N, …]`."""
    return torch.einsum("...c,nc->n...", rays, centres).clamp(-1, 1).arccos().rad2deg()


def caps(angle_deg: Tensor, radius_deg: float, edge_deg: float) -> Tensor:
    """1 within a radius, 0 outside, float32; over the width of the edge the values fall."""
    return ((radius_deg - angle_deg) / edge_deg + 0.5).clamp(0, 1).float()


def even_directions(count: int) -> Tensor:
    """Directions that are spread evenly over the sphere (a Fibonacci lattice), `[count, 3]`."""
    index = torch.arange(count, dtype=torch.float64) + 0.5
    height = 1 - 2 * index / count
    turn, radius = math.pi * (1 + 5**0.5) * index, (1 - height**2).sqrt()
    return torch.stack([radius * turn.cos(), height, radius * turn.sin()], -1)


def pasted(values: Tensor, plan: ViewPlan, height: int = HEIGHT) -> Tensor:
    """Amounts in the pixels of views as a density on the sphere; where views overlap, their amounts add up.

    Args:
        values: Amounts, `[V, h, w]`.
        plan: Directions of the views.
        height: Height of the map.

    Returns:
        Amount per steradian, `[H, 2H]` float32.
    """
    rows, columns = values.shape[-2:]
    grid = (min(rows, _GRID), min(columns, _GRID))
    cells = torch.nn.functional.adaptive_avg_pool2d(values.float()[:, None], grid)
    cells *= rows * columns / (grid[0] * grid[1])
    total = torch.zeros(height, 2 * height)
    for cell, view in zip(cells.cpu(), plan, strict=True):
        density = cell / torch.from_numpy(view.solid_angles(grid)).float()
        part, times = paste_views(density[None], ViewPlan([view]), height)
        total += part[0] * times.clamp(max=1)
    return total


def blurred(values: Tensor, sigma_deg: float) -> Tensor:
    """Values blurred on the sphere, where every direction has the same neighbourhood.

    Args:
        values: `[C, H, 2H]`.
        sigma_deg: Width of the blur: the standard deviation for a small angle.

    Returns:
        `[C, H, 2H]` float32.
    """
    width = values.shape[-1]
    kernel = _kernel(values.shape[-2], float(sigma_deg))
    spectrum = torch.fft.rfft(values.float(), dim=-1)
    return torch.fft.irfft(torch.einsum("ijf,cjf->cif", kernel, spectrum), n=width, dim=-1)


@lru_cache(maxsize=4)
def _kernel(height: int, sigma_deg: float) -> Tensor:
    """Weights of row j in row i, as spectra along the row, `[H, H, H + 1]`."""
    latitude = (90 - (torch.arange(height, dtype=torch.float64) + 0.5) / height * 180).deg2rad()
    turn = torch.arange(2 * height, dtype=torch.float64) / height * math.pi
    across = latitude.sin()[:, None] * latitude.sin()
    along = latitude.cos()[:, None] * latitude.cos()
    cosine = across[..., None] + along[..., None] * turn.cos()
    weight = ((cosine - 1) / math.radians(sigma_deg) ** 2).exp() * solid_angles(height)[:, None]
    weight /= weight.sum((1, 2), keepdim=True)
    return torch.fft.rfft(weight, dim=-1).to(torch.complex64)


def normalised(values: Tensor) -> Tensor | None:
    """A density whose integral over the sphere is 1, `[H, 2H]` float32; None if no value is above 0.

    Args:
        values: `[H, 2H]`; what is below 0 counts as 0.
    """
    values = values.double().clamp(min=0)
    total = float((values * solid_angles(len(values))[:, None]).sum())
    return (values / total).float() if math.isfinite(total) and total > 0 else None


def uniform(height: int = HEIGHT) -> Tensor:
    """The density that is the same everywhere."""
    return torch.full((height, 2 * height), 1 / (4 * math.pi))
