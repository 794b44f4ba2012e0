"""Each view described by itself, then the descriptions, the whole panorama and the question."""

from collections.abc import Generator

from panollava_hf.asking._chat import Reply, Request
from panollava_hf.asking._directions import label
from panollava_hf.asking._messages import view_messages
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies._look import Look, Steps, finish

ONE_VIEW = "This is one view of a 360° panorama."
DESCRIBE = "Describe what this view shows in two or three sentences: objects, their colours and where they are, text."
FRAME = (
    "The image is a 360° panorama in equirectangular projection: its centre is ahead, its left and right edges meet "
    "behind you. These are descriptions of its perspective views, each with the direction it looks in:"
)


def describe(panorama: Panorama, question: str, look: Look) -> Steps:
    """Each view described by itself, then the descriptions, the whole panorama and the question.

    The descriptions do not depend on the question, so several questions about a panorama share them.
    """
    notes = yield from described(panorama, look)
    plan, whole = panorama.whole()
    messages = view_messages(
        whole, ["the whole panorama"], question, labels="text", frame_sentence=notes, system=look.system
    )
    return (yield from finish(messages, whole, plan, look))


def described(panorama: Panorama, look: Look) -> Generator[list[Request], list[Reply], str]:
    """A text that lists a description of each view with its direction."""
    names = [label(view) for view in look.plan]
    requests = []
    for number, (view, name) in enumerate(zip(panorama.views(look.plan, look.size), names, strict=True)):
        messages = view_messages(
            view[None], [name], DESCRIBE, labels=look.labels, frame_sentence=ONE_VIEW, system=look.system
        )
        key = ("describe", id(panorama), look.plan, look.size, look.labels, look.system, number)
        largest = "word " * look.max_description_tokens
        requests.append(Request(messages, look.max_description_tokens, key=key, largest=largest))
    replies = yield requests
    lines = (f"- {name}: {reply.text}" for name, reply in zip(names, replies, strict=True))
    return "\n".join([FRAME, *lines])
