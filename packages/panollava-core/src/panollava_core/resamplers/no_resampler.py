"""`none`: the vision tokens as they are, for models without a connector."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from panollava_core.resamplers._base import Resampler
from panollava_core.resamplers._grids import Grid
from panollava_core.resamplers._options import ResamplerOptions
from panollava_core.resamplers._registry import register_resampler


@dataclass(frozen=True, kw_only=True)
class NoResamplerOptions(ResamplerOptions):
    """Options of `NoResampler`: those that every resampler has. `hidden_dim` and `num_layers` have no effect.

    Raises:
        ValueError: `latent_dimension` differs from `input_dim`, or `num_latent_tokens` is not None.
    """

    def __post_init__(self) -> None:
        """Check the values."""
        super().__post_init__()
        if self.latent_dimension != self.input_dim:
            raise ValueError(
                f"latent_dimension must be input_dim={self.input_dim}, the width of the vision tokens, got "
                f"{self.latent_dimension}"
            )
        if self.num_latent_tokens is not None:
            raise ValueError(f"num_latent_tokens must be None, got {self.num_latent_tokens}")


@register_resampler("none")
class NoResampler(Resampler):
    """Return the tokens unchanged; it has no parameters.

    Args:
        options: the fields of `NoResamplerOptions`.

    Example:
        >>> from panollava_core.resamplers import NoResampler
        >>> import torch
        >>> resampler = NoResampler(input_dim=48, latent_dimension=48)
        >>> tokens = torch.randn(6, 64, 48)
        >>> resampler(tokens, grid=(8, 8)) is tokens
        True
    """

    options_class = NoResamplerOptions
    options: NoResamplerOptions
    keeps_tokens = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views tokens features"]:
        """Return the tokens of each view, laid out row by row on `grid`."""
        self._grid_of_tokens(tokens, grid)
        return tokens
