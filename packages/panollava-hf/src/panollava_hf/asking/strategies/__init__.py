"""Strategies: how a panorama and a question become calls of a vision-language model.

| strategy | calls | what the model sees |
|---|---|---|
| `views` | 1 | all labelled views and the question |
| `describe` | views + 1 | each view by itself, then the descriptions as text, the whole panorama and the question |
| `zoom` | views + 2 + regions | as `describe`, then regions that it names, kept or dropped by a yes/no question |
| `erp` | 1 | the equirectangular image as it is: the baseline |

`describe` and `zoom` follow the two steps measured by ODI-Bench's authors (https://arxiv.org/abs/2510.11549): per-view
descriptions bring most of the gain, and zooming without the yes/no question loses.

A family that takes fewer images than `zoom` would show is asked about each region by itself, with one more call for
each. A strategy is a generator: it yields requests that may be sent together and receives their replies. `run` drives
several of them at once, so that the requests of all panoramas and questions fill the batches of a model.
"""

from panollava_hf.asking.strategies._describe import describe
from panollava_hf.asking.strategies._erp import erp
from panollava_hf.asking.strategies._look import Look, Outcome, Steps, Strategy
from panollava_hf.asking.strategies._native import native, native_messages
from panollava_hf.asking.strategies._requirements import check_strategy, needed_width
from panollava_hf.asking.strategies._run import Finished, run
from panollava_hf.asking.strategies._views import views
from panollava_hf.asking.strategies._zoom import zoom

#: The strategies by name. `STRATEGIES["name"] = function` adds one.
STRATEGIES: dict[str, Strategy] = {"views": views, "describe": describe, "zoom": zoom, "erp": erp}

__all__ = [
    "STRATEGIES",
    "Finished",
    "Look",
    "Outcome",
    "Steps",
    "Strategy",
    "check_strategy",
    "native",
    "native_messages",
    "needed_width",
    "run",
    "strategy_for",
]


def strategy_for(name: str, look: Look) -> Strategy:
    """The function of a strategy; a family that reads panoramas has its own."""
    return native if look.family.reads_panoramas else STRATEGIES[name]
