"""`mlp`: every token by itself through a small MLP, as LLaVA-1.5 does (Liu et al. 2023, https://arxiv.org/abs/2310.03744)."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from panollava_core.resamplers._base import CheckpointedSequential, Grid, Resampler
from panollava_core.resamplers._pooling import pool_tokens


class MLPResampler(Resampler):
    """`num_layers - 1` times Linear, LayerNorm, GELU, and a last Linear.

    Args:
        input_dim: D_in.
        latent_dimension: D_latent.
        num_latent_tokens: None keeps a token per cell; a number average-pools the result to so many tokens, on the
            grid of that many cells whose aspect is nearest to the view's.
        hidden_dim: width between the layers; None takes the larger of input and latent size.
        num_layers: number of Linear layers.
    """

    resampler_type = "mlp"
    keeps_tokens = True

    def __init__(
        self,
        *,
        input_dim: int,
        latent_dimension: int,
        num_latent_tokens: int | None = None,
        hidden_dim: int | None = None,
        num_layers: int = 2,
    ) -> None:
        hidden = hidden_dim or max(input_dim, latent_dimension)
        super().__init__(
            input_dim=input_dim,
            latent_dimension=latent_dimension,
            num_latent_tokens=num_latent_tokens,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
        )
        widths = [input_dim, *[hidden] * (num_layers - 1)]
        hidden_layers = [
            layer
            for before, after in pairwise(widths)
            for layer in (nn.Linear(before, after), nn.LayerNorm(after, eps=1e-5), nn.GELU())
        ]
        self.mlp = CheckpointedSequential(*hidden_layers, nn.Linear(widths[-1], latent_dimension))

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Map tokens `[N, S, D_in]` of a view's `grid` (default: near-square) to latents."""
        grid = self._grid_of_tokens(tokens, grid)
        return pool_tokens(self.mlp(tokens), grid, self.output_grid(grid))
