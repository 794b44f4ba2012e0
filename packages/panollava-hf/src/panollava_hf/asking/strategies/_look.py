"""What a strategy gets, and what it finds."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from panollava_geometry import ViewPlan
from torch import Tensor

from panollava_hf.asking._chat import Message, Reply, Request
from panollava_hf.asking._families import Family, Labels
from panollava_hf.asking._panorama import Panorama


@dataclass(frozen=True)
class Look:
    """How a panorama is shown and asked about.

    Attributes:
        plan: The views.
        size: Height and width of a view in pixels.
        labels: Where the direction of a view is written.
        system: A system prompt; None adds none.
        max_new_tokens: Maximum length of the answer, in tokens.
        max_description_tokens: Maximum length of each reply before the answer, in tokens.
        generation: Further arguments of `generate` for the answer.
        family: The family of the model that reads the messages.
        max_regions: Most regions that `zoom` looks at more closely.
    """

    plan: ViewPlan
    size: tuple[int, int]
    labels: Labels = "text"
    system: str | None = None
    max_new_tokens: int = 256
    max_description_tokens: int = 128
    generation: Mapping[str, Any] = field(default_factory=dict)
    family: Family = field(default_factory=Family)
    max_regions: int = 3


@dataclass(frozen=True)
class Outcome:
    """An answer and how it was found.

    Attributes:
        text: The answer.
        views: The views that the model saw in the last call, `[V, 3, h, w]` uint8.
        plan: Their directions.
        messages: The messages of the last call.
        reply: The reply of the last call.
        regions: Parts of the panorama that were looked at more closely.
        note: What did not go as the strategy intends, in one line; empty if nothing.
    """

    text: str
    views: Tensor
    plan: ViewPlan
    messages: list[Message]
    reply: Reply
    regions: tuple[Any, ...] = ()
    note: str = ""


#: A strategy at work: it yields requests that may be sent together, receives their replies, and returns the outcome.
Steps = Generator[list[Request], list[Reply], Outcome]
#: Begins a strategy for a panorama, a question and a way to look.
Strategy = Callable[[Panorama, str, Look], Steps]


def finish(
    messages: list[Message], views: Tensor, plan: ViewPlan, look: Look, regions: tuple[Any, ...] = (), note: str = ""
) -> Steps:
    """The last request of a strategy, whose reply is the answer."""
    (reply,) = yield [Request(messages, look.max_new_tokens, final=True, generation=look.generation, purpose="answer")]
    return Outcome(reply.text, views, plan, messages, reply, regions, note)
