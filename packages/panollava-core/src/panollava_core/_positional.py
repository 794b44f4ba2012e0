"""Positional encodings of latent tokens: from unit rays on the sphere, or from the position in the ring of views.

Frequencies are computed in the forward pass instead of being stored as buffers: a buffer would stay undefined when a
model is built on the meta device and then filled from a checkpoint.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize


def ray_features(rays: Float[Tensor, "*batch 3"], num_frequencies: int) -> Float[Tensor, "*batch features"]:
    """Return the Fourier features of unit rays: x, y, z and the sine and cosine of 1, 2, 4, … radians times each.

    The features (Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934, on the unit sphere) are functions of the
    vector. They are therefore continuous everywhere, also across the seam and at the poles, and equal directions have
    equal features.

    Args:
        rays: directions, x right, y up, z forward; they are normalised to length 1.
        num_frequencies: number of octaves K; the finest has `2^(K-1)` radians per unit and changes sign every
            `180/2^(K-1)` degrees.

    Returns:
        `3 + 6K` features in float32 (float64 for float64 rays): half precision is too coarse at high frequencies.

    Example:
        >>> ray_features(torch.tensor([0.0, 0.0, 2.0]), 1)
        tensor([0.0000, 0.0000, 1.0000, 0.0000, 0.0000, 0.8415, 1.0000, 1.0000, 0.5403])
    """
    wide = torch.float64 if rays.dtype == torch.float64 else torch.float32
    unit = normalize(rays.to(wide), dim=-1)
    scales = torch.tensor([2.0**k for k in range(num_frequencies)], dtype=wide, device=rays.device)
    angles = (unit[..., None, :] * scales[:, None]).flatten(-2)
    return torch.cat([unit, angles.sin(), angles.cos()], dim=-1)


class SphericalEncoding(nn.Module):
    """A trained linear map from `ray_features` to D_latent.

    Its weights are initialised as in `torch.nn.Linear`, so that a new encoding has a standard deviation of about 0.4
    per channel: large enough to matter when added to latents of unit scale, and smaller than they are.
    """

    def __init__(self, dimension: int, num_frequencies: int) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.linear = nn.Linear(3 + 6 * num_frequencies, dimension, bias=False)

    def forward(self, rays: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch dimension"]:
        """Encode directions."""
        return self.linear(ray_features(rays, self.num_frequencies).to(self.linear.weight.dtype))


def sine_cosine(positions: Tensor, dimension: int, temperature: float | int) -> Tensor:
    """Return `[sin(p·w_0) …, cos(p·w_0) …]` with `w_i = temperature^(-2i/dimension)` (Vaswani et al. 2017)."""
    half = dimension // 2
    rates = torch.tensor(
        [temperature ** (-2 * i / dimension) for i in range(half)], dtype=positions.dtype, device=positions.device
    )
    angles = positions[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def check_yaw_dimension(dimension: int) -> None:
    """Raise ValueError if the yaw encoding does not exist for an odd D_latent."""
    if dimension % 2:
        raise ValueError(
            f"positional_encoding='yaw' needs an even latent dimension, got {dimension}; use 'spherical' or 'none'"
        )


def yaw_encoding(
    num_views: int,
    grid: tuple[int, int],
    dimension: int,
    *,
    overlap_ratio: float | int,
    temperature: float | int = 10000.0,
    device: torch.device | None = None,
) -> Float[Tensor, "views rows columns dimension"]:
    """Return the encoding of the original PanoLLaVA, from the position in the ring of overlapping views and the row.

    Column w of view v has the position `g = v·(1 − overlap) + w/W'`. The encoding is the sum of the sinusoidal codes of
    the angle `2π·g / (V − (V−1)·overlap)`, of the row number, and of `g`. Views are assumed to lie side by side, from
    left to right.

    Raises:
        ValueError: `dimension` is odd.
    """
    check_yaw_dimension(dimension)
    rows, columns = grid
    view = torch.arange(num_views, device=device, dtype=torch.float32)
    column = torch.arange(columns, device=device, dtype=torch.float32)
    position = view[:, None] * (1 - overlap_ratio) + column / columns
    angle = 2 * math.pi * position / (num_views - (num_views - 1) * overlap_ratio)
    across = sine_cosine(angle, dimension, temperature) + sine_cosine(position, dimension, temperature)
    down = sine_cosine(torch.arange(rows, device=device, dtype=torch.float32), dimension, temperature)
    return across[:, None] + down[None, :, None]
