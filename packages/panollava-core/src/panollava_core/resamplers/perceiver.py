"""`perceiver`: learned latents that attend to the tokens of the view and to themselves in one attention.

Source: the Perceiver resampler of Flamingo (Alayrac et al. 2022, https://arxiv.org/abs/2204.14198, appendix A.1.1).
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu

from panollava_core.resamplers._base import Resampler
from panollava_core.resamplers._grids import Grid
from panollava_core.resamplers._layers import CheckpointedLayer, attend
from panollava_core.resamplers._options import (
    DEFAULT_LATENTS,
    ResamplerOptions,
    check_heads,
    check_positive_integers,
    check_positive_numbers,
)
from panollava_core.resamplers._registry import register_resampler


@dataclass(frozen=True, kw_only=True)
class PerceiverOptions(ResamplerOptions):
    """Options of `PerceiverResampler`.

    Attributes:
        num_latent_tokens: number of latents; None is 64.
        hidden_dim: width of the latents; None is `input_dim`.
        num_layers: number of blocks.
        num_heads: number of attention heads; divides `hidden_dim`.
        mlp_ratio: inner width of the MLP over `hidden_dim`.
    """

    num_layers: int = 6
    num_heads: int = 8
    mlp_ratio: float | int = 4

    def __post_init__(self) -> None:
        """Check the values."""
        super().__post_init__()
        check_positive_integers(self, "num_heads")
        check_positive_numbers(self, "mlp_ratio")
        check_heads(self.width, self.num_heads)

    @property
    def width(self) -> int:
        """Width of the latents."""
        return self.hidden_dim or self.input_dim


@register_resampler("perceiver")
class PerceiverResampler(Resampler):
    """`num_latent_tokens` latents through `num_layers` blocks of attention over tokens and latents, and an MLP.

    Args:
        options: the fields of `PerceiverOptions`.
    """

    options_class = PerceiverOptions
    options: PerceiverOptions
    is_spatial = False
    no_split_modules = ("PerceiverResampler",)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        width, input_dim, heads = self.options.width, self.options.input_dim, self.options.num_heads
        inner = int(self.options.mlp_ratio * width)
        self.latents = nn.Parameter(torch.empty(1, self.options.num_latent_tokens or DEFAULT_LATENTS, width))
        self.init_parameters()
        self.blocks = nn.ModuleList(
            PerceiverBlock(width, input_dim, heads, inner) for _ in range(self.options.num_layers)
        )
        self.final_norm = nn.LayerNorm(width)
        self.output_proj = nn.Linear(width, self.options.latent_dimension)

    @torch.no_grad()
    def init_parameters(self) -> None:
        """Initialise the latents with small, different values."""
        self.latents.normal_(std=0.02)

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Let the latents attend to the tokens of each view; `grid` is not used."""
        hidden = self.latents.expand(tokens.shape[0], -1, -1)
        for block in self.blocks:
            hidden = block(hidden, tokens)
        return self.output_proj(self.final_norm(hidden))


class PerceiverBlock(CheckpointedLayer):
    """Attention of the latents over tokens and latents, then an MLP; both normalise their input."""

    def __init__(self, width: int, context_dim: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.context_norm = nn.LayerNorm(context_dim)
        self.latent_norm = nn.LayerNorm(width)
        self.latent_qkv = nn.Linear(width, 3 * width, bias=False)
        self.context_kv = nn.Linear(context_dim, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def compute(
        self, hidden: Float[Tensor, "views latents width"], context: Float[Tensor, "views tokens features"]
    ) -> Float[Tensor, "views latents width"]:
        """Update the latents."""
        query, own = self.latent_qkv(self.latent_norm(hidden)).tensor_split([hidden.shape[-1]], dim=-1)
        key, value = torch.cat([self.context_kv(self.context_norm(context)), own], dim=1).chunk(2, dim=-1)
        hidden = hidden + self.out(attend(query, key, value, self.heads))
        return hidden + self.down(gelu(self.up(self.norm(hidden))))
