"""From panoramas with questions to the batches that a model's `forward` takes."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from panollava_hf._errors import TextError
from panollava_hf.data._dataset import Item
from panollava_hf.data._examples import Example
from panollava_hf.processing_panollava import PanoLLaVaProcessor

IGNORE = -100


@dataclass(frozen=True)
class Turn:
    """A question and its answer in tokens: the prompt, and the answer that is trained."""

    prompt: Sequence[int]
    answer: Sequence[int]


@dataclass(frozen=True)
class Packed:
    """A sequence of turns.

    Attributes:
        input_ids: `[length]`.
        labels: `[length]`, `IGNORE` except for answers.
        position_ids: `[length]`; every turn continues from the end of the prefix.
        segments: `[length]`; 0 for the prefix, k for the k-th turn.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    segments: Tensor


def shared_prefix(sequences: Sequence[tuple[int, ...]]) -> int:
    """Number of leading tokens that all sequences share; at least one token of each is excluded."""
    shortest = min(len(sequence) for sequence in sequences) - 1
    # What the smallest and the largest in alphabetical order share, all between them share.
    first, last = min(sequences), max(sequences)
    differs = (place for place in range(shortest) if first[place] != last[place])
    return next(differs, shortest)


def pack(turns: Sequence[Turn]) -> Packed:
    """Pack turns about the same panorama.

    Example:
        >>> packed = pack([Turn([1, 9, 9, 2], [5]), Turn([1, 9, 9, 3, 4], [6])])
        >>> packed.input_ids.tolist(), packed.position_ids.tolist()
        ([1, 9, 9, 2, 5, 3, 4, 6], [0, 1, 2, 3, 4, 3, 4, 5])
        >>> packed.segments.tolist()
        [0, 0, 0, 1, 1, 2, 2, 2]
    """
    start = shared_prefix([tuple(turn.prompt) for turn in turns])
    ids = list(turns[0].prompt[:start])
    labels = [IGNORE] * start
    positions = list(range(start))
    segments = [0] * start
    for number, turn in enumerate(turns, 1):
        rest = list(turn.prompt[start:])
        ids += [*rest, *turn.answer]
        labels += [IGNORE] * len(rest) + list(turn.answer)
        length = len(rest) + len(turn.answer)
        positions += range(start, start + length)
        segments += [number] * length
    return Packed(*(torch.tensor(values) for values in (ids, labels, positions, segments)))


def pad(packed: Sequence[Packed], pad_token_id: int) -> dict[str, Tensor]:
    """Stack sequences, padded on the right; the padding has segment -1."""
    length = max(len(one.input_ids) for one in packed)
    fill = {"input_ids": pad_token_id, "labels": IGNORE, "position_ids": 0, "segments": -1}

    def stacked(name: str) -> Tensor:
        rows = [getattr(one, name) for one in packed]
        return torch.stack([torch.nn.functional.pad(row, (0, length - len(row)), value=fill[name]) for row in rows])

    return {name: stacked(name) for name in fill}


def attention_mask_of(segments: Tensor) -> Tensor:
    """Attention mask `[batch, 1, length, length]` from segments `[batch, length]`, True where a token may attend.

    A token attends to the prefix and to its own segment, up to itself. Padding attends to itself, because an empty row
    of the mask gives NaN.
    """
    length = segments.shape[1]
    same = segments[:, :, None] == segments[:, None, :]
    prefix = (segments == 0)[:, None, :]
    before = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return ((same | prefix) & before)[:, None]


def answers_only(labels: Tensor) -> dict[str, Tensor]:
    """Arguments of `forward` with which logits are computed only where a token is trained.

    Most positions hold a panorama, a question or padding, and their logits would have no loss.

    Args:
        labels: `[batch, length]`.

    Returns:
        `logits_to_keep` and `shift_labels`, both `[batch, count]`, where `count` is the largest number of labels in a
        row: the positions that predict a label, and these labels. Shorter rows are filled with positions without one.

    Example:
        >>> found = answers_only(torch.tensor([[-100, -100, 5, 6], [-100, 7, -100, -100]]))
        >>> found["logits_to_keep"].tolist(), found["shift_labels"].tolist()
        ([[1, 2], [0, 1]], [[5, 6], [7, -100]])
    """
    shifted = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORE)
    trained = shifted != IGNORE
    count = max(int(trained.sum(1).max()), 1)
    kept = trained.logical_not().to(torch.int8).argsort(dim=1, stable=True)[:, :count]
    return {"logits_to_keep": kept, "shift_labels": shifted.gather(1, kept)}


def largest_size(text: str) -> int | None:
    """Bytes of a text, as it is or decomposed, in which tokenizers may read it; None if it is not valid Unicode.

    Example:
        >>> largest_size("a cube"), largest_size("큐브"), largest_size(chr(0xD800))
        (6, 12, None)
    """
    if text.isascii():
        return len(text)
    try:
        return max(len(text.encode()), len(unicodedata.normalize("NFKD", text).encode()))
    except UnicodeEncodeError:
        return None


#: Entry of a batch that is for the trainer and not for the model: skipped images, and the error that ends the run.
NOTES = "notes"
#: Number of tokenised questions kept in memory, and of answers.
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
    """Views and packed questions, see `panollava_hf.training._collator`.

    Args:
        processor: The checkpoint's processor.
        max_length: Largest number of tokens in a sequence; questions that do not fit are left out, the last ones first.
        positions: How many tokens the language model reads; each question may take as many.
    """

    def __init__(
        self, processor: PanoLLaVaProcessor, max_length: int | None = None, positions: int | None = None
    ) -> None:
        super().__init__(processor)
        self.max_length, self.positions = max_length, positions
        self.image = (processor.image_token_id,) * processor.num_image_tokens()
        self._turns: dict[tuple[str, str], Turn] = {}
        self._answers: dict[str, tuple[int, ...]] = {}

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """`pixel_values`, `input_ids`, `labels`, `position_ids`, a mask, and the notes.

        The mask is `segments` if a panorama has several questions, otherwise an ordinary `attention_mask`. A question
        that is too long is reported in the notes.

        Raises:
            ValueError: The chat template is unsuitable.
        """
        batch = super().__call__(items)
        if "pixel_values" in batch:
            try:
                packed = [self._pack(item) for item in items]
            except TextError as error:
                return {NOTES: {**batch[NOTES], "error": str(error)}}
            batch.update(pad(packed, self.processor.tokenizer.pad_token_id))
            if all(len(item.examples) == 1 for item in items):
                batch["attention_mask"] = (batch.pop("segments") >= 0).long()
        return batch

    def prompt_of(self, example: Example) -> list[int]:
        """The token ids of a question, with one placeholder per image token, up to where its answer begins."""
        return list(self._turn(example.question, example.answer).prompt)

    def faults(self, questions: Iterable[str], answers: Iterable[str]) -> Iterator[tuple[int, str]]:
        """The rows that cannot be trained, with the reason: too long, or not valid Unicode.

        Args:
            questions: The question of each row.
            answers: The answer of each row.
        """
        limits = [limit for limit in (self.max_length, self.positions) if limit is not None]
        empty = self._tokenised("", "")
        spare = min(limits, default=0) - len(empty.prompt) - len(empty.answer)
        for row, (question, answer) in enumerate(zip(questions, answers, strict=True)):
            # A token has at least a quarter of a byte, so most texts need not be tokenised here.
            size = largest_size(question + answer)
            if size is not None and (not limits or 4 * size < spare):
                continue
            try:
                self._check(self._tokenised(question, answer))
            except TextError as error:
                yield row, str(error)

    def length(self, question: str, answer: str) -> int:
        """How many tokens a question takes with its panorama and its answer; 0 if it is not valid Unicode."""
        try:
            turn = self._tokenised(question, answer)
        except TextError:
            return 0
        return len(turn.prompt) + len(turn.answer)

    def _check(self, turn: Turn) -> None:
        length = len(turn.prompt) + len(turn.answer)
        if self.positions is not None and length > self.positions:
            raise TextError(
                f"the question is too long: {length} tokens, this model reads {self.positions} (with those of the "
                "panorama and the answer); shorten the row"
            )
        if self.max_length is not None and length > self.max_length:
            raise TextError(
                f"the question and its panorama take {length} tokens, more than max_length={self.max_length}"
            )

    def _pack(self, item: Item) -> Packed:
        turns = []
        for example in item.examples:
            try:
                turns.append(self._turn(example.question, example.answer))
                self._check(turns[-1])
            except TextError as error:
                raise TextError(f"{example.where}: {error}") from error
        packed = pack(turns)
        while self.max_length is not None and len(packed.input_ids) > self.max_length:
            turns = turns[:-1]
            packed = pack(turns)
        return packed

    def _turn(self, question: str, answer: str) -> Turn:
        """A question and its answer in tokens; they are kept, because the questions of a benchmark repeat."""
        key = (question, answer)
        if key not in self._turns:
            if len(self._turns) >= MAX_TURNS:
                self._turns.clear()
            self._turns[key] = self._tokenised(question, answer)
        return self._turns[key]

    def _tokenised(self, question: str, answer: str) -> Turn:
        prompt = self.processor.prompt(question)
        # The placeholder is one token, whose id is repeated: the tokenizer would read the same token many times.
        ids = self.processor.prompt_ids(prompt)
        place = ids.index(self.processor.image_token_id)
        return Turn((*ids[:place], *self.image, *ids[place + 1 :]), self._answer_ids(question, answer, prompt))

    def _answer_ids(self, question: str, answer: str, prompt: str) -> tuple[int, ...]:
        """The tokens of an answer, apart from the prompt: `generate` continues after the tokens of the prompt."""
        # Templates look for marks in the messages before an answer, such as <tool_response>, but not for words.
        is_plain = not any(mark in question for mark in "<>[]{}")
        if is_plain and answer in self._answers:
            return self._answers[answer]
        whole = self.processor.prompt(question, answer)
        if not whole.startswith(prompt):
            raise ValueError(
                "the chat template writes the prompt differently when an answer follows, so the answer cannot be "
                f"separated from it: {whole!r} does not begin with {prompt!r}"
            )
        ids = self.processor.prompt_ids(whole[len(prompt) :], add_special_tokens=False)
        end = self.processor.tokenizer.eos_token_id
        if end is not None:  # the model stops there, so tokens that the template writes after it are not trained
            ids = [*ids[: ids.index(end)], end] if end in ids else [*ids, end]
        if is_plain:
            if len(self._answers) >= MAX_TURNS:
                self._answers.clear()
            self._answers[answer] = tuple(ids)
        return tuple(ids)
