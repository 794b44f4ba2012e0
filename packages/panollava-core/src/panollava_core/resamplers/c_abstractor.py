"""`c_abstractor`: convolutions before and after pooling, so that a token knows its surroundings and keeps its place.

Source: the C-Abstractor of Honeybee (Cha et al. 2023, https://arxiv.org/abs/2312.06742), of RegNet blocks (Radosavovic
et al. 2020, https://arxiv.org/abs/2003.13678) with squeeze-and-excitation. Its learned position per input token is
left out: vision towers add positions already, and views may come on any grid.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu
from transformers.modeling_layers import GradientCheckpointingLayer

from panollava_core.resamplers._base import Grid, Resampler
from panollava_core.resamplers._pooling import pool_tokens


class CAbstractorResampler(Resampler):
    """`num_layers` convolution blocks, adaptive average pooling, as many blocks again, and an MLP.

    Args:
        input_dim: D_in.
        latent_dimension: D_latent.
        num_latent_tokens: tokens after pooling, on the grid of so many cells whose aspect is nearest to the view's;
            None takes 64.
        hidden_dim: width of the blocks; None takes the larger of input and latent size.
        num_layers: blocks on either side of the pooling.
    """

    resampler_type = "c_abstractor"

    def __init__(
        self,
        *,
        input_dim: int,
        latent_dimension: int,
        num_latent_tokens: int | None = None,
        hidden_dim: int | None = None,
        num_layers: int = 3,
    ) -> None:
        super().__init__(
            input_dim=input_dim,
            latent_dimension=latent_dimension,
            num_latent_tokens=num_latent_tokens,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
        )
        width = hidden_dim or max(input_dim, latent_dimension)
        self.input_proj = nn.Linear(input_dim, width)
        self.before = nn.ModuleList(ConvBlock(width) for _ in range(num_layers))
        self.after = nn.ModuleList(ConvBlock(width) for _ in range(num_layers))
        self.readout = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, latent_dimension))

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Abstract the tokens of a view's `grid` (default: near-square)."""
        grid = self._grid_of_tokens(tokens, grid)
        hidden = self.input_proj(tokens)
        for block in self.before:
            hidden = block(hidden, grid)
        pooled = self.output_grid(grid)
        hidden = pool_tokens(hidden, grid, pooled)
        for block in self.after:
            hidden = block(hidden, pooled)
        return self.readout(hidden)


class ConvBlock(GradientCheckpointingLayer):
    """Pointwise, depthwise 3x3, squeeze-and-excitation, pointwise; normalised per place, so no view meets another."""

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

    def forward(self, tokens: Float[Tensor, "views tokens width"], grid: Grid) -> Float[Tensor, "views tokens width"]:
        """Mix neighbours on `grid`."""
        hidden = silu(self.enter_norm(self.enter(tokens)))
        # Tokens are channels last already, so no copy is made on the way to the convolution and back.
        image = self.around(hidden.unflatten(1, grid).permute(0, 3, 1, 2))
        hidden = silu(self.around_norm(image.permute(0, 2, 3, 1).flatten(1, 2)))
        gate = self.excite(silu(self.squeeze(hidden.mean(dim=1, keepdim=True))))
        return silu(tokens + self.leave_norm(self.leave(hidden * torch.sigmoid(gate))))
