"""`qformer`: learned queries with self-attention and cross-attention to the tokens of the view.

Source: BLIP-2 (Li et al. 2023, https://arxiv.org/abs/2301.12597). The blocks normalise after each sum, as BERT does.
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
)
from panollava_core.resamplers._registry import register_resampler


@dataclass(frozen=True, kw_only=True)
class QFormerOptions(ResamplerOptions):
    """Options of `QFormerResampler`.

    Attributes:
        num_latent_tokens: number of queries; None is 64.
        hidden_dim: width of the queries; None is `input_dim`.
        num_layers: number of blocks.
        num_heads: number of attention heads; divides `hidden_dim`.
        cross_attention_frequency: block 0 and every k-th block after it attend to the view (BLIP-2: 2).
        causal: query k attends to queries up to k only. The original PanoLLaVA did so: its Q-Former was a BERT decoder.
    """

    num_layers: int = 6
    num_heads: int = 8
    cross_attention_frequency: int = 1
    causal: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        super().__post_init__()
        check_positive_integers(self, "num_heads", "cross_attention_frequency")
        check_heads(self.width, self.num_heads)

    @property
    def width(self) -> int:
        """Width of the queries."""
        return self.hidden_dim or self.input_dim


@register_resampler("qformer")
class QFormerResampler(Resampler):
    """`num_latent_tokens` queries through blocks of self-attention, cross-attention to the view, and an MLP.

    Args:
        options: the fields of `QFormerOptions`.
    """

    options_class = QFormerOptions
    options: QFormerOptions
    is_spatial = False
    no_split_modules = ("QFormerResampler",)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        width, input_dim, heads = self.options.width, self.options.input_dim, self.options.num_heads
        every, causal = self.options.cross_attention_frequency, self.options.causal
        self.query = nn.Parameter(torch.empty(1, self.options.num_latent_tokens or DEFAULT_LATENTS, width))
        self.init_parameters()
        self.query_norm = nn.LayerNorm(width, eps=1e-12)
        self.blocks = nn.ModuleList(
            QFormerBlock(width, input_dim if index % every == 0 else None, heads, causal=causal)
            for index in range(self.options.num_layers)
        )
        self.proj = nn.Linear(width, self.options.latent_dimension)

    @torch.no_grad()
    def init_parameters(self) -> None:
        """Initialise the queries with small, different values."""
        self.query.normal_(std=0.02)

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Let the queries attend to the tokens of each view; `grid` is not used."""
        hidden = self.query_norm(self.query).expand(tokens.shape[0], -1, -1)
        for block in self.blocks:
            hidden = block(hidden, tokens)
        return self.proj(hidden)


class QFormerBlock(CheckpointedLayer):
    """Self-attention, cross-attention (if `context_dim` is given) and an MLP, each added and then normalised."""

    def __init__(self, width: int, context_dim: int | None, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal, self.has_cross_attention = heads, causal, context_dim is not None
        self.self_qkv = nn.Linear(width, 3 * width)
        self.self_out = nn.Linear(width, width)
        self.self_norm = nn.LayerNorm(width, eps=1e-12)
        if context_dim is not None:
            self.cross_q = nn.Linear(width, width)
            self.cross_kv = nn.Linear(context_dim, 2 * width)
            self.cross_out = nn.Linear(width, width)
            self.cross_norm = nn.LayerNorm(width, eps=1e-12)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)

    def compute(
        self, hidden: Float[Tensor, "views queries width"], context: Float[Tensor, "views tokens features"]
    ) -> Float[Tensor, "views queries width"]:
        """Update the queries."""
        query, key, value = self.self_qkv(hidden).chunk(3, dim=-1)
        hidden = self.self_norm(hidden + self.self_out(attend(query, key, value, self.heads, causal=self.causal)))
        if self.has_cross_attention:
            key, value = self.cross_kv(context).chunk(2, dim=-1)
            attended = self.cross_out(attend(self.cross_q(hidden), key, value, self.heads))
            hidden = self.cross_norm(hidden + attended)
        return self.norm(hidden + self.down(gelu(self.up(hidden))))
