"""Prompts with one placeholder per panorama, grown so that every vision token has a placeholder of its own."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor


class Expansion(NamedTuple):
    """Where every place of the grown prompts comes from.

    Attributes:
        source: index into the old prompt, 0 where there is none.
        is_image: the place takes a vision token.
        is_padding: the place is padding that was not there before.
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

    A prompt without a placeholder takes its panorama as a prefix (after any left padding) when there is one panorama
    per prompt and some have no placeholder. Prompts that end up shorter than the longest are padded, on the left if the
    given ones were, else on the right.
    """
    batch, length = is_image.shape
    left_padded = bool((attention_mask[:, 0] == 0).any() & (attention_mask[:, -1] != 0).all())
    source = torch.arange(length, device=is_image.device).expand(batch, -1)
    repeats = torch.ones_like(source)
    if int(is_image.sum()) != len(lengths):
        # One place more in every row; a row that has a placeholder already repeats it zero times.
        place = (
            attention_mask.ne(0).int().argmax(dim=1, keepdim=True) if left_padded else torch.zeros_like(source[:, :1])
        )
        index = torch.arange(length + 1, device=is_image.device).expand(batch, -1)
        lacks = ~is_image.any(dim=1, keepdim=True)
        source = (index - (index > place).long()).clamp_max(length - 1)
        repeats = torch.where(index == place, lacks.long(), 1)
        is_image = torch.where(index == place, lacks, is_image.gather(1, source))
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
