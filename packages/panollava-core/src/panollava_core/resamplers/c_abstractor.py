"""`c_abstractor`: convolutions before and after pooling, so that each latent mixes neighbours and keeps its position.

Source: the C-Abstractor of Honeybee (Cha et al. 2023, https://arxiv.org/abs/2312.06742), built from RegNet blocks
(Radosavovic et al. 2020, https://arxiv.org/abs/2003.13678) with squeeze-and-excitation. Its learned position per input
token is left out: vision towers add positions already, and views may have any grid.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from panollava_core.resamplers._base import Resampler
from panollava_core.resamplers._grids import Grid
from panollava_core.resamplers._layers import CheckpointedLayer, pool_tokens
from panollava_core.resamplers._options import ResamplerOptions
from panollava_core.resamplers._registry import register_resampler


@dataclass(frozen=True, kw_only=True)
class CAbstractorOptions(ResamplerOptions):
    """Options of `CAbstractorResampler`: those that every resampler has.

    Attributes:
        num_latent_tokens: tokens after pooling, on the grid with that many cells whose aspect ratio is nearest to the
            view's; None is 64.
        hidden_dim: width of the blocks; None is the larger of `input_dim` and `latent_dimension`.
        num_layers: number of blocks before the pooling, and again after it.
    """

    num_layers: int = 3


@register_resampler("c_abstractor")
class CAbstractorResampler(Resampler):
    """`num_layers` convolution blocks, adaptive average pooling, `num_layers` more blocks, and an MLP.

    Args:
        options: the fields of `CAbstractorOptions`.
    """

    options_class = CAbstractorOptions
    options: CAbstractorOptions
    no_split_modules = ("ConvBlock",)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        input_dim, latent, blocks = self.options.input_dim, self.options.latent_dimension, self.options.num_layers
        width = self.options.hidden_dim or max(input_dim, latent)
        self.input_proj = nn.Linear(input_dim, width)
        self.before = nn.ModuleList(ConvBlock(width) for _ in range(blocks))
        self.after = nn.ModuleList(ConvBlock(width) for _ in range(blocks))
        self.readout = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, latent))

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Pool the tokens of each view, laid out row by row on `grid` (default: near-square)."""
        grid = self._grid_of_tokens(tokens, grid)
        hidden = self.input_proj(tokens)
        for block in self.before:
            hidden = block(hidden, grid)
        pooled = self.output_grid(grid)
        hidden = pool_tokens(hidden, grid, pooled)
        for block in self.after:
            hidden = block(hidden, pooled)
        return self.readout(hidden)


class ConvBlock(CheckpointedLayer):
    """Pointwise, depthwise 3x3, squeeze-and-excitation, pointwise; normalised per token, so that views do not mix."""

    def __init__(self, width: int) -> None:
        super().__init__()
        squeezed = max(width // 4, 1)
        self.enter = nn.Linear(width, width, bias=False)
        self.enter_norm = nn.LayerNorm(width)
        self.around = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.around_norm = nn.LayerNorm(width)
        self.squeeze = nn.Linear(width, squeezed)
        self.excite = nn.Linear(squeezed, width)
        self.leave = nn.Linear(width, width, bias=False)
        self.leave_norm = nn.LayerNorm(width)

    def compute(self, tokens: Float[Tensor, "views tokens width"], grid: Grid) -> Float[Tensor, "views tokens width"]:
        """Mix neighbours on `grid`."""
        hidden = silu(self.enter_norm(self.enter(tokens)))
        # Tokens are in channels-last order already, so the permutations around the convolution copy nothing.
        image = self.around(hidden.unflatten(1, grid).permute(0, 3, 1, 2))
        hidden = silu(self.around_norm(image.permute(0, 2, 3, 1).flatten(1, 2)))
        gate = self.excite(silu(self.squeeze(hidden.mean(dim=1, keepdim=True))))
        return silu(tokens + self.leave_norm(self.leave(hidden * torch.sigmoid(gate))))
