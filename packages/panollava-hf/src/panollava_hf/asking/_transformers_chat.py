"""Image-text-to-text models of transformers as a `Chat`.

One call of `apply_chat_template` renders, tokenises and processes the images: in two steps many families get a second
beginning-of-sequence token. Every key that the processor returns goes to the model.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, TextStreamer

from panollava_hf._errors import ChatError, boundary
from panollava_hf.asking._chat import Message, OnText, Reply, without_reasoning
from panollava_hf.asking._families import Family, family_of


class TransformersChat:
    """A model of transformers that reads images and text.

    Args:
        model: The model, on its device.
        processor: Its processor.
        name: Its name in reports.
        batch_size: Conversations that are answered together.
    """

    def __init__(self, model: Any, processor: Any, name: str, *, batch_size: int = 4) -> None:
        self.model, self.processor, self.name, self.batch_size = model, processor, name, batch_size
        self.family: Family = family_of(model.config.model_type)
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    @classmethod
    def load(
        cls, name: str, *, device: str | None = None, dtype: str = "auto", device_map: Any = None, batch_size: int = 4
    ) -> "TransformersChat":
        """Load a model and its processor.

        Args:
            name: Folder or Hub id.
            device: Device of the model; None leaves it where `device_map` or transformers puts it.
            dtype: Floating-point type; "auto" keeps the stored one.
            device_map: As in `from_pretrained`.
            batch_size: Conversations that are answered together.

        Raises:
            ChatError: It cannot be loaded, or does not read images.
        """
        with boundary(ChatError, f"{name}: cannot be loaded", "expected an image-text-to-text model of transformers"):
            processor = AutoProcessor.from_pretrained(name, trust_remote_code=False)
            model = AutoModelForImageTextToText.from_pretrained(
                name, dtype=dtype, device_map=device_map, trust_remote_code=False
            )
        if getattr(processor, "image_processor", None) is None:
            raise ChatError(f"{name}: this model reads no images; choose an image-text-to-text model")
        return cls(model.eval() if device is None else model.eval().to(device), processor, name, batch_size=batch_size)

    @torch.inference_mode()
    def reply(
        self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int, on_text: OnText | None = None
    ) -> list[Reply]:
        """Reply to several conversations, in order; see `Chat.reply`."""
        if on_text is not None and len(conversations) != 1:
            raise ValueError(f"one conversation can be streamed at a time, got {len(conversations)}")
        replies: list[Reply] = []
        for start in range(0, len(conversations), self.batch_size):
            replies += self._batch(conversations[start : start + self.batch_size], max_new_tokens, on_text)
        return replies

    def _batch(
        self, conversations: Sequence[Sequence[Message]], max_new_tokens: int, on_text: OnText | None
    ) -> list[Reply]:
        inputs = self.inputs(conversations)
        length = inputs["input_ids"].shape[1]
        with boundary(ChatError, f"{self.name}: no answer", "try fewer or smaller views (--view-size, --strategy)"):
            streamer = None if on_text is None else _Streamer(self.processor.tokenizer, on_text)
            ids = self.model.generate(
                **inputs.to(self.model.device, self.model.dtype),
                do_sample=False,
                max_new_tokens=max_new_tokens,
                streamer=streamer,
            )[:, length:]
        replies = []
        for row, mask in zip(ids, inputs["attention_mask"], strict=True):
            text, reasoning = without_reasoning(self.processor.tokenizer.decode(row, skip_special_tokens=True))
            padding = self.processor.tokenizer.pad_token_id
            replies.append(Reply(text, int(mask.sum()), int((row != padding).sum()), reasoning))
        return replies

    def inputs(self, conversations: Sequence[Sequence[Message]]) -> Any:
        """What the model reads for several conversations, padded on the left.

        Raises:
            ChatError: A prompt holds more images than the family takes, or the processor refuses it.
        """
        limit = self.family.max_images
        for messages in conversations:
            images = sum(part["type"] == "image_url" for message in messages for part in _parts(message))
            if limit is not None and images > limit:
                raise ChatError(
                    f"{self.name} takes {limit} image in a prompt, got {images}; choose --strategy describe or erp"
                )
        with boundary(ChatError, f"{self.name}: its processor refuses the prompt", "try --strategy describe or erp"):
            return self.processor.apply_chat_template(
                [_with_images(messages) for messages in conversations],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                padding=True,
                **self.family.settings,
            )

    def image_tokens(self, inputs: Any) -> int:
        """Image tokens of the first prompt, counted in the processed prompt."""
        token: int | None = getattr(self.model.config, "image_token_id", None)
        return 0 if token is None else int((inputs["input_ids"][0] == token).sum())


class _Streamer(TextStreamer):
    """Hands over text as it is generated."""

    def __init__(self, tokenizer: Any, on_text: OnText) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._on_text = on_text

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self._on_text(text)


def _parts(message: Message) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _with_images(messages: Sequence[Message]) -> list[Message]:
    """The messages with Pillow images in place of data URLs."""
    return [{**message, "content": [_with_image(part) for part in _parts(message)]} for message in messages]


def _with_image(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] != "image_url":
        return part
    data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
    return {"type": "image", "image": Image.open(io.BytesIO(data)).convert("RGB")}
