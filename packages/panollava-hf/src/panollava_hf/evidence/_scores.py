"""How sure a PanoLLaVA checkpoint is of an answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from panollava_hf.asking.models._lengths import new_tokens


@dataclass(frozen=True)
class Prompt:
    """A question and its answer as token ids; the answer begins at `start`."""

    ids: Tensor
    start: int


def prompt_of(chat: Any, question: str, answer: str) -> Prompt:
    """The token ids of a question and its answer; an empty answer is the token that ends answers.

    Raises:
        TextError: They are longer than the model reads.
    """
    ids = chat._prompt(question, chat.processor.num_image_tokens())
    tokenizer = chat.processor.tokenizer
    new = tokenizer(answer, add_special_tokens=False)["input_ids"] or [tokenizer.eos_token_id or 0]
    new = new[: new_tokens(chat.model.config, len(ids), len(new))]
    return Prompt(torch.tensor(ids + new, device=chat.model.device), len(ids))


def margin(model: Any, prompt: Prompt, **images: Any) -> Tensor:
    """By how much the answer is ahead: the logit of each of its tokens minus that of the likeliest other, added up.

    The difference of logits does not saturate as a probability does, which is nearly 1 for any answer that the model is
    sure of.

    Args:
        model: The model.
        prompt: Question and answer.
        images: `pixel_values` or `mm_encoder_outputs` of the model.

    Returns:
        `[B]` float32.
    """
    (source,) = images.values()
    batch = len(source) if isinstance(source, Tensor) else len(source["image"].pooler_output)
    length = len(prompt.ids) - prompt.start
    output = model(input_ids=prompt.ids.expand(batch, -1), logits_to_keep=length + 1, return_dict=True, **images)
    logits = output.logits[:, :-1].float()
    wanted = prompt.ids[prompt.start :].expand(batch, -1)[..., None]
    others = logits.scatter(-1, wanted, float("-inf")).amax(-1)
    return (logits.gather(-1, wanted)[..., 0] - others).sum(-1)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """The parameters need no gradients in this block, which halves the memory of a backward pass."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
