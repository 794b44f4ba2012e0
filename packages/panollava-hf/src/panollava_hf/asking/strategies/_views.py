"""All labelled views and the question in one call."""

from panollava_hf.asking._directions import label
from panollava_hf.asking._frame import frame_sentence
from panollava_hf.asking._messages import check_question, view_messages
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies._look import Look, Steps, finish


def views(panorama: Panorama, question: str, look: Look) -> Steps:
    """All labelled views and the question in one call."""
    check_question(question)
    shown = panorama.views(look.plan, look.size)
    messages = view_messages(
        shown,
        [label(view) for view in look.plan],
        question,
        labels=look.labels,
        frame_sentence=frame_sentence(look.plan),
        system=look.system,
    )
    return (yield from finish(messages, shown, look.plan, look))
