"""`qformer`: learned queries that look at the view and at each other.

Source: BLIP-2 (Li et al. 2023, https://arxiv.org/abs/2301.12597). Blocks are BERT's: normalisation after each sum.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers.modeling_layers import GradientCheckpointingLayer

from panollava_core.resamplers._base import DEFAULT_LATENTS, Grid, Resampler
from panollava_core.resamplers._heads import attend, check_heads


class QFormerResampler(Resampler):
    """`num_latent_tokens` queries through blocks of self-attention, cross-attention to the view, and an MLP.

    Args:
        input_dim: D_in.
        latent_dimension: D_latent.
        num_latent_tokens: number of queries; None takes 64.
        hidden_dim: width of the queries; None takes D_in.
        num_layers: number of blocks.
        num_heads: attention heads.
        cross_attention_frequency: every how many blocks the queries look at the view (BLIP-2: 2).
        causal: query k sees only queries up to k, as in the original PanoLLaVA, whose Q-Former was a BERT decoder.
    """

    resampler_type = "qformer"
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
        cross_attention_frequency: int = 1,
        causal: bool = False,
    ) -> None:
        super().__init__(
            input_dim=input_dim,
            latent_dimension=latent_dimension,
            num_latent_tokens=num_latent_tokens,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            cross_attention_frequency=cross_attention_frequency,
            causal=causal,
        )
        width = hidden_dim or input_dim
        check_heads(width, num_heads)
        if cross_attention_frequency < 1:
            raise ValueError(f"cross_attention_frequency must be positive, got {cross_attention_frequency}")
        self.query = nn.Parameter(torch.empty(1, num_latent_tokens or DEFAULT_LATENTS, width))
        self.init_parameters()
        self.query_norm = nn.LayerNorm(width, eps=1e-12)
        self.blocks = nn.ModuleList(
            QFormerBlock(width, input_dim if index % cross_attention_frequency == 0 else None, num_heads, causal=causal)
            for index in range(num_layers)
        )
        self.proj = nn.Linear(width, latent_dimension)

    @torch.no_grad()
    def init_parameters(self) -> None:
        """Start the queries small and different from each other."""
        self.query.normal_(std=0.02)

    def forward(
        self, tokens: Float[Tensor, "views tokens features"], *, grid: Grid | None = None
    ) -> Float[Tensor, "views latents latent_features"]:
        """Let the queries read a view's tokens; `grid` is not needed."""
        hidden = self.query_norm(self.query).expand(tokens.shape[0], -1, -1)
        for block in self.blocks:
            hidden = block(hidden, tokens)
        return self.proj(hidden)

    @classmethod
    def convert_original(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Fold BERT's position and type embeddings into the queries, fuse its projections, drop what it never used."""
        count = state["query"].shape[1]
        embeddings = "bert.embeddings."
        places = state[f"{embeddings}position_embeddings.weight"][:count]
        new = {
            "query": state["query"] + places + state[f"{embeddings}token_type_embeddings.weight"][0],
            **{f"query_norm.{k}": state[f"{embeddings}LayerNorm.{k}"] for k in ("weight", "bias")},
            **{f"proj.{k}": state[f"proj.{k}"] for k in ("weight", "bias")},
        }
        layers = sorted({int(k.split(".")[3]) for k in state if k.startswith("bert.encoder.layer.")})
        for layer in layers:
            for kind in ("weight", "bias"):

                def old(name: str, layer: int = layer, kind: str = kind) -> Tensor:
                    return state[f"bert.encoder.layer.{layer}.{name}.{kind}"]

                new |= {
                    f"blocks.{layer}.{name}.{kind}": tensor
                    for name, tensor in {
                        "self_qkv": torch.cat([old(f"attention.self.{x}") for x in ("query", "key", "value")]),
                        "self_out": old("attention.output.dense"),
                        "self_norm": old("attention.output.LayerNorm"),
                        "cross_q": old("crossattention.self.query"),
                        "cross_kv": torch.cat([old(f"crossattention.self.{x}") for x in ("key", "value")]),
                        "cross_out": old("crossattention.output.dense"),
                        "cross_norm": old("crossattention.output.LayerNorm"),
                        "up": old("intermediate.dense"),
                        "down": old("output.dense"),
                        "norm": old("output.LayerNorm"),
                    }.items()
                }
        return new


class QFormerBlock(GradientCheckpointingLayer):
    """Self-attention, cross-attention (where `context_dim` is given) and an MLP, each added and then normalised."""

    def __init__(self, width: int, context_dim: int | None, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal, self.looks = heads, causal, context_dim is not None
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

    def forward(
        self, hidden: Float[Tensor, "views queries width"], context: Float[Tensor, "views tokens features"]
    ) -> Float[Tensor, "views queries width"]:
        """Update the queries."""
        query, key, value = self.self_qkv(hidden).chunk(3, dim=-1)
        hidden = self.self_norm(hidden + self.self_out(attend(query, key, value, self.heads, causal=self.causal)))
        if self.looks:
            key, value = self.cross_kv(context).chunk(2, dim=-1)
            looked = self.cross_out(attend(self.cross_q(hidden), key, value, self.heads))
            hidden = self.cross_norm(hidden + looked)
        return self.norm(hidden + self.down(gelu(self.up(hidden))))
