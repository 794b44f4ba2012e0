"""From panoramas with questions to the batches that a model's `forward` takes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from panollava_hf.data._dataset import Item
from panollava_hf.processing_panollava import PanoLLaVaProcessor
from panollava_hf.training._packing import Packed, Turn, pack, pad

#: Entries of a batch that are for the trainer and not for the model.
NOTES = "notes"


def notes_of(items: Sequence[Item]) -> dict[str, Any]:
    """What the workers have to tell: bad pictures passed over, and the mistake that ends the run."""
    skipped = [message for item in items for message in item.skipped]
    return {"skipped": skipped, "error": next((item.error for item in items if item.error), None)}


class ViewCollator:
    """Views alone, normalised, for VICReg.

    Args:
        processor: The checkpoint's processor.
    """

    def __init__(self, processor: PanoLLaVaProcessor) -> None:
        self.processor = processor

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """`pixel_values` `[panoramas, views, 3, h, w]` float32 and the workers' notes."""
        notes = notes_of(items)
        if notes["error"]:
            return {NOTES: notes}
        return {"pixel_values": self._pixels(items), NOTES: notes}

    def _pixels(self, items: Sequence[Item]) -> Tensor:
        views = torch.stack([item.views for item in items if item.views is not None])
        images = self.processor.image_processor
        mean = torch.tensor(images.image_mean).view(-1, 1, 1) * 255
        std = torch.tensor(images.image_std).view(-1, 1, 1) * 255
        return (views.float() - mean) / std


class AnswerCollator(ViewCollator):
    """Views and packed questions, see `panollava_hf.training._packing`.

    Args:
        processor: The checkpoint's processor.
        max_length: Longest sequence; a panorama's later questions are left out where they would not fit.
    """

    def __init__(self, processor: PanoLLaVaProcessor, max_length: int | None = None) -> None:
        super().__init__(processor)
        self.max_length = max_length
        views = len(processor.image_processor.view_plan())
        self.image = processor.image_token * processor._tokens(views)
        self._turns: dict[tuple[str, str], Turn] = {}

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """`pixel_values`, `input_ids`, `labels`, `position_ids`, the workers' notes, and who may see whom.

        That is `segments` where a panorama has several questions, a plain `attention_mask` otherwise.
        """
        batch = super().__call__(items)
        if "pixel_values" in batch:
            batch.update(pad([self._pack(item) for item in items], self.processor.tokenizer.pad_token_id))
            if all(len(item.examples) == 1 for item in items):
                batch["attention_mask"] = (batch.pop("segments") >= 0).long()
        return batch

    def _pack(self, item: Item) -> Packed:
        turns = [self.turn(example.question, example.answer) for example in item.examples]
        while True:
            packed = pack(turns)
            if self.max_length is None or len(packed.input_ids) <= self.max_length:
                return packed
            if len(turns) == 1:
                raise ValueError(
                    f"{item.examples[0].where}: the question makes {len(packed.input_ids)} tokens with its panorama, "
                    f"more than max_length={self.max_length}"
                )
            turns = turns[:-1]

    def turn(self, question: str, answer: str) -> Turn:
        """A question and its answer in tokens; those of short texts are kept, as a benchmark's come again and again."""
        key = (question, answer)
        if key not in self._turns:
            if len(self._turns) >= 65536:
                self._turns.clear()
            self._turns[key] = self._tokenised(question, answer)
        return self._turns[key]

    def _tokenised(self, question: str, answer: str) -> Turn:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        messages = [{"role": "user", "content": content}]
        prompt = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        reply = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
        whole = self.processor.apply_chat_template([*messages, reply], tokenize=False)
        if not whole.startswith(prompt):
            raise ValueError(
                "the chat template writes a conversation differently once it has an answer, so the answer cannot be "
                f"told from the prompt: {whole!r} does not begin with {prompt!r}"
            )
        tokenizer = self.processor.tokenizer
        asked = tokenizer(prompt.replace(self.processor.image_token, self.image))["input_ids"]
        # Tokenised by itself, as `generate` continues after the tokens of the prompt.
        told = tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"]
        end = tokenizer.eos_token_id
        if end is not None:  # what a template writes after the end is never said
            told = [*told[: told.index(end)], end] if end in told else [*told, end]
        return Turn(tuple(asked), tuple(told))
