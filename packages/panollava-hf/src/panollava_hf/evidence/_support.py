"""How strongly a model supports an answer about a panorama: measured for local models, else by asking again."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from panollava_hf._errors import ChatError
from panollava_hf.asking import Answerer
from panollava_hf.asking._chat import OnText, Reply, Request
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies import Finished, Look, run, strategy_for
from panollava_hf.evidence._likelihood import gives_likelihoods, log_likelihood
from panollava_hf.evidence._scores import margin, prompt_of

#: A panorama and how it is shown.
Shown = tuple[Panorama, Look]
#: Words; letters of scripts without blanks count as words.
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|\w+")


@dataclass(frozen=True)
class Support:
    """How strongly a model supports an answer.

    Attributes:
        value: More is stronger: a difference of logits, a logarithm of a probability, or a share of words.
        calls: Calls of the model.
        text: The answer that the model gave instead, if it was asked again.
    """

    value: float
    calls: int
    text: str | None = None


def support_of(answerer: Answerer) -> tuple[Callable[[Answerer, str, str, Sequence[Shown]], list[Support]], bool]:
    """How this model's support is found, and whether that is a measurement (otherwise answers are compared)."""
    chat = answerer.chat
    if chat.family.reads_panoramas and chat.model is not None:
        return _by_margin, True
    return (_by_likelihood, True) if gives_likelihoods(chat) else (_by_text, False)


@torch.inference_mode()
def _by_margin(answerer: Answerer, question: str, answer: str, asked: Sequence[Shown]) -> list[Support]:
    """Of a PanoLLaVA checkpoint: by how much the answer is ahead of others, in logits."""
    chat: Any = answerer.chat
    prompt = prompt_of(chat, question, answer)
    pixels = [panorama.memo["pixel_values"].to(chat.model.device, chat.model.dtype) for panorama, _ in asked]
    return [Support(float(margin(chat.model, prompt, pixel_values=values)), 1) for values in pixels]


def _by_likelihood(answerer: Answerer, question: str, answer: str, asked: Sequence[Shown]) -> list[Support]:
    """Of a model of transformers: the logarithm of the probability of the answer."""
    chat = answerer.chat
    return [
        Support(log_likelihood(chat, one.outcome.messages, answer), len(one.replies))
        for one in _finished(answerer, _Fixed(chat, answer), question, asked)
        if not isinstance(one.outcome, ChatError)
    ]


def _by_text(answerer: Answerer, question: str, answer: str, asked: Sequence[Shown]) -> list[Support]:
    """Of any other model: the share of the answer's words that stay when it is asked again."""
    return [
        Support(same_words(answer, one.outcome.text), len(one.replies), one.outcome.text)
        for one in _finished(answerer, answerer.chat, question, asked)
        if not isinstance(one.outcome, ChatError)
    ]


def _finished(answerer: Answerer, chat: Any, question: str, asked: Sequence[Shown]) -> list[Finished]:
    """Ask about each panorama.

    Raises:
        ChatError: The model did not answer about one of them.
    """
    name = answerer.strategy
    found = run(chat, [strategy_for(name, look)(panorama, question, look) for panorama, look in asked])
    for one in found:
        if isinstance(one.outcome, ChatError):
            raise one.outcome
    return found


class _Fixed:
    """A model whose final answer is given; what strategies ask before it, such as descriptions, goes to the model."""

    def __init__(self, chat: Any, answer: str) -> None:
        self._chat, self._answer = chat, answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chat, name)

    def reply(self, requests: Sequence[Request], *, on_text: OnText | None = None) -> list[Reply | ChatError]:
        """Reply with the given answer to the final requests."""
        others = iter(self._chat.reply([request for request in requests if not request.final]))
        return [Reply(self._answer) if request.final else next(others) for request in requests]


def same_words(one: str, other: str) -> float:
    """The share of words that two texts have in common, from 0 to 1 (F1), whatever their order.

    Example:
        >>> same_words("Red.", "red"), same_words("a red cube", "a blue cube"), same_words("red", "green")
        (1.0, 0.6666666666666666, 0.0)
    """
    counts = [Counter(_WORD.findall(text.casefold())) for text in (one, other)]
    total = counts[0].total() + counts[1].total()
    return 2 * (counts[0] & counts[1]).total() / total if total else 1.0
