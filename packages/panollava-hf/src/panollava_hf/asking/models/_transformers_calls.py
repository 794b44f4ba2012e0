"""What surrounds the calls of transformers: text that is handed over while it is written, and errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TextStreamer

from panollava_hf._errors import ChatError, boundary
from panollava_hf.asking._chat import OnText

#: What PyTorch says where memory is short, besides its own class of error.
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def without_frames(error: ChatError) -> ChatError:
    """An error that will be kept, without the frames of what caused it: they hold tensors on the device."""
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__
    return error


def hand_over(text: str, on_text: OnText) -> None:
    """Hand over a piece of text, unless it is empty."""
    if text:
        on_text(text)


class CallbackError(BaseException):
    """Carries an error of the caller's `on_text` through the boundary around `generate`."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Streamer(TextStreamer):
    """Hands over text as it is generated."""

    def __init__(self, tokenizer: Any, on_text: OnText) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._on_text = on_text

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if not text:
            return
        try:
            self._on_text(text)
        except Exception as error:
            raise CallbackError(error) from error


@contextmanager
def memory_boundary(name: str, device: str, problem: str, remedy: str) -> Iterator[None]:
    """The boundary of a call of another library, with a remedy of its own for a lack of memory."""
    with boundary(ChatError, f"{name}: {problem}", remedy):
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            text = str(error)
            full = isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in text for sign in _NO_MEMORY)
            if not full:
                raise
            raise ChatError(
                f"{name}: there is not enough memory on {device}; use a smaller --view-size, --strategy describe, "
                "--dtype bfloat16 or a smaller model"
            ) from error
