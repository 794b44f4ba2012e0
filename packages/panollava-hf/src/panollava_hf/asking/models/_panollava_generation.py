"""Generate after many prompts about a few panoramas; each panorama goes through the language model once.

A prompt starts with the panorama, which is hundreds of tokens, and ends with the question, which is a few. The part
that all prompts share is therefore run once per panorama, and its key-value cache is reused for each question.
Attention is causal, so the answers equal those of whole prompts.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from panollava_hf._compat import CACHE_NAME
from panollava_hf.asking.models._lengths import new_tokens
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration

Ids = list[int]


@torch.inference_mode()
def generate_batches(
    model: PanoLLaVaForConditionalGeneration,
    views: Tensor,
    prompts: Sequence[Ids],
    which: Sequence[int],
    batches: Iterable[Sequence[int]],
    *,
    pad_token_id: int,
    max_new_tokens: int,
) -> Iterator[Tensor]:
    """Greedy continuations of prompts, batch by batch.

    Args:
        model: The model.
        views: Normalised views of the panoramas, `[P, V, 3, h, w]`, on any device.
        prompts: Token ids of each prompt, with one placeholder per image token.
        which: For each prompt, the index of its panorama.
        batches: Indices of the prompts that are continued together. The shared part is found over all prompts, so it
            does not depend on the batches.
        pad_token_id: Id for padding.
        max_new_tokens: Maximum number of new tokens; fewer where the model has no positions left.

    Yields:
        New token ids of each batch, `[prompts of the batch, new tokens]`.

    Raises:
        TextError: A prompt is longer than the model reads.
    """
    limits = [new_tokens(model.config, len(prompt), max_new_tokens) for prompt in prompts]
    features: Any = model.get_image_features(views.to(model.device), return_dict=True)
    image_tokens = tuple(features.pooler_output)
    shared: Ids = []
    # One prompt per panorama has nothing to share.
    if len(prompts) > len(image_tokens) and _can_share(model):
        shared = shared_prefix(prompts, model.config.image_token_id)
    cache = _read(model, image_tokens, shared) if shared else None
    for batch in batches:
        chosen = [which[index] for index in batch]
        ids, mask = _padded([prompts[index][len(shared) :] for index in batch], pad_token_id)
        inputs: dict[str, Any]
        if cache is None:
            ids = ids.to(model.device)
            embeds = _embeds(model, tuple(image_tokens[index] for index in chosen), ids)
            inputs, skipped = {"inputs_embeds": embeds, "attention_mask": mask.to(model.device)}, 0
        else:
            start = torch.tensor([shared] * len(batch))
            ids, mask = torch.cat([start, ids], 1), torch.cat([torch.ones_like(start), mask], 1)
            inputs = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
            inputs[CACHE_NAME] = _chosen(model, cache, chosen)
            skipped = ids.shape[1]  # `generate` returns its input ids first, but not its input embeddings
        new = model.generate(
            **inputs,
            do_sample=False,
            num_beams=1,
            max_new_tokens=min(limits[index] for index in batch),
            pad_token_id=pad_token_id,
        )
        yield new[:, skipped:]


def shared_prefix(prompts: Sequence[Ids], image_token_id: int) -> Ids:
    """The longest common prefix of all prompts that leaves each at least one token; empty if it cuts the panorama.

    Example:
        >>> shared_prefix([[1, 9, 9, 2, 3], [1, 9, 9, 2, 4, 5]], image_token_id=9)
        [1, 9, 9, 2]
        >>> shared_prefix([[1, 9, 9, 2, 3], [2, 9, 9, 2, 3]], image_token_id=9)
        []
    """
    first, last = min(prompts), max(prompts)  # a common prefix of these two is one of all prompts between them
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    length = min(length, *(len(ids) - 1 for ids in prompts))
    return [] if image_token_id in first[length:] else first[:length]


def _empty_cache(model: PanoLLaVaForConditionalGeneration) -> DynamicCache:
    return DynamicCache(config=model.config.get_text_config())


def _can_share(model: PanoLLaVaForConditionalGeneration) -> bool:
    """Whether every layer has plain causal attention.

    Padding lies between the shared prefix and the question: a sliding window would count it, and a recurrent state
    would read it.
    """
    layers = _empty_cache(model).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


def _read(model: PanoLLaVaForConditionalGeneration, image_tokens: tuple[Tensor, ...], shared: Ids) -> DynamicCache:
    """Key-value cache of the shared prefix, one sample per panorama."""
    ids = torch.tensor([shared] * len(image_tokens), device=model.device)
    cache = _empty_cache(model)
    model(inputs_embeds=_embeds(model, image_tokens, ids), use_cache=True, logits_to_keep=1, **{CACHE_NAME: cache})
    return cache


def _chosen(model: PanoLLaVaForConditionalGeneration, cache: DynamicCache, which: Sequence[int]) -> DynamicCache:
    """A copy of the cache with one sample per prompt."""
    index = torch.tensor(which, device=model.device)
    copy = _empty_cache(model)
    for number, layer in enumerate(cache.layers):
        copy.update(layer.keys[index], layer.values[index], number)
    return copy


def _embeds(model: PanoLLaVaForConditionalGeneration, image_tokens: tuple[Tensor, ...], ids: Tensor) -> Tensor:
    """Input embeddings `[B, S, D_lm]` with the panoramas at their placeholders."""
    embedded = model.get_input_embeddings()(ids)
    fused: Any = model.language_fusion.fuse(image_tokens, ids, inputs_embeds=embedded)["inputs_embeds"]
    return fused


def _padded(prompts: Sequence[Ids], pad_token_id: int) -> tuple[Tensor, Tensor]:
    """Ids `[B, S]`, padded on the left, and their attention mask."""
    longest = max(len(ids) for ids in prompts)
    ids = [[pad_token_id] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids), torch.tensor(mask)
