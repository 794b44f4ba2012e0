"""`explain`: which parts of the sphere an answer of a model rests on, and what finding that out costs."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from panollava_hf._errors import ChatError
from panollava_hf._shown import shown
from panollava_hf.asking import Answerer, Budget, Cost
from panollava_hf.asking._chat import Request
from panollava_hf.asking._cost import Usage, estimate
from panollava_hf.asking._messages import check_question
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies import native_messages
from panollava_hf.evidence._evidence import Evidence
from panollava_hf.evidence._found import Found, OnStep
from panollava_hf.evidence._gradient import STEPS, by_gradient
from panollava_hf.evidence._left_out import by_views, parts_of
from panollava_hf.evidence._occlusion import PARTS, by_occlusion
from panollava_hf.evidence._scores import prompt_of
from panollava_hf.evidence._sphere import normalised, uniform
from panollava_hf.evidence._support import support_of

#: The methods: the first for PanoLLaVA checkpoints, the last for all other models.
METHODS = ("gradient", "occlusion", "views")


def explain(
    answerer: Answerer,
    prepared: Panorama,
    question: str,
    answer: str | None = None,
    *,
    method: str | None = None,
    max_new_tokens: int | None = None,
    budget: Budget | None = None,
    on_step: OnStep | None = None,
) -> Evidence:
    """Which parts of the sphere an answer rests on.

    Args:
        answerer: The model.
        prepared: The panorama: what `Answerer.prepare` returned, or takes.
        question: The question.
        answer: The answer to explain; None asks the model first.
        method: "gradient" (integrated gradients) or "occlusion" (parts of the sphere are blurred) for PanoLLaVA
            checkpoints in this process, "views" (the question is asked again without each view) for all models.
            Default: "gradient" where it is possible, else "views".
        max_new_tokens: Maximum length of an answer, in tokens.
        budget: The most calls and tokens, without those of the answer; checked before anything runs.
        on_step: Called with the number of finished steps and of all steps. What it raises ends the work.

    Raises:
        PanoramaError: The panorama cannot be read.
        TextError: The question is empty, longer than the model reads, or not valid Unicode.
        ChatError: The model does not answer, reports that it does not know something, or cannot take the method; or
            the budget does not suffice.

    Example:
        >>> import torch
        >>> from panollava_hf import Answerer
        >>> from panollava_hf.evidence import explain
        >>> answerer = Answerer.load("embedded")
        >>> gray = torch.full((3, 64, 128), 127, dtype=torch.uint8)
        >>> evidence = explain(answerer, answerer.prepare(gray), "What colour is the cube?", "red")
        >>> evidence.map.shape, evidence.method, round(evidence.mass(0, 0, 180), 3)
        (torch.Size([90, 180]), 'gradient', 1.0)
    """
    started = time.perf_counter()
    check_question(question)
    method = checked_method(answerer, method)
    panorama = answerer.prepare(prepared)
    if budget is not None:
        budget.check(explain_cost(answerer, panorama, [question], method=method, max_new_tokens=max_new_tokens))
    calls = 0
    if answer is None:
        answered = answerer.answer(panorama, question, max_new_tokens=max_new_tokens)
        if answered.unknown:
            raise ChatError(f"{answerer.name}: no answer to explain: {answered.unknown}")
        answer, calls = answered.text, answered.calls
    found = _found(answerer, panorama, (question, answer), method, max_new_tokens, on_step or _nothing)
    density = normalised(found.values)
    note = found.note
    if density is None:
        density, note = uniform(), note or "no part of the panorama makes the model surer of this answer"
    seconds = time.perf_counter() - started
    return Evidence(density, method, question, answer, seconds, calls + found.calls, _pixels(panorama.image), note)


def explain_cost(
    answerer: Answerer,
    prepared: Panorama,
    questions: Sequence[str],
    *,
    method: str | None = None,
    max_new_tokens: int | None = None,
) -> Cost:
    """What `explain` will cost, without running the model and without the answers themselves.

    A step of the methods "gradient" and "occlusion" counts as a call that generates nothing.

    Args:
        answerer: The model.
        prepared: The panorama, as in `explain`.
        questions: The questions.
        method: As in `explain`.
        max_new_tokens: As in `explain`.

    Raises:
        PanoramaError: The panorama cannot be read.
        TextError: A question is empty, longer than the model reads, or not valid Unicode.
        ChatError: The model cannot take the method.

    Example:
        >>> import torch
        >>> from panollava_hf import Answerer
        >>> from panollava_hf.evidence import explain_cost
        >>> panorama = torch.zeros(3, 64, 128, dtype=torch.uint8)
        >>> explain_cost(Answerer.load("embedded"), panorama, ["What colour is the cube?"]).calls
        8
    """
    method = checked_method(answerer, method)
    panorama, chat = answerer.prepare(prepared), answerer.chat
    look = answerer.look_for(max_new_tokens)
    plain = estimate(chat, answerer.strategy, panorama, questions, look)
    each = []
    for question, answer in zip(questions, plain.questions, strict=True):
        if method == "views":
            _, parts = parts_of(answerer, panorama, look)
            without = [estimate(chat, answerer.strategy, panorama, [question], part.look).total for part in parts]
            each.append(sum(without, answer if support_of(answerer)[1] else Usage()))
        else:
            tokens = chat.count(Request(native_messages(panorama, question), 1))
            times = STEPS if method == "gradient" else PARTS + 1
            image, prompt = (None if count is None else times * count for count in (tokens.image, tokens.prompt))
            each.append(Usage(times, times, image, prompt, 0))
    steps = {"explain": sum(each, Usage())}
    return Cost(answerer.strategy, plain.views, plain.size, tuple(each), steps)


def checked_method(answerer: Answerer, method: str | None) -> str:
    """The method, or the default for this model.

    Raises:
        ChatError: There is no such method, or the model cannot take it.
    """
    chat = answerer.chat
    inside = chat.family.reads_panoramas and chat.model is not None
    if method is None:
        return METHODS[0] if inside else METHODS[-1]
    if method not in METHODS:
        raise ChatError(f"unknown method {shown(method)}; expected one of {', '.join(METHODS)}")
    if method != "views" and not inside:
        raise ChatError(
            f"{chat.name}: method {method} needs a PanoLLaVA checkpoint in this process; use method views, which works "
            "with every model"
        )
    return method


def _found(
    answerer: Answerer,
    panorama: Panorama,
    asked: tuple[str, str],
    method: str,
    max_new_tokens: int | None,
    on_step: OnStep,
) -> Found:
    """Relevance by a method."""
    if method == "views":
        return by_views(answerer, panorama, *asked, answerer.look_for(max_new_tokens), on_step)
    prompt = prompt_of(answerer.chat, *asked)
    return (by_gradient if method == "gradient" else by_occlusion)(answerer.chat, panorama, prompt, on_step)


def _pixels(image: Tensor) -> Tensor:
    """The panorama as uint8; some processors keep values from 0 to 1."""
    return (image * 255).round().clamp(0, 255).to(torch.uint8) if image.is_floating_point() else image


def _nothing(done: int, total: int) -> None:
    """Ignore how far the work is."""
