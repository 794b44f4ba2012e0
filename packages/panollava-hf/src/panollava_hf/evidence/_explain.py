"""`explain`: which parts of the sphere an answer of a model rests on."""

import time
from collections.abc import Callable
from typing import Any

from panollava_hf._errors import ChatError
from panollava_hf._shown import shown
from panollava_hf.asking import Answerer
from panollava_hf.asking._panorama import Panorama
from panollava_hf.evidence._evidence import Evidence
from panollava_hf.evidence._gradient import gradient_map
from panollava_hf.evidence._sphere import HEIGHT, uniform

#: The methods by name; the first that a model can take is the default.
METHODS = ("gradient",)
#: Called with the steps that are finished and their number. What it raises ends `explain`.
OnStep = Callable[[int, int], None]


def explain(
    answerer: Answerer,
    prepared: Panorama,
    question: str,
    answer: str | None = None,
    *,
    method: str | None = None,
    max_new_tokens: int | None = None,
    on_step: OnStep | None = None,
) -> Evidence:
    """Which parts of the sphere an answer rests on.

    Args:
        answerer: The model.
        prepared: The panorama, as `Answerer.prepare` returned it, or what that takes.
        question: The question.
        answer: The answer to explain; None asks the model first.
        method: A name in `METHODS`; default: the first that the model can take.
        max_new_tokens: Maximum length of the answer, in tokens.
        on_step: Called with the number of finished steps and of all steps. What it raises ends the work.

    Raises:
        PanoramaError: The panorama cannot be read.
        TextError: The question is longer than the model reads, or not valid Unicode.
        ChatError: The model does not answer, or cannot take the method.
    """
    started = time.perf_counter()
    if method is not None and method not in METHODS:
        raise ChatError(f"unknown method {shown(method)}; expected one of {', '.join(METHODS)}")
    panorama = answerer.prepare(prepared)
    calls = 0
    if answer is None:
        found = answerer.answer(panorama, question, max_new_tokens=max_new_tokens)
        answer, calls = found.text, found.calls
    values = gradient_map(answerer.chat, panorama, question, answer, HEIGHT)
    if on_step is not None:
        on_step(1, 1)
    note = "" if values is not None else "the answer does not depend on any part of the panorama"
    values = uniform(HEIGHT) if values is None else values
    seconds = time.perf_counter() - started
    return Evidence(values, "gradient", question, answer, seconds, calls + 1, _image(panorama), note)


def _image(panorama: Panorama) -> Any:
    return panorama.image
