"""`perceiver`: learned latents that look at the view and themselves at once.

Source: the Perceiver resampler of Flamingo (Alayrac et al. 2022, https://arxiv.org/abs/2204.14198, appendix A.1.1).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers.modeling_layers import GradientCheckpointingLayer

from panollava_core.resamplers._base import DEFAULT_LATENTS, Grid, Resampler
from panollava_core.resamplers._heads import attend, check_heads


class PerceiverResampler(Resampler):
    """`num_latent_tokens` latents through blocks of attention over tokens and latents together, and an MLP.

    Args:
        input_dim: D_in.
        latent_dimension: D_latent.
        num_latent_tokens: number of latents; None takes 64.
        hidden_dim: width of the latents; None takes D_in.
        num_layers: number of blocks.
        num_heads: attention heads.
        mlp_ratio: inner width of the MLP over `hidden_dim`.
    """

    resampler_type = "perceiver"
    is_spatial = False

    def __init__(
        self,
        *,
        input_dim: int,
        latent_dimension: int,
        num_latent_tokens: int | None = None,
        hidden_dim: int | None = None,
        num_layers: int = 6,
        num_heads: int = 8,
        mlp_ratio: float | int = 4,
    ) -> None:
        super().__init__(
            input_dim=input_dim,
            latent_dimension=latent_dimension,
            num_latent_tokens=num_latent_tokens,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            mlp_ratio=mlp_ratio,
        )
        width = hidden_dim or input_dim
        check_heads(width, num_heads)
        self.latents = nn.Parameter(torch.empty(1, num_latent_tokens or DEFAULT_LATENTS, width))
        self.init_parameters()
        self.blocks = nn.ModuleList(
            PerceiverBlock(width, input_dim, num_heads, int(mlp_ratio * width)) for _ in range(num_layers)
        )
        self.final_norm = nn.LayerNorm(width)
        self.output_proj = nn.Linear(width, latent_dimension)

    @torch.no_grad()
    def init_parameters(self) -> None:
        """Start the latents small and different from each other."""
        self.latents.normal_(std=0.02)

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Let the latents read a view's tokens; `grid` is not needed."""
        hidden = self.latents.expand(tokens.shape[0], -1, -1)
        for block in self.blocks:
            hidden = block(hidden, tokens)
        return self.output_proj(self.final_norm(hidden))


class PerceiverBlock(GradientCheckpointingLayer):
    """Attention of the latents over tokens and latents, and an MLP; both normalise what goes in."""

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

    def forward(
        self, hidden: Float[Tensor, "views latents width"], context: Float[Tensor, "views tokens features"]
    ) -> Float[Tensor, "views latents width"]:
        """Update the latents."""
        query, own = self.latent_qkv(self.latent_norm(hidden)).tensor_split([hidden.shape[-1]], dim=-1)
        key, value = torch.cat([self.context_kv(self.context_norm(context)), own], dim=1).chunk(2, dim=-1)
        hidden = hidden + self.out(attend(query, key, value, self.heads))
        return hidden + self.down(gelu(self.up(self.norm(hidden))))
