"""Insert vision tokens into embedded prompts, at the `<|vision|>` placeholders."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from panollava_core._insertion import Expansion, expand_placeholders


class LanguageFusion:
    """Inserts vision tokens at the image placeholders of embedded prompts. It has no parameters.

    Args:
        image_token_id: token id of the placeholder; it may lie outside the embedding table.
        ignore_index: label of vision tokens.
        embed: input embedding of the language model, used if `fuse` gets no `inputs_embeds`. It does not become a
            submodule.

    Example:
        >>> import torch
        >>> from panollava_core import LanguageFusion
        >>> fusion = LanguageFusion(image_token_id=9, embed=torch.nn.Embedding(10, 64))
        >>> fused = fusion.fuse(torch.zeros(1, 3, 64), torch.tensor([[1, 9, 9, 9, 2]]))
        >>> fused["inputs_embeds"].shape
        torch.Size([1, 5, 64])
        >>> fusion.fuse(torch.zeros(1, 3, 64), torch.tensor([[1, 9, 2]]))["inputs_embeds"].shape
        torch.Size([1, 5, 64])
    """

    def __init__(
        self, image_token_id: int, ignore_index: int = -100, embed: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.image_token_id = image_token_id
        self.ignore_index = ignore_index
        self.embed = embed

    def fuse(
        self,
        vision_tokens: Float[Tensor, "panoramas tokens features"] | Sequence[Tensor] | None,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"] | None = None,
        labels: Int[Tensor, "batch length"] | None = None,
        *,
        inputs_embeds: Float[Tensor, "batch length features"] | None = None,
    ) -> dict[str, Tensor | None]:
        """Fuse vision tokens and prompts.

        Prompts contain either one placeholder per vision token (as the processor writes them) or one placeholder per
        panorama, which is replaced by all vision tokens of that panorama. With one panorama per prompt, a prompt
        without a placeholder gets its panorama as a prefix. Panoramas are assigned to placeholders in reading order.
        Under `torch.compile` prompts must have one placeholder per vision token.

        Args:
            vision_tokens: `[P, T, D]`, or a list of `[T_i, D]`, for the panoramas of all prompts; None if there are
                none.
            input_ids: token ids, padded on the left or on the right.
            attention_mask: 1 for tokens, 0 for padding; default: all 1.
            labels: targets; those of vision tokens become `ignore_index`.
            inputs_embeds: the embedded `input_ids`; default: `embed(input_ids)`.

        Returns:
            `inputs_embeds`, `attention_mask` (1 at vision tokens), `labels` (None if not given) and `position_ids`
            (counted over tokens that are not padding).

        Raises:
            ValueError: the numbers of placeholders and vision tokens do not match, the image tokens of one panorama are
                split across two prompts, or neither `inputs_embeds` nor `embed` is given.
        """
        features, lengths = _flatten(vision_tokens)
        is_image = input_ids == self.image_token_id
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if torch.compiler.is_compiling():
            expected = 0 if features is None else features.shape[0]
            torch._assert_async(is_image.sum() == expected, "Image features and image tokens do not match")
            fused = self._scatter(features, input_ids, inputs_embeds, is_image)
        elif self._is_expanded(is_image, lengths):
            fused = self._assemble(features, input_ids, inputs_embeds, is_image)
        else:
            sizes = torch.tensor(lengths, device=input_ids.device)
            plan = expand_placeholders(is_image, attention_mask, sizes)
            is_image = plan.is_image
            fused = self._assemble(features, input_ids, inputs_embeds, is_image, plan)
            attention_mask = attention_mask.gather(1, plan.source).masked_fill(plan.is_padding, 0)
            if labels is not None:
                labels = labels.gather(1, plan.source).masked_fill(plan.is_padding, self.ignore_index)
        attention_mask = attention_mask.masked_fill(is_image, 1)
        return {
            "inputs_embeds": fused,
            "attention_mask": attention_mask,
            "labels": None if labels is None else labels.masked_fill(is_image, self.ignore_index),
            "position_ids": (attention_mask.long().cumsum(dim=-1) - 1).clamp_min(0),
        }

    def _scatter(
        self, features: Tensor | None, input_ids: Tensor, inputs_embeds: Tensor | None, is_image: Tensor
    ) -> Tensor:
        """Insert with one masked scatter; shapes do not depend on values, so it can be traced."""
        if inputs_embeds is None:
            # The embedding of the placeholder is not used, and its id may lie outside the table.
            inputs_embeds = self._embed(input_ids.masked_fill(is_image, 0))
        if features is None:
            return inputs_embeds
        return inputs_embeds.masked_scatter(is_image[..., None], features.to(inputs_embeds.device, inputs_embeds.dtype))

    def _assemble(
        self,
        features: Tensor | None,
        input_ids: Tensor,
        inputs_embeds: Tensor | None,
        is_image: Tensor,
        plan: Expansion | None = None,
    ) -> Tensor:
        """Insert by copying whole rows; placeholders are not embedded and no row is written twice. Not traceable."""
        images = is_image.flatten().nonzero()[:, 0]
        if plan is None and inputs_embeds is not None:
            if features is None:
                return inputs_embeds
            features = features.to(inputs_embeds.device, inputs_embeds.dtype)
            return inputs_embeds.flatten(0, 1).index_copy(0, images, features).view_as(inputs_embeds)
        if plan is None:
            texts = is_image.logical_not().flatten().nonzero()[:, 0]
            sources = texts
        else:
            texts = (plan.is_image | plan.is_padding).logical_not().flatten().nonzero()[:, 0]
            starts = torch.arange(input_ids.shape[0], device=input_ids.device)[:, None] * input_ids.shape[1]
            sources = (plan.source + starts).flatten()[texts]
        if inputs_embeds is None:
            text = self._embed(input_ids.flatten()[sources][None])[0]
        else:
            text = inputs_embeds.flatten(0, 1)[sources]
        shape = (is_image.numel(), text.shape[-1])
        fused = (text.new_empty(shape) if plan is None else text.new_zeros(shape)).index_copy_(0, texts, text)
        if features is not None:
            fused = fused.index_copy_(0, images, features.to(text.device, text.dtype))
        return fused.unflatten(0, is_image.shape)

    def _embed(self, input_ids: Tensor) -> Tensor:
        if self.embed is None:
            raise ValueError(
                "fuse() has nothing to embed input_ids with; pass inputs_embeds or create LanguageFusion(embed=…)"
            )
        return self.embed(input_ids)

    def _is_expanded(self, is_image: Tensor, lengths: list[int]) -> bool:
        """Return True for one placeholder per vision token, False for one per panorama; raise for any other count."""
        per_prompt = is_image.sum(dim=1)
        found, features, panoramas = int(per_prompt.sum()), sum(lengths), len(lengths)
        if found == features:
            ends = torch.tensor([0, *lengths], device=is_image.device).cumsum(0)
            if torch.isin(per_prompt.cumsum(0), ends).all():
                return True
            raise ValueError(
                f"Image features and image tokens do not match: the image tokens of one panorama are split across two "
                f"prompts. The prompts have {per_prompt.tolist()} image tokens, the panoramas {lengths} features; put "
                "all image tokens of a panorama into one prompt"
            )
        if found == panoramas or (panoramas == len(per_prompt) and int(per_prompt.max()) <= 1):
            return False
        raise ValueError(
            f"Image features and image tokens do not match: {found} image tokens, {features} features; "
            f"expected {features} image tokens (one per feature) or {panoramas} (one per panorama)"
        )


def _flatten(vision_tokens: Tensor | Sequence[Tensor] | None) -> tuple[Tensor | None, list[int]]:
    """Return all vision tokens as one `[M, D]` tensor, and the number of tokens of each panorama."""
    if vision_tokens is None or len(vision_tokens) == 0:
        return None, []
    if isinstance(vision_tokens, Tensor):
        return vision_tokens.flatten(0, 1), [vision_tokens.shape[1]] * vision_tokens.shape[0]
    return torch.cat(list(vision_tokens)), [tokens.shape[0] for tokens in vision_tokens]
