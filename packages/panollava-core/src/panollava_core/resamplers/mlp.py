"""`mlp`: a small MLP on every token, as in LLaVA-1.5 (Liu et al. 2023, https://arxiv.org/abs/2310.03744)."""

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
class MLPOptions(ResamplerOptions):
    """Options of `MLPResampler`: those that every resampler has.

    Attributes:
        num_latent_tokens: None keeps one token per token of the view. A number average-pools the result to that many
            tokens, on the grid with that many cells whose aspect ratio is nearest to the view's.
        hidden_dim: width between the layers; None is the larger of `input_dim` and `latent_dimension`.
        num_layers: number of Linear layers.
    """


@register_resampler("mlp")
class MLPResampler(Resampler):
    """`num_layers - 1` times Linear, LayerNorm, GELU, then a last Linear.

    Args:
        options: the fields of `MLPOptions`.
    """

    options_class = MLPOptions
    options: MLPOptions
    keeps_tokens = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        input_dim, latent = self.options.input_dim, self.options.latent_dimension
        hidden = self.options.hidden_dim or max(input_dim, latent)
        widths = [input_dim, *[hidden] * (self.options.num_layers - 1)]
        hidden_layers = [
            layer
            for before, after in pairwise(widths)
            for layer in (nn.Linear(before, after), nn.LayerNorm(after, eps=1e-5), nn.GELU())
        ]
        self.mlp = CheckpointedSequential(*hidden_layers, nn.Linear(widths[-1], latent))

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Map the tokens of each view, laid out row by row on `grid` (default: near-square), to latents."""
        grid = self._grid_of_tokens(tokens, grid)
        return pool_tokens(self.mlp(tokens), grid, self.output_grid(grid))
