"""A data collator for the Trainer of transformers and for TRL: rows of conversations to batches, answers as labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from panollava_hf._shown import shown
from panollava_hf.image_processing_panollava import flatten_images
from panollava_hf.processing_panollava import PanoLLaVaProcessor

__all__ = ["PanoLLaVaDataCollator"]

IGNORE = -100
#: Types of blocks that stand for an image, and the keys under which they carry it.
IMAGE_BLOCKS = ("image", "image_url")
IMAGE_KEYS = ("image", "url", "path", "image_url")
ROWS = "a row needs 'messages', 'prompt' and 'completion' (lists of messages), or 'question' and 'answer'"


class PanoLLaVaDataCollator:
    """Conversations about panoramas as batches in which only the assistant's turns have labels.

    A row has `messages`, or `prompt` and `completion` as lists of messages, or `question` and `answer`. Its panoramas
    are in `images` (a list) or `image`, in the order of the image blocks, or in the blocks themselves. Where no message
    has an image block, they come before the text of the first user message.

    An answer is tokenised separately from what precedes it, as `generate` reads it, and ends with the tokenizer's end
    token, which is trained.

    Args:
        processor: The checkpoint's processor.
        max_length: Largest number of tokens in a row, those of its panoramas included; longer rows are an error.
        pad_to_multiple_of: Batches are padded to a multiple of this length.

    Example:
        >>> from PIL import Image
        >>> from panollava_hf import PanoLLaVaProcessor, default_checkpoint
        >>> from panollava_hf.training import PanoLLaVaDataCollator
        >>> collator = PanoLLaVaDataCollator(PanoLLaVaProcessor.from_pretrained(default_checkpoint()))
        >>> batch = collator([{"image": Image.new("RGB", (128, 64)), "question": "Where?", "answer": "Left."}])
        >>> sorted(batch)
        ['attention_mask', 'input_ids', 'labels', 'pixel_values']
    """

    def __init__(
        self, processor: PanoLLaVaProcessor, max_length: int | None = None, pad_to_multiple_of: int | None = None
    ) -> None:
        self.processor, self.max_length, self.multiple = processor, max_length, pad_to_multiple_of or 1

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """A batch, padded on the right.

        Returns:
            `input_ids`, `attention_mask` and `labels` `[rows, length]`, and `pixel_values`
            `[panoramas, views, 3, h, w]` if a row has a panorama.

        Raises:
            ValueError: A row lacks a column or has one of another form, has another number of panoramas than image
                blocks, has no answer, is longer than `max_length`, or the chat template is unsuitable.
        """
        if not rows:
            raise ValueError("the batch has no rows")
        images: list[Any] = []
        sequences = []
        for number, row in enumerate(rows):
            try:
                messages, given = _conversation(row)
                sequences.append(self._tokenised(messages))
            except ValueError as error:
                raise ValueError(f"row {number} of the batch: {error}") from error
            images += given
        length = -(-max(len(ids) for ids, _ in sequences) // self.multiple) * self.multiple
        pad = self.processor.tokenizer.pad_token_id
        # Padding has label -100 and mask 0, so which id it has does not matter.
        fill = {"input_ids": 0 if pad is None else pad, "labels": IGNORE, "attention_mask": 0}
        columns = {
            "input_ids": [ids for ids, _ in sequences],
            "labels": [labels for _, labels in sequences],
            "attention_mask": [[1] * len(ids) for ids, _ in sequences],
        }
        batch = {
            name: torch.tensor([values + [fill[name]] * (length - len(values)) for values in column])
            for name, column in columns.items()
        }
        if images:
            batch["pixel_values"] = self.processor.image_processor(images, return_tensors="pt")["pixel_values"]
        return batch

    def _tokenised(self, messages: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
        """The ids and labels of a conversation."""
        ids: list[int] = []
        labels: list[int] = []
        written = ""
        turns = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        if turns[:1] == [0]:
            raise ValueError("the conversation begins with the assistant; begin with a message of the user")
        for place in turns:
            prompt = self._text(messages[:place], add_generation_prompt=True)
            whole = self._text(messages[: place + 1])
            if not (prompt.startswith(written) and whole.startswith(prompt)):
                raise ValueError(
                    "the chat template writes earlier turns differently when an answer follows, so answers cannot be "
                    "separated from prompts; set another processor.chat_template"
                )
            before = self._ids(prompt[len(written) :], first=not ids)
            answer = self._ids(whole[len(prompt) :])
            trained = self._trained(answer, last=place == turns[-1])
            rest = [] if place == turns[-1] else answer[len(trained) :]
            ids += [*before, *trained, *rest]
            labels += [*([IGNORE] * len(before)), *trained, *([IGNORE] * len(rest))]
            written = whole
        if not turns:
            raise ValueError("the conversation has no assistant message, so there is nothing to train")
        if self.max_length is not None and len(ids) > self.max_length:
            raise ValueError(
                f"{len(ids)} tokens with those of its panoramas, more than max_length={self.max_length}; shorten or "
                "remove the row"
            )
        return ids, labels

    def _text(self, messages: list[dict[str, Any]], *, add_generation_prompt: bool = False) -> str:
        text: str = self.processor.apply_chat_template(
            messages, add_generation_prompt=add_generation_prompt, tokenize=False
        )
        return text

    def _ids(self, text: str, *, first: bool = False) -> list[int]:
        start = self.processor.tokenizer.bos_token
        special = first and not (start is not None and text.startswith(start))
        image = self.processor.image_token
        expanded = text.replace(image, image * self.processor.num_image_tokens())
        return list(self.processor.prompt_ids(expanded, add_special_tokens=special))

    def _trained(self, answer: list[int], *, last: bool) -> list[int]:
        """The part of an answer up to the end token, which `generate` stops at; the last answer always has one."""
        end = self.processor.tokenizer.eos_token_id
        if end in answer:
            return [*answer[: answer.index(end)], end]
        return [*answer, end] if last and end is not None else answer


def _conversation(row: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Any]]:
    """The messages of a row, contents as lists of blocks, and its panoramas in the order of the blocks."""
    if not isinstance(row, Mapping):
        raise ValueError(f"a row must be a dict of columns, got {shown(row)}")
    if row.get("messages") is not None:
        messages = row["messages"]
    elif isinstance(row.get("prompt"), (list, tuple)) and isinstance(row.get("completion"), (list, tuple)):
        messages = [*row["prompt"], *row["completion"]]
    elif row.get("question") is not None and row.get("answer") is not None:
        if not (isinstance(row["question"], str) and isinstance(row["answer"], str)):
            both = f"{shown(row['question'])} and {shown(row['answer'])}"
            raise ValueError(f"'question' and 'answer' must be texts, got {both}; convert them with str()")
        messages = [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": row["answer"]}]
    else:
        raise ValueError(f"{ROWS}, got {', '.join(map(repr, list(row)[:8])) or 'no columns'}")
    if not isinstance(messages, (list, tuple)):
        raise ValueError(f"'messages' must be a list of messages, got {shown(messages)}")
    images = row.get("image") if row.get("images") is None else row["images"]
    given = [image for image in flatten_images(images) if image is not None]
    structured = [_message(message) for message in messages]
    blocks = [block for message in structured for block in message["content"] if block["type"] == "image"]
    if not blocks and given:
        first = next((message for message in structured if message["role"] == "user"), None)
        if first is None:
            raise ValueError(f"{len(given)} panoramas but no user message; add one")
        blocks = [{"type": "image"} for _ in given]
        first["content"] = [*blocks, *first["content"]]
    carried = [next((block[key] for key in IMAGE_KEYS if block.get(key) is not None), None) for block in blocks]
    carried = [image.get("url") if isinstance(image, Mapping) and "url" in image else image for image in carried]
    empty = sum(image is None for image in carried)
    if empty != len(given):
        raise ValueError(
            f"{len(given)} panoramas in 'images' or 'image' for {empty} image blocks without one; give one for each"
        )
    rest = iter(given)
    return structured, [next(rest) if image is None else image for image in carried]


def _message(message: Any) -> dict[str, Any]:
    """A message with its content as a list of blocks; `datasets` fills missing keys with None."""
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise ValueError(f"a message must be a dict with 'role' and 'content', got {shown(message)}")
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, (list, tuple, type(None))):
        raise ValueError(f"the content of a message must be a text or a list of blocks, got {shown(content)}")
    return {**message, "content": [_block(block) for block in content or ()]}


def _block(block: Any) -> dict[str, Any]:
    kind = block.get("type") if isinstance(block, Mapping) else None
    if kind not in ("text", *IMAGE_BLOCKS) or (kind == "text" and not isinstance(block.get("text"), str)):
        raise ValueError(
            f"a block of a message must be {{'type': 'text', 'text': …}} or {{'type': 'image'}}, got {shown(block)}"
        )
    kept = {key: value for key, value in block.items() if value is not None}
    return {**kept, "type": "text" if kind == "text" else "image"}
