"""All labelled views and the question in one call."""

from panollava_hf.asking._directions import label
from panollava_hf.asking._messages import view_messages
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies._look import Look, Steps, finish


def views(panorama: Panorama, question: str, look: Look) -> Steps:
    """All labelled views and the question in one call."""
    shown = panorama.views(look.plan, look.size)
    names = [label(view) for view in look.plan]
    messages = view_messages(shown, names, question, labels=look.labels, system=look.system)
    return (yield from finish(messages, shown, look.plan, look))
