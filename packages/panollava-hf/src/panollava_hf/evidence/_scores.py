"""How sure a PanoLLaVA checkpoint is of an answer."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from panollava_hf.asking.models._lengths import new_tokens


@dataclass(frozen=True)
class Prompt:
    """A question and its answer as token ids; the answer begins at `start`."""

    ids: Tensor
    start: int


def prompt_of(chat: Any, question: str, answer: str) -> Prompt:
    """The token ids of a question and its answer.

    Raises:
        TextError: They are longer than the model reads.
    """
    image_tokens = chat.processor.num_image_tokens()
    ids = chat._prompt(question, image_tokens)
    new = chat.processor.tokenizer(answer, add_special_tokens=False)["input_ids"]
    new = new[: new_tokens(chat.model.config, len(ids), max(len(new), 1))]
    return Prompt(torch.tensor(ids + new, device=chat.model.device), len(ids))


def margins(model: Any, pixels: Tensor, prompt: Prompt) -> Tensor:
    """By how much each token of the answer is ahead of the next likely one, in logits, `[B, tokens]`."""
    batch, length = len(pixels), len(prompt.ids) - prompt.start
    logits = (
        model(input_ids=prompt.ids[None].expand(batch, -1), pixel_values=pixels, logits_to_keep=length + 1)
        .logits[:, :-1]
        .float()
    )
    wanted = prompt.ids[prompt.start :].expand(batch, -1)[..., None]
    own = logits.gather(-1, wanted)
    others = logits.scatter(-1, wanted, float("-inf")).amax(-1, keepdim=True)
    return (own - others)[..., 0]
