"""From panoramas with questions to the batches that a model's `forward` takes."""

from collections.abc import Sequence
from typing import Any

import torch

from panollava_hf.data._dataset import Item
from panollava_hf.processing_panollava import PanoLLaVaProcessor
from panollava_hf.training._packing import Packed, Turn, pack, pad

#: Entry of a batch that is for the trainer and not for the model: skipped images, and the error that ends the run.
NOTES = "notes"
#: Number of tokenised questions kept in memory.
MAX_TURNS = 65536


class ViewCollator:
    """Normalised views without questions, for VICReg.

    Args:
        processor: The checkpoint's processor.
    """

    def __init__(self, processor: PanoLLaVaProcessor) -> None:
        self.processor = processor

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """`pixel_values` `[panoramas, views, 3, h, w]` float32 (missing when an item has an error), and the notes."""
        skipped = [message for item in items for message in item.skipped]
        errors = [item.error for item in items if item.error]
        notes = {"skipped": skipped, "error": errors[0] if errors else None}
        if errors:
            return {NOTES: notes}
        views = torch.stack([item.views for item in items if item.views is not None])
        return {"pixel_values": self.processor.image_processor.normalise(views), NOTES: notes}


class AnswerCollator(ViewCollator):
    """Views and packed questions, see `panollava_hf.training._packing`.

    Args:
        processor: The checkpoint's processor.
        max_length: Largest number of tokens in a sequence; questions that do not fit are left out, the last ones first.
    """

    def __init__(self, processor: PanoLLaVaProcessor, max_length: int | None = None) -> None:
        super().__init__(processor)
        self.max_length = max_length
        self.image = processor.image_token * processor.num_image_tokens()
        self._turns: dict[tuple[str, str], Turn] = {}

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """`pixel_values`, `input_ids`, `labels`, `position_ids`, a mask, and the notes.

        The mask is `segments` if a panorama has several questions, otherwise an ordinary `attention_mask`.

        Raises:
            ValueError: A single question has more than `max_length` tokens, or the chat template is unsuitable.
        """
        batch = super().__call__(items)
        if "pixel_values" in batch:
            batch.update(pad([self._pack(item) for item in items], self.processor.tokenizer.pad_token_id))
            if all(len(item.examples) == 1 for item in items):
                batch["attention_mask"] = (batch.pop("segments") >= 0).long()
        return batch

    def _pack(self, item: Item) -> Packed:
        turns = [self._turn(example.question, example.answer) for example in item.examples]
        while True:
            packed = pack(turns)
            if self.max_length is None or len(packed.input_ids) <= self.max_length:
                return packed
            if len(turns) == 1:
                raise ValueError(
                    f"{item.examples[0].where}: the question and its panorama take {len(packed.input_ids)} tokens, "
                    f"more than max_length={self.max_length}"
                )
            turns = turns[:-1]

    def _turn(self, question: str, answer: str) -> Turn:
        """A question and its answer in tokens; they are kept, because the questions of a benchmark repeat."""
        key = (question, answer)
        if key not in self._turns:
            if len(self._turns) >= MAX_TURNS:
                self._turns.clear()
            self._turns[key] = self._tokenised(question, answer)
        return self._turns[key]

    def _tokenised(self, question: str, answer: str) -> Turn:
        prompt, whole = self.processor.prompt(question), self.processor.prompt(question, answer)
        if not whole.startswith(prompt):
            raise ValueError(
                "the chat template writes the prompt differently when an answer follows, so the answer cannot be "
                f"separated from it: {whole!r} does not begin with {prompt!r}"
            )
        tokenizer = self.processor.tokenizer
        prompt_ids = tokenizer(prompt.replace(self.processor.image_token, self.image))["input_ids"]
        # The answer is tokenised separately, because `generate` continues after the tokens of the prompt.
        answer_ids = tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"]
        end = tokenizer.eos_token_id
        if end is not None:  # the model stops there, so tokens that the template writes after it are not trained
            answer_ids = [*answer_ids[: answer_ids.index(end)], end] if end in answer_ids else [*answer_ids, end]
        return Turn(tuple(prompt_ids), tuple(answer_ids))
