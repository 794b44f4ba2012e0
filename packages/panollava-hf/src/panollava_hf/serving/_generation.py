"""Run the model on one request; pieces of the answer are handed out while it is generated."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from panollava_geometry import PanoramaError, load_equirectangular
from transformers import StoppingCriteria, StoppingCriteriaList

from panollava_hf._errors import TextError
from panollava_hf.asking._unknown import Unknown
from panollava_hf.asking.models._lengths import answer_length, new_tokens
from panollava_hf.asking.models._panollava import PanoLLaVaChat
from panollava_hf.serving._answer_text import AnswerText
from panollava_hf.serving._request import ChatRequest
from panollava_hf.serving._settings import RequestError

#: No view of a model needs a wider panorama; `panollava ask` reads files in the same way.
MAX_WIDTH = 16_384


@dataclass(frozen=True)
class Ended:
    """How an answer ended.

    Attributes:
        reason: "stop" at its end or a stop text, "length" at the maximum length.
        prompt_tokens: Tokens of the prompt, those of its panoramas included.
        image_tokens: Tokens of the panoramas.
        new_tokens: Tokens that were generated.
        unknown: Why there is no answer: the checkpoint does not know a word, the question or the image.
    """

    reason: Literal["stop", "length"]
    prompt_tokens: int
    image_tokens: int
    new_tokens: int
    unknown: Unknown = field(default_factory=Unknown)


@torch.no_grad()
def generate(
    chat: PanoLLaVaChat, request: ChatRequest, on_text: Callable[[str], None], is_cancelled: Callable[[], bool]
) -> Ended:
    """Answer a request.

    Args:
        chat: The checkpoint.
        request: The request.
        on_text: Receives the pieces of the answer; an empty one as soon as the request has been read.
        is_cancelled: Whether nobody waits for the answer any more. It is looked at after each token.

    Raises:
        RequestError: A panorama cannot be read, or the prompt is too long.
    """
    model, processor = chat.model, chat.processor
    try:
        panoramas = [load_equirectangular(image, max_width=MAX_WIDTH) for image in request.images]
        prompt = processor.apply_chat_template(request.messages, add_generation_prompt=True, tokenize=False)
        inputs: Any = processor(
            images=panoramas or None, text=[prompt], text_kwargs={"verbose": False}, return_tensors="pt"
        )
        length = inputs["input_ids"].shape[1]
        most = new_tokens(model.config, length, request.max_tokens)
    except (PanoramaError, TextError) as error:
        raise RequestError(str(error)) from error
    del panoramas
    on_text("")
    image_tokens = int((inputs["input_ids"] == processor.image_token_id).sum())
    if unknown := chat.unknown(request.question, inputs.get("pixel_values")):
        return Ended("stop", length, image_tokens, 0, unknown)
    text = AnswerText(lambda ids: str(processor.tokenizer.decode(ids, skip_special_tokens=True)), request.stop)
    watch = _Watch(text, length, on_text, is_cancelled)
    with nullcontext() if request.seed is None else _seeded(request.seed, model.device):
        found = model.generate(
            **inputs.to(model.device),
            **({"do_sample": False} | request.sampling),
            num_beams=1,
            max_new_tokens=most,
            stopping_criteria=StoppingCriteriaList([watch]),
        )
    ids = found[0, length:].tolist()
    on_text(text.end(ids))
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    finished = text.stopped or any(token in ends for token in ids)
    return Ended("stop" if finished else "length", length, image_tokens, answer_length(ids, ends))


class _Watch(StoppingCriteria):
    """Sees each token: hands out text, and ends the generation at a stop text or when nobody waits."""

    def __init__(
        self, text: AnswerText, start: int, on_text: Callable[[str], None], is_cancelled: Callable[[], bool]
    ) -> None:
        self._text, self._start, self._on_text, self._is_cancelled = text, start, on_text, is_cancelled

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        piece = self._text.add(input_ids[0, self._start :].tolist())
        if piece:
            self._on_text(piece)
        done = self._text.stopped or self._is_cancelled()
        return torch.full((len(input_ids),), done, device=input_ids.device, dtype=torch.bool)


class _seeded:
    """A block with a seed of its own; the generators of torch are as before afterwards."""

    def __init__(self, seed: int, device: torch.device) -> None:
        cuda = [device] if device.type == "cuda" else []
        self._seed, self._kept = seed, torch.random.fork_rng(devices=cuda)

    def __enter__(self) -> None:
        self._kept.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *error: Any) -> None:
        self._kept.__exit__(*error)
