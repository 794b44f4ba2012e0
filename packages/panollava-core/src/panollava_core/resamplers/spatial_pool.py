"""`spatial_pool`: average-pool neighbouring tokens on the grid, then apply an MLP to every token.

Source: DeCo (Yao et al. 2024, https://arxiv.org/abs/2405.20985), which finds that plain 2-D adaptive average pooling
compresses as well as learned queries and keeps the position of every token.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from panollava_core.resamplers._base import Resampler
from panollava_core.resamplers._grids import Grid
from panollava_core.resamplers._layers import CheckpointedSequential, pool_tokens
from panollava_core.resamplers._options import ResamplerOptions
from panollava_core.resamplers._registry import register_resampler


@dataclass(frozen=True, kw_only=True)
class SpatialPoolOptions(ResamplerOptions):
    """Options of `SpatialPoolResampler`: those that every resampler has.

    Attributes:
        num_latent_tokens: tokens after pooling, on the grid with that many cells whose aspect ratio is nearest to the
            view's; None is 64.
        hidden_dim: width between the layers; None is `latent_dimension`.
        num_layers: number of Linear layers.
    """


@register_resampler("spatial_pool")
class SpatialPoolResampler(Resampler):
    """Adaptive average pooling to `num_latent_tokens`, then `num_layers` Linear layers with GELU between them.

    Args:
        options: the fields of `SpatialPoolOptions`.
    """

    options_class = SpatialPoolOptions
    options: SpatialPoolOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        latent = self.options.latent_dimension
        widths = [self.options.input_dim, *[self.options.hidden_dim or latent] * (self.options.num_layers - 1)]
        layers = [layer for before, after in pairwise(widths) for layer in (nn.Linear(before, after), nn.GELU())]
        self.mlp = CheckpointedSequential(*layers, nn.Linear(widths[-1], latent))

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Pool the tokens of each view, laid out row by row on `grid` (default: near-square), and map them."""
        grid = self._grid_of_tokens(tokens, grid)
        return self.mlp(pool_tokens(tokens, grid, self.output_grid(grid)))
