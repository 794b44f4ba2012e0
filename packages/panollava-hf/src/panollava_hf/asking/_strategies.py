"""Strategies: what a model is shown of a panorama, and in how many calls. Each is a small function over a `Chat`.

| strategy | calls | what the model sees |
|---|---|---|
| `views` | 1 | all labelled views and the question |
| `describe` | views + 1 | each view by itself, then the descriptions as text, the whole panorama and the question |
| `zoom` | views + 2 + regions | as `describe`, then regions that it names, cut out and kept or dropped by a yes/no question |
| `erp` | 1 | the equirectangular image as it is: the baseline |

`describe` and `zoom` follow the two steps measured by ODI-Bench's authors (https://arxiv.org/abs/2510.11549): per-view
descriptions bring most of the gain, and zooming without the yes/no question loses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from panollava_geometry import EquirectangularView, PerspectiveView, ViewPlan, extract_views
from torch import Tensor

from panollava_hf.asking._chat import Chat, Message, OnText, Reply
from panollava_hf.asking._directions import label
from panollava_hf.asking._messages import FRAME_SENTENCE, Labels, view_messages

_WHOLE_WIDTH = 1024


@dataclass(frozen=True)
class Look:
    """How a panorama is shown.

    Attributes:
        plan: The views.
        size: Height and width of a view in pixels.
        labels: Where the direction of a view is written.
        system: A system prompt; None adds none.
        max_new_tokens: Maximum length of the answer, in tokens.
        max_description_tokens: Maximum length of the description of one view, in tokens.
    """

    plan: ViewPlan
    size: tuple[int, int]
    labels: Labels = "text"
    system: str | None = None
    max_new_tokens: int = 256
    max_description_tokens: int = 128


@dataclass(frozen=True)
class Outcome:
    """An answer and how it was found.

    Attributes:
        text: The answer.
        views: The views that the model saw in the last call, `[V, 3, h, w]` uint8.
        plan: Their directions.
        messages: The messages of the last call.
        replies: The replies of all calls, in order.
    """

    text: str
    views: Tensor
    plan: ViewPlan
    messages: list[Message]
    replies: list[Reply] = field(default_factory=list)


#: `(chat, panorama [3, H, 2H] uint8, question, look, on_text)` → outcome.
Strategy = Callable[[Chat, Tensor, str, Look, OnText | None], Outcome]


def views(chat: Chat, panorama: Tensor, question: str, look: Look, on_text: OnText | None = None) -> Outcome:
    """All labelled views and the question in one call."""
    shown = extract_views(panorama, look.plan, look.size)
    messages = view_messages(
        shown, [label(view) for view in look.plan], question, labels=look.labels, system=look.system
    )
    return _last(chat, messages, shown, look.plan, look, on_text)


def erp(chat: Chat, panorama: Tensor, question: str, look: Look, on_text: OnText | None = None) -> Outcome:
    """The equirectangular image as it is, reduced to 1024 pixels a side, and the question."""
    plan, whole = _whole(panorama)
    sentence = "The image is a 360° panorama in equirectangular projection: its left and right edges meet behind you."
    messages = view_messages(
        whole, ["the whole panorama"], question, labels="text", frame_sentence=sentence, system=look.system
    )
    return _last(chat, messages, whole, plan, look, on_text)


def describe(chat: Chat, panorama: Tensor, question: str, look: Look, on_text: OnText | None = None) -> Outcome:
    """Each view described by itself, then the descriptions, the whole panorama and the question."""
    replies, notes = _descriptions(chat, panorama, question, look)
    plan, whole = _whole(panorama)
    messages = view_messages(
        whole, ["the whole panorama"], question, labels="text", frame_sentence=notes, system=look.system
    )
    return _last(chat, messages, whole, plan, look, on_text, replies)


def _descriptions(chat: Chat, panorama: Tensor, question: str, look: Look) -> tuple[list[Reply], str]:
    """The replies that describe each view, and a text that lists them with their directions."""
    shown = extract_views(panorama, look.plan, look.size)
    names = [label(view) for view in look.plan]
    request = f"Describe what this view shows in two or three sentences. It must help to answer: {question}"
    conversations = [
        view_messages(
            view[None],
            [name],
            request,
            labels=look.labels,
            frame_sentence="This is one view of a 360° panorama.",
            system=look.system,
        )
        for view, name in zip(shown, names, strict=True)
    ]
    replies = chat.reply(conversations, max_new_tokens=look.max_description_tokens)
    lines = [f"- {name}: {reply.text}" for name, reply in zip(names, replies, strict=True)]
    frame = FRAME_SENTENCE.partition(". Each")[0].replace("The {count} images below are", "Below are descriptions of")
    return replies, "\n".join([f"{frame}:", *lines])


def _whole(panorama: Tensor) -> tuple[ViewPlan, Tensor]:
    plan = ViewPlan([EquirectangularView()])
    width = min(_WHOLE_WIDTH, panorama.shape[-1])
    return plan, extract_views(panorama, plan, (width // 2, width))


def _last(
    chat: Chat,
    messages: list[Message],
    shown: Tensor,
    plan: ViewPlan,
    look: Look,
    on_text: OnText | None,
    before: Sequence[Reply] = (),
) -> Outcome:
    reply = chat.reply([messages], max_new_tokens=look.max_new_tokens, on_text=on_text)[0]
    return Outcome(reply.text, shown, plan, messages, [*before, reply])
