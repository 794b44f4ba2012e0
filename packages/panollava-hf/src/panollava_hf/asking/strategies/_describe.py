"""Each view described by itself, then the descriptions, the whole panorama and the question."""

from collections.abc import Generator, Sequence
from typing import Any

from panollava_hf.asking._chat import Reply, Request
from panollava_hf.asking._directions import label
from panollava_hf.asking._messages import check_question, view_messages
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies._look import Look, Steps, finish

ONE_VIEW = "This is one view of a 360° panorama."
DESCRIBE = "Describe what this view shows in two or three sentences: objects, their colours and where they are, text."
FRAME = (
    "The image is a 360° panorama in equirectangular projection: its centre is ahead, its left and right edges meet "
    "behind you."
)
NOTES = "These are descriptions of perspective views of the panorama, each with the direction it looks in:"


def describe(panorama: Panorama, question: str, look: Look) -> Steps:
    """Each view described by itself, then the descriptions, the whole panorama and the question.

    The descriptions do not depend on the question, so several questions about a panorama share them.
    """
    check_question(question)
    lines = yield from described(panorama, look)
    return (yield from answered(panorama, question, look, lines))


def described(panorama: Panorama, look: Look) -> Generator[list[Request], list[Reply], list[str]]:
    """A description of each view with its direction."""
    names = [label(view) for view in look.plan]
    requests = []
    for number, (view, name) in enumerate(zip(panorama.views(look.plan, look.size), names, strict=True)):
        messages = view_messages(
            view[None], [name], DESCRIBE, labels=look.labels, frame_sentence=ONE_VIEW, system=look.system
        )
        limit = look.max_description_tokens
        key = ("describe", panorama.token, look.plan, look.size, look.labels, look.system, limit, number)
        requests.append(Request(messages, limit, key=key, largest="word " * limit, purpose="describe"))
    replies = yield requests
    return [described_line(name, reply) for name, reply in zip(names, replies, strict=True)]


def described_line(name: str, reply: Reply) -> str:
    """One line of a list of descriptions."""
    return f"- {name}: {' '.join(reply.text.split())}"


def noted(lines: Sequence[str]) -> str:
    """The whole panorama and the descriptions of its views, as the first text of a message."""
    return "\n".join([f"{FRAME} {NOTES}", *lines])


def answered(
    panorama: Panorama, question: str, look: Look, lines: Sequence[str], regions: tuple[Any, ...] = (), note: str = ""
) -> Steps:
    """The last call: descriptions, the whole panorama and the question."""
    plan, whole = panorama.whole()
    messages = view_messages(whole, ["the whole panorama"], question, frame_sentence=noted(lines), system=look.system)
    return (yield from finish(messages, whole, plan, look, regions, note))
