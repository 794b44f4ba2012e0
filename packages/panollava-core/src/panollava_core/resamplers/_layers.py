"""Layers that several resamplers share: gradient checkpointing, attention, pooling."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from panollava_core.resamplers._grids import Grid


def recompute(function: Callable[..., Any], *args: Any) -> Any:
    """Call `function` and recompute it in the backward pass instead of keeping its activations."""
    return checkpoint(function, *args, use_reentrant=False)


class CheckpointedLayer(nn.Module):
    """A layer whose activations can be recomputed in the backward pass. Subclasses define `compute`, not `forward`.

    transformers switches gradient checkpointing on by setting the two attributes below on every module that has
    `gradient_checkpointing`. Its own base class for such layers is not used: importing it loads `torch._dynamo`, which
    takes longer than the rest of this package. Module hooks run around `forward`, so they are not recomputed.
    """

    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., Any] = staticmethod(recompute)

    compute: Callable[..., Tensor]

    def forward(self, *args: Any) -> Tensor:
        """Compute the layer, with checkpointing if it is switched on and gradients are needed."""
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(self.compute, *args)
        return self.compute(*args)


class CheckpointedSequential(CheckpointedLayer, nn.Sequential):
    """`torch.nn.Sequential` that is recomputed as one layer."""

    def compute(self, inputs: Tensor) -> Tensor:
        """Apply the layers in order."""
        return nn.Sequential.forward(self, inputs)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, *, causal: bool = False) -> Tensor:
    """Multi-head attention of projected tokens.

    Args:
        query: `[N, Q, D]`.
        key: `[N, S, D]`.
        value: `[N, S, D]`.
        heads: number of heads; divides D.
        causal: query k attends to the first k + 1 keys only.

    Returns:
        `[N, Q, D]`.
    """
    query, key, value = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    return scaled_dot_product_attention(query, key, value, is_causal=causal).transpose(1, 2).flatten(2)


def pool_tokens(tokens: Tensor, grid: Grid, output_grid: Grid) -> Tensor:
    """Average-pool `[N, S, D]` tokens from one grid to another, both row by row."""
    if grid == output_grid:
        return tokens
    image = tokens.transpose(1, 2).unflatten(2, grid)
    return adaptive_avg_pool2d(image, output_grid).flatten(2).transpose(1, 2)
