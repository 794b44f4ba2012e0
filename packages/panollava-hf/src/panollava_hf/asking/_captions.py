"""Captions: the wording of the requests, and one caption for each view.

A caption of the whole panorama is the answer to `WHOLE` by the strategy of the model. A caption of a view is the answer
to `VIEW` by the strategy `views` with this view alone.
"""

from dataclasses import replace

from panollava_geometry import ViewPlan

from panollava_hf._errors import ChatError
from panollava_hf.asking._chat import Chat
from panollava_hf.asking._cost import Cost, estimate
from panollava_hf.asking._families import Family
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies import STRATEGIES, Look, Steps

#: The request for a caption of the whole panorama.
WHOLE = (
    "Describe this panorama in one paragraph: first what kind of place it is, then what is ahead, to the right, "
    "behind, to the left, above and below."
)
#: The same for PanoLLaVA checkpoints, in words of their training questions.
WHOLE_NATIVE = "Describe the scene."
#: The request for a caption of one view.
VIEW = "Describe in one or two sentences what this view shows. Do not repeat its direction."
_STRATEGY = "views"


def whole_request(family: Family, prompt: str | None = None) -> str:
    """The request for a caption of the whole panorama: `prompt`, or the wording for this family."""
    return prompt or (WHOLE_NATIVE if family.reads_panoramas else WHOLE)


def check_single_views(chat: Chat) -> None:
    """Check that a model can be shown one view by itself.

    Raises:
        ChatError: It sees all views at once.
    """
    if chat.family.reads_panoramas:
        raise ChatError(
            f"{chat.name}: a PanoLLaVA checkpoint sees all views at once and cannot caption one; caption the whole "
            "panorama, or use another model"
        )


def view_steps(panorama: Panorama, prompt: str | None, look: Look) -> list[Steps]:
    """For each view of the plan, the strategy that captions it in one call."""
    return [STRATEGIES[_STRATEGY](panorama, prompt or VIEW, alone) for alone in _alone(look)]


def views_cost(chat: Chat, panorama: Panorama, prompt: str | None, look: Look) -> Cost:
    """What the captions of all views will cost, before the model runs."""
    costs = [estimate(chat, _STRATEGY, panorama, [prompt or VIEW], alone) for alone in _alone(look)]
    return replace(sum(costs[1:], costs[0]), views=len(look.plan))


def _alone(look: Look) -> list[Look]:
    """How each view is shown by itself."""
    return [replace(look, plan=ViewPlan([view])) for view in look.plan]
