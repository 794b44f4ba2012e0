"""Where a latent token looks, as a vector: on the sphere (from unit rays) or along the unrolled ring of views.

Frequencies are computed from Python numbers in the forward pass: there are no buffers, so nothing is left undefined
when a model is built on the meta device and filled from a checkpoint.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize


def ray_features(rays: Float[Tensor, "*batch 3"], num_frequencies: int) -> Float[Tensor, "*batch features"]:
    """Fourier features of unit rays: x, y, z and the sine and cosine of 1, 2, 4, … radians times each.

    Being functions of the vector (Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934, on the unit sphere), they
    are continuous everywhere, across the seam and at the poles too, and equal for equal directions.

    Args:
        rays: directions, x right, y up, z forward; only the direction counts, lengths are normalised.
        num_frequencies: octaves K; the finest, `2^(K-1)` radians per unit, changes sign every `180/2^(K-1)` degrees.

    Returns:
        `3 + 6K` features in float32 (float64 for float64 rays), as at high frequencies half precision is not enough.
    """
    wide = torch.float64 if rays.dtype == torch.float64 else torch.float32
    unit = normalize(rays.to(wide), dim=-1)
    scales = torch.tensor([2.0**k for k in range(num_frequencies)], dtype=wide, device=rays.device)
    angles = (unit[..., None, :] * scales[:, None]).flatten(-2)
    return torch.cat([unit, angles.sin(), angles.cos()], dim=-1)


class SphericalEncoding(nn.Module):
    """A learned linear map of `ray_features` to the latent size.

    Its weights start at the scale of `torch.nn.Linear`, so a fresh code has a standard deviation of about 0.4 per
    channel: visible beside latents of unit scale without drowning them.
    """

    def __init__(self, dimension: int, num_frequencies: int) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.linear = nn.Linear(3 + 6 * num_frequencies, dimension, bias=False)

    def forward(self, rays: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch dimension"]:
        """Encode directions."""
        return self.linear(ray_features(rays, self.num_frequencies).to(self.linear.weight.dtype))


def sine_cosine(positions: Tensor, dimension: int, temperature: float | int) -> Tensor:
    """The sinusoidal code `[sin(p·w_0) …, cos(p·w_0) …]`, `w_i = temperature^(-2i/dimension)` (Vaswani et al. 2017)."""
    half = dimension // 2
    rates = torch.tensor(
        [temperature ** (-2 * i / dimension) for i in range(half)], dtype=positions.dtype, device=positions.device
    )
    angles = positions[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def yaw_encoding(
    num_views: int,
    grid: tuple[int, int],
    dimension: int,
    *,
    overlap_ratio: float | int,
    temperature: float | int = 10000.0,
    device: torch.device | None = None,
) -> Float[Tensor, "views rows columns dimension"]:
    """The code of the original PanoLLaVA: place along the ring of overlapping views, and row.

    Column w of view v stands at `g = v·(1 − overlap) + w/W'`; the code is the sum of those of its angle
    `2π·g / (V − (V−1)·overlap)`, of the row number and of `g`. Views are taken to stand in a row, left to right.

    Raises:
        ValueError: `dimension` is odd.
    """
    if dimension % 2:
        raise ValueError(f"the yaw encoding needs an even latent dimension, got {dimension}; use 'spherical' or 'none'")
    rows, columns = grid
    view = torch.arange(num_views, device=device, dtype=torch.float32)
    column = torch.arange(columns, device=device, dtype=torch.float32)
    place = view[:, None] * (1 - overlap_ratio) + column / columns
    angle = 2 * math.pi * place / (num_views - (num_views - 1) * overlap_ratio)
    across = sine_cosine(angle, dimension, temperature) + sine_cosine(place, dimension, temperature)
    down = sine_cosine(torch.arange(rows, device=device, dtype=torch.float32), dimension, temperature)
    return across[:, None] + down[None, :, None]
