"""Tokens of views → one vector per view, and one per panorama."""

from typing import Literal

import torch
from panollava_core import VisionOutput
from torch import Tensor
from torch.nn.functional import normalize

Pooling = Literal["mean", "max", "first", "cls", "pooler", "cls+mean", "pooler+mean"]

#: Poolings of latent tokens, of any model.
TOKEN_POOLING = ("mean", "max", "first")
#: Poolings that need the vision tower's own tokens, not those of a connector. Their vectors of views have unit length.
TOWER_POOLING = ("cls", "pooler", "cls+mean", "pooler+mean")


def pool_tokens(pooling: str, tokens: Tensor) -> Tensor:
    """Pool tokens over their second last axis: `mean`, `max` or `first`."""
    if pooling == "mean":
        return tokens.mean(-2)
    return tokens.amax(-2) if pooling == "max" else tokens[..., 0, :]


def pool_tower(pooling: str, output: VisionOutput, tower: str) -> Tensor:
    """The vector of each view that the tower itself makes, of unit length.

    Args:
        pooling: One of `TOWER_POOLING`. With `+mean`, the unit vectors of both are concatenated.
        output: What the tower returned for N views.
        tower: Its class, for messages.

    Returns:
        `[N, D_vision]`, or `[N, 2 · D_vision]` with `+mean`.

    Raises:
        ValueError: The tower has no such pooling.

    Example:
        >>> output = VisionOutput(torch.ones(1, 4, 2), cls_token=torch.tensor([[3.0, 4.0]]))
        >>> pool_tower("cls", output, "ViTModel")
        tensor([[0.6000, 0.8000]])
    """
    first, plus, _ = pooling.partition("+")
    found = output.cls_token if first == "cls" else output.pooler_output
    if found is None:
        what = "CLS token" if first == "cls" else "pooling of its own"
        raise ValueError(f"pooling={pooling!r}, but {tower} has no {what}; use mean or max")
    vectors = normalize(found, dim=-1)
    if plus:
        mean = normalize(output.last_hidden_state.mean(1), dim=-1)
        vectors = torch.cat([vectors, mean], dim=-1) / 2**0.5
    return vectors
