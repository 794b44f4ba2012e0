"""Many questions about few panoramas: each panorama is seen once, and read by the language model once.

A prompt begins with the panorama, which makes hundreds of tokens, and ends with the question, which makes a few. What
all prompts about some panoramas begin with is therefore run once for each panorama, and its key-value cache is then
handed to each of its questions. Attention is causal, so the answers are those of whole prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from panollava_hf._compat import CACHE_NAME
from panollava_hf.asking._answerer import Answerer

Ids = list[int]


@dataclass(frozen=True)
class Seen:
    """Panoramas as the language model takes them.

    Attributes:
        tokens: `[T, D_lm]` for each panorama.
        shared: Ids that all prompts about them begin with; empty where nothing is shared.
        cache: Key-value cache of those ids, one sample for each panorama.
    """

    tokens: tuple[Tensor, ...]
    shared: tuple[int, ...] = ()
    cache: Any = None


class Asker:
    """Answers questions in batches, greedily.

    Args:
        answerer: Model and processor.
        max_new_tokens: Longest answer, in tokens.
        share_prefix: Whether the panorama's part of a prompt is run once for all of its questions.
    """

    def __init__(self, answerer: Answerer, *, max_new_tokens: int = 64, share_prefix: bool = True) -> None:
        self.model, self.processor = answerer.model, answerer.processor
        self.max_new_tokens = max_new_tokens
        self.share_prefix = share_prefix
        tokenizer = self.processor.tokenizer
        padding = tokenizer.pad_token_id
        self.padding = int(tokenizer.eos_token_id or 0) if padding is None else int(padding)

    def look(self, panoramas: Sequence[Tensor]) -> Tensor:
        """Panoramas `[3, H, 2H]` → normalised views `[P, V, 3, h, w]`; fit to run beside the model."""
        views: Tensor = self.processor.image_processor(list(panoramas))["pixel_values"]
        return views

    @torch.inference_mode()
    def see(self, views: Tensor, questions: Sequence[str]) -> Seen:
        """Let the model see panoramas.

        Args:
            views: What `look` made of them.
            questions: All questions that will be asked about them.
        """
        features: Any = self.model.get_image_features(views, return_dict=True)
        tokens = tuple(features.pooler_output)
        shared = self._shared([self.prompt(question, len(tokens[0])) for question in questions], len(tokens))
        cache = self._read(tokens, shared) if shared else None
        return Seen(tokens, () if cache is None else tuple(shared), cache)

    def prompt(self, question: str, image_tokens: int) -> Ids:
        """Ids of a prompt with as many placeholders as a panorama has tokens."""
        content = [{"type": "image"}, {"type": "text", "text": question}]
        text = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        ids = self.processor.tokenizer(text)["input_ids"]
        placeholder = self.processor.image_token_id
        place = ids.index(placeholder)
        return [*ids[:place], *[placeholder] * image_tokens, *ids[place + 1 :]]

    @torch.inference_mode()
    def answer(self, seen: Seen, questions: Sequence[str], panorama: Sequence[int]) -> list[str]:
        """Answers to a batch of questions.

        Args:
            seen: The panoramas.
            questions: The questions, among those that `see` was told of.
            panorama: Which panorama each is about.
        """
        prompts = [self.prompt(q, len(seen.tokens[p])) for q, p in zip(questions, panorama, strict=True)]
        new = self._whole(seen, prompts, panorama) if seen.cache is None else self._rest(seen, prompts, panorama)
        return [text.strip() for text in self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)]

    def _shared(self, prompts: list[Ids], panoramas: int) -> Ids:
        """What all prompts begin with, if that holds the panorama and is worth running by itself."""
        if not self.share_prefix or len(prompts) <= panoramas:
            return []
        first, last = min(prompts), max(prompts)  # whatever these two share, all between them share
        length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        length = min(length, *(len(ids) - 1 for ids in prompts))
        return [] if self.processor.image_token_id in first[length:] else first[:length]

    def _read(self, tokens: tuple[Tensor, ...], shared: Ids) -> Any:
        """Key-value cache of the shared beginning, for each panorama; None where it cannot be shared exactly."""
        ids = torch.tensor([shared] * len(tokens), device=self.model.device)
        cache = self._empty_cache()
        self.model(inputs_embeds=self._fused(tokens, ids), use_cache=True, logits_to_keep=1, **{CACHE_NAME: cache})
        # Padding stands between the shared beginning and the question: a sliding window would count it, and a
        # recurrent state would read it.
        self.share_prefix = bool(cache.layers) and all(type(layer) is DynamicLayer for layer in cache.layers)
        return cache if self.share_prefix else None

    def _rest(self, seen: Seen, prompts: list[Ids], panorama: Sequence[int]) -> Tensor:
        """New tokens after prompts whose beginning is in the cache."""
        ids, mask = self._padded([ids[len(seen.shared) :] for ids in prompts])
        beginning = torch.tensor([seen.shared] * len(prompts))
        ids, mask = torch.cat([beginning, ids], 1), torch.cat([torch.ones_like(beginning), mask], 1)
        chosen = torch.tensor(panorama, device=self.model.device)
        cache = self._empty_cache()
        for index, layer in enumerate(seen.cache.layers):
            cache.update(layer.keys[chosen], layer.values[chosen], index)
        device = self.model.device
        new = self._generate(input_ids=ids.to(device), attention_mask=mask.to(device), **{CACHE_NAME: cache})
        return new[:, ids.shape[1] :]

    def _whole(self, seen: Seen, prompts: list[Ids], panorama: Sequence[int]) -> Tensor:
        """New tokens after whole prompts, padded on the left."""
        ids, mask = (part.to(self.model.device) for part in self._padded(prompts))
        tokens = tuple(seen.tokens[index] for index in panorama)
        return self._generate(inputs_embeds=self._fused(tokens, ids), attention_mask=mask)

    def _fused(self, tokens: tuple[Tensor, ...], ids: Tensor) -> Tensor:
        embedded = self.model.get_input_embeddings()(ids)
        fused: Any = self.model.language_fusion.fuse(tokens, ids, inputs_embeds=embedded)["inputs_embeds"]
        return fused

    def _empty_cache(self) -> DynamicCache:
        return DynamicCache(config=self.model.config.get_text_config())

    def _padded(self, prompts: list[Ids]) -> tuple[Tensor, Tensor]:
        longest = max(len(ids) for ids in prompts)
        padded = [[self.padding] * (longest - len(ids)) + ids for ids in prompts]
        mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
        return torch.tensor(padded), torch.tensor(mask)

    def _generate(self, **inputs: Any) -> Tensor:
        tokens: Tensor = self.model.generate(
            **inputs, do_sample=False, num_beams=1, max_new_tokens=self.max_new_tokens, pad_token_id=self.padding
        )
        return tokens
