"""Captions: the wording of the requests, and one caption for each view.

A caption of the whole panorama is the answer to `WHOLE` by the strategy of the model.
"""

from panollava_geometry import ViewPlan

from panollava_hf.asking._directions import label
from panollava_hf.asking._families import Family
from panollava_hf.asking._messages import view_messages
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies import Look, Steps
from panollava_hf.asking.strategies._look import finish

#: The request for a caption of the whole panorama.
WHOLE = (
    "Describe this panorama in one paragraph: first what kind of place it is, then what is ahead, to the right, "
    "behind, to the left, above and below."
)
#: The same for PanoLLaVA checkpoints, in words of their training questions.
WHOLE_NATIVE = "Describe the scene."
#: The request for a caption of one view.
VIEW = "Describe in one or two sentences what this view shows. Do not repeat its direction."
#: What a model is told about one view.
ONE_VIEW = "This is one view of a 360° panorama."


def whole_request(family: Family, prompt: str | None = None) -> str:
    """The request for a caption of the whole panorama: `prompt`, or the wording for this family."""
    return prompt or (WHOLE_NATIVE if family.reads_panoramas else WHOLE)


def view_steps(panorama: Panorama, prompt: str | None, look: Look) -> list[Steps]:
    """For each view of the plan, the strategy that captions it in one call."""
    return [_one_view(panorama, number, prompt or VIEW, look) for number in range(len(look.plan))]


def _one_view(panorama: Panorama, number: int, prompt: str, look: Look) -> Steps:
    view, shown = look.plan[number], panorama.views(look.plan, look.size)[number : number + 1]
    messages = view_messages(
        shown, [label(view)], prompt, labels=look.labels, frame_sentence=ONE_VIEW, system=look.system
    )
    return (yield from finish(messages, shown, ViewPlan([view]), look))
