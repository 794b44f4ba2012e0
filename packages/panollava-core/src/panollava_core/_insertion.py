"""Expand prompts with one placeholder per panorama to one placeholder per vision token."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor


class Expansion(NamedTuple):
    """The source of every position of the expanded prompts.

    Attributes:
        source: index into the given prompt; 0 for new padding.
        is_image: the position holds a vision token.
        is_padding: the position is new padding.
    """

    source: Int[Tensor, "batch length"]
    is_image: Bool[Tensor, "batch length"]
    is_padding: Bool[Tensor, "batch length"]


def expand_placeholders(
    is_image: Bool[Tensor, "batch length"],
    attention_mask: Int[Tensor, "batch length"],
    lengths: Int[Tensor, " panoramas"],
) -> Expansion:
    """Plan the insertion of `lengths[k]` vision tokens at the k-th placeholder, in reading order.

    If there is one panorama per prompt, a prompt without a placeholder gets its panorama as a prefix (after any left
    padding). Prompts are then padded to the length of the longest, on the left if the given prompts were padded on the
    left, otherwise on the right.

    Args:
        is_image: where the placeholders are.
        attention_mask: 1 for tokens, 0 for padding.
        lengths: number of vision tokens of each panorama.
    """
    batch, length = is_image.shape
    left_padded = bool((attention_mask[:, 0] == 0).any() & (attention_mask[:, -1] != 0).all())
    source = torch.arange(length, device=is_image.device).expand(batch, -1)
    repeats = torch.ones_like(source)
    if int(is_image.sum()) != len(lengths):
        # Add one position to every row; rows that have a placeholder repeat the new position zero times.
        insert_at = (
            attention_mask.ne(0).int().argmax(dim=1, keepdim=True) if left_padded else torch.zeros_like(source[:, :1])
        )
        index = torch.arange(length + 1, device=is_image.device).expand(batch, -1)
        lacks = ~is_image.any(dim=1, keepdim=True)
        source = (index - (index > insert_at).long()).clamp_max(length - 1)
        repeats = torch.where(index == insert_at, lacks.long(), 1)
        is_image = torch.where(index == insert_at, lacks, is_image.gather(1, source))
    order = is_image.flatten().cumsum(0).view_as(is_image) - 1
    repeats = torch.where(is_image, lengths[order.clamp(0, len(lengths) - 1)], repeats)
    ends = repeats.cumsum(dim=1)
    totals = ends[:, -1:]
    places = torch.arange(int(totals.max()), device=ends.device).expand(batch, -1)
    if left_padded:
        places = places - (totals.max() - totals)
    is_padding = (places < 0) | (places >= totals)
    found = torch.searchsorted(ends.contiguous(), places.contiguous(), right=True).clamp_max(ends.shape[1] - 1)
    return Expansion(
        source=source.gather(1, found).masked_fill(is_padding, 0),
        is_image=is_image.gather(1, found) & ~is_padding,
        is_padding=is_padding,
    )
