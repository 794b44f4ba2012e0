"""`spatial_pool`: neighbours averaged on the grid, then an MLP per token.

Source: DeCo (Yao et al. 2024, https://arxiv.org/abs/2405.20985), which finds that plain 2-D adaptive average pooling
compresses as well as learned queries and keeps the place of every token.
"""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from panollava_core.resamplers._base import CheckpointedSequential, Grid, Resampler
from panollava_core.resamplers._pooling import pool_tokens


class SpatialPoolResampler(Resampler):
    """Adaptive average pooling to `num_latent_tokens`, then `num_layers` Linear layers with GELU between.

    Args:
        input_dim: D_in.
        latent_dimension: D_latent.
        num_latent_tokens: tokens after pooling, on the grid of so many cells whose aspect is nearest to the view's;
            None takes 64.
        hidden_dim: width between the layers; None takes D_latent.
        num_layers: number of Linear layers.
    """

    resampler_type = "spatial_pool"

    def __init__(
        self,
        *,
        input_dim: int,
        latent_dimension: int,
        num_latent_tokens: int | None = None,
        hidden_dim: int | None = None,
        num_layers: int = 2,
    ) -> None:
        super().__init__(
            input_dim=input_dim,
            latent_dimension=latent_dimension,
            num_latent_tokens=num_latent_tokens,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
        )
        widths = [input_dim, *[hidden_dim or latent_dimension] * (num_layers - 1)]
        layers = [layer for before, after in pairwise(widths) for layer in (nn.Linear(before, after), nn.GELU())]
        self.mlp = CheckpointedSequential(*layers, nn.Linear(widths[-1], latent_dimension))

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Pool the tokens of a view's `grid` (default: near-square) and map them."""
        grid = self._grid_of_tokens(tokens, grid)
        return self.mlp(pool_tokens(tokens, grid, self.output_grid(grid)))
