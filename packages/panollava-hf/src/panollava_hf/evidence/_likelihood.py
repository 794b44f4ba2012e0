"""How likely a given answer is for a model of transformers."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from panollava_hf._errors import ChatError
from panollava_hf._quiet import quiet
from panollava_hf.asking._chat import Message
from panollava_hf.asking.models._transformers_calls import memory_boundary


def gives_likelihoods(chat: Any) -> bool:
    """Whether this is a model of transformers in this process, which gives the probability of any text."""
    return chat.model is not None and not chat.family.reads_panoramas and hasattr(chat, "inputs")


@torch.inference_mode()
def log_likelihood(chat: Any, messages: Sequence[Message], answer: str) -> float:
    """Logarithm of the probability that the model gives an answer after these messages.

    Args:
        chat: A `TransformersChat`.
        messages: The messages.
        answer: The answer.

    Raises:
        ChatError: The model does not take the prompt, or returns no probabilities of tokens.
    """
    inputs = chat.inputs([messages])
    chat.drop_unread(inputs)
    new = torch.tensor(chat.processor.tokenizer(answer, add_special_tokens=False)["input_ids"] or [0])
    length = inputs["input_ids"].shape[1]
    for name, value in inputs.items():
        if isinstance(value, Tensor) and tuple(value.shape[:2]) == (1, length):  # one value for each token
            inputs[name] = torch.cat([value, value[:, -1:].repeat(1, len(new), *[1] * (value.ndim - 2))], 1)
    inputs["input_ids"][:, length:] = new
    embedding = chat.model.get_input_embeddings().weight
    device = torch.device("cpu") if embedding.device.type == "meta" else embedding.device
    keep = (
        {"logits_to_keep": len(new) + 1} if "logits_to_keep" in inspect.signature(chat.model.forward).parameters else {}
    )
    problem = f"{chat.name}: it gives no probability of an answer"
    with memory_boundary(chat.name, chat.device, problem, "serve it and pass --base-url"), quiet():
        output = chat.model(**inputs.to(device, chat.model.dtype), **keep, return_dict=True)
    logits = getattr(output, "logits", None)
    if logits is None or logits.ndim != 3 or logits.shape[1] <= len(new):
        raise ChatError(f"{problem}; its output has no logits for each token")
    scores = logits[0, -len(new) - 1 : -1].float().log_softmax(-1)
    return float(scores.gather(-1, new.to(scores.device)[:, None]).sum())
