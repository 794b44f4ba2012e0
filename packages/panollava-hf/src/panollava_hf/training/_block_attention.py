"""Attention of packed questions on a CPU, without the scores that their mask excludes.

Of the pairs of tokens in a packed sequence, three quarters may not attend to each other: each question sees the prefix
and itself. `scaled_dot_product_attention` computes all pairs on a CPU, and its backward pass is slow there. Here the
queries are divided into blocks, and each block reads the prefix and the few tokens from the start of its questions on.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

__all__ = ["BLOCK_ATTENTION", "Block", "attend", "plan_blocks", "use_blocks"]

#: The name under which transformers knows this attention.
BLOCK_ATTENTION = "panollava_blocks"
#: Where a mask carries its blocks. A model passes a 4-D mask on unchanged; without blocks, the mask itself is used.
BLOCKS = "panollava_blocks"
#: Queries per block, in the prefix and after it. Smaller blocks compute fewer pairs in more calls.
PREFIX_QUERIES, QUERIES = 256, 96
#: Most elements of attention weights that a layer keeps for its backward pass; beyond, SDPA, which keeps none.
MAX_WEIGHTS = 2**26


@dataclass(frozen=True)
class Block:
    """Some queries, and the keys that they read.

    Attributes:
        queries: First and last place, exclusive.
        keys: One or two ranges of places.
        bias: `[batch, 1, queries, keys]`, added to the scores: 0, or -inf where a query may not attend to a key.
    """

    queries: tuple[int, int]
    keys: tuple[tuple[int, int], ...]
    bias: Tensor


def plan_blocks(segments: Tensor, dtype: torch.dtype) -> list[Block]:
    """The blocks of packed sequences.

    Args:
        segments: `[batch, length]`: 0 for the prefix, k for the k-th question, -1 for padding; each in one piece.
        dtype: Type of the scores.

    Example:
        >>> blocks = plan_blocks(torch.tensor([[0, 0, 1, 1, 2]]), torch.float32)
        >>> [(block.queries, block.keys) for block in blocks]
        [((0, 2), ((0, 2),)), ((2, 5), ((0, 5),))]
    """
    length = segments.shape[1]
    place = torch.arange(length, device=segments.device)
    begins = torch.nn.functional.pad(segments[:, 1:] != segments[:, :-1], (1, 0), value=True)
    first = torch.where(begins, place, 0).cummax(dim=1).values.amin(dim=0).tolist()
    prefix = int((segments == 0).sum(dim=1).max())
    starts = [*range(0, prefix, PREFIX_QUERIES), *range(prefix, length, QUERIES)]
    blocks = []
    for start, end in zip(starts, [*starts[1:], length], strict=True):
        own = min(first[start], start)
        keys = ((0, end),) if start < prefix or own <= prefix else ((0, prefix), (own, end))
        read = torch.cat([place[begin:stop] for begin, stop in keys])
        theirs, ours = segments[:, None, read], segments[:, start:end, None]
        allowed = ((theirs == ours) | (theirs == 0)) & (read <= place[start:end, None])
        bias = torch.zeros(allowed.shape, dtype=dtype, device=segments.device).masked_fill_(~allowed, -math.inf)
        blocks.append(Block((start, end), keys, bias[:, None]))
    return blocks


def attend(query: Tensor, key: Tensor, value: Tensor, blocks: list[Block]) -> Tensor:
    """Attention `[batch, heads, length, features]` of queries, already scaled, to the keys of their blocks."""
    found: Tensor = _Attention.apply(query, key, value, blocks)
    return found


class _Attention(Function):
    """The forward pass keeps the probabilities, and the backward pass uses them."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, blocks: list[Block]) -> Tensor:
        heads = query.shape[1]
        query, key, value = (part.flatten(0, 1).contiguous() for part in (query, key, value))
        found = torch.empty_like(query)
        kept = []
        for block in blocks:
            rows = slice(*block.queries)
            scores = torch.bmm(query[:, rows], _read(key, block).mT)
            scores.unflatten(0, (-1, heads)).add_(block.bias)
            weights = scores.softmax(dim=-1)
            found[:, rows] = torch.bmm(weights, _read(value, block))
            kept.append(weights)
        ctx.save_for_backward(query, key, value, *kept)
        ctx.blocks = blocks
        return found.unflatten(0, (-1, heads))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *kept = ctx.saved_tensors
        heads = gradient.shape[1]
        gradient = gradient.flatten(0, 1).contiguous()
        wide = torch.promote_types(key.dtype, torch.float32)  # of the sum over all blocks
        to_query, to_key = torch.empty_like(query), torch.zeros_like(key, dtype=wide)
        to_value = torch.zeros_like(value, dtype=wide)
        for block, weights in zip(ctx.blocks, kept, strict=True):
            rows = slice(*block.queries)
            to_weights = torch.bmm(gradient[:, rows], _read(value, block).mT)
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            to_query[:, rows] = torch.bmm(to_scores, _read(key, block))
            _add(to_key, torch.bmm(to_scores.mT, query[:, rows]), block)
            _add(to_value, torch.bmm(weights.mT, gradient[:, rows]), block)
        found = (to_query, to_key.to(key.dtype), to_value.to(value.dtype))
        return (*(part.unflatten(0, (-1, heads)) for part in found), None)


def _read(keys: Tensor, block: Block) -> Tensor:
    parts = [keys[:, begin:end] for begin, end in block.keys]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _add(total: Tensor, part: Tensor, block: Block) -> None:
    place = 0
    for begin, end in block.keys:
        total[:, begin:end] += part[:, place : place + end - begin]
        place += end - begin


def block_attention_forward(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in each layer: by blocks where the mask has some, otherwise as `sdpa`."""
    blocks = getattr(attention_mask, BLOCKS, None)
    plain = dropout == 0.0 and kwargs.get("position_bias") is None and query.shape[2] == key.shape[2]
    if blocks is None or not plain or query.shape[1] * sum(block.bias.numel() for block in blocks) > MAX_WEIGHTS:
        options = {"dropout": dropout, "scaling": scaling, "is_causal": is_causal, **kwargs}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    dtype, kind = query.dtype, query.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    with torch.autocast(kind, enabled=False):
        # The queries are fewer numbers than the scores, and are scaled before they are rounded.
        found = attend((query * scale).to(dtype), key.to(dtype), value.to(dtype), blocks)
    return found.transpose(1, 2).contiguous(), None


def use_blocks(model: Any) -> None:
    """Let a language model that uses `sdpa` attend by blocks; others stay as they are.

    Args:
        model: The headless language model.
    """
    if model.config._attn_implementation == "sdpa" and model._can_set_attn_implementation():
        AttentionInterface.register(BLOCK_ATTENTION, block_attention_forward)
        AttentionMaskInterface.register(BLOCK_ATTENTION, sdpa_mask)
        model.set_attn_implementation(BLOCK_ATTENTION)
