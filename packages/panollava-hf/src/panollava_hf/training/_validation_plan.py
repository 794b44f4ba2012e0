"""When a stage is validated, on how many panoramas, and how its validation loss has developed. Needs no torch.

The plan follows from the settings alone, not from measured times, so that a run always ends with the same weights.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Largest share of the time that validation takes at its default interval.
SHARE = 0.05
#: Share of it for the losses. Measuring a panorama takes no longer than training it, so this is an upper bound.
_LOSSES = 0.04
#: How often a stage is validated by default if its panoramas allow it, and the most often.
_USUAL, _MOST = 10, 50
#: Fewest and most panoramas by default.
_FEWEST, _LARGEST = 16, 256


@dataclass(frozen=True)
class Plan:
    """When a stage is validated, and on what.

    Attributes:
        panoramas: Number of panoramas.
        every: Steps between validations.
    """

    panoramas: int
    every: int


def plan(available: int, limit: int | None, every: int | None, *, steps: int, per_step: int) -> Plan:
    """The plan for a stage.

    Args:
        available: Number of panoramas that can be measured.
        limit: Largest number of panoramas; None chooses it.
        every: Steps between validations; None chooses them.
        steps: Steps of the stage.
        per_step: Panoramas that are trained in a step.

    Example:
        >>> plan(2000, None, None, steps=8000, per_step=8)
        Plan(panoramas=256, every=800)
        >>> plan(100, None, None, steps=375, per_step=8)
        Plan(panoramas=16, every=50)
        >>> plan(100, 50, 10, steps=375, per_step=8)
        Plan(panoramas=50, every=10)
    """
    if limit is None:
        limit = min(max(_FEWEST, round(_LOSSES * steps * per_step / _USUAL)), _LARGEST)
    panoramas = min(available, limit)
    if every is None:
        every = max(math.ceil(panoramas / (_LOSSES * per_step)), math.ceil(steps / _MOST))
    return Plan(panoramas, min(every, steps))


@dataclass(frozen=True)
class Standing:
    """How the validation loss of a stage has developed.

    Attributes:
        validations: Number of validations.
        last_step: Step of the last one; 0 before the first.
        last_loss: Its loss.
        best_step: Step of the lowest loss; None while no loss was finite.
        best_loss: The lowest loss.
        since: Number of validations after the best one.
    """

    validations: int = 0
    last_step: int = 0
    last_loss: float = math.nan
    best_step: int | None = None
    best_loss: float = math.inf
    since: int = 0


def standing(log: Iterable[Mapping[str, Any]]) -> Standing:
    """The standing after the entries of a log (`trainer.state.log_history`), which checkpoints contain.

    Example:
        >>> found = standing([{"step": 5, "eval_loss": 2.0}, {"step": 10, "eval_loss": 2.5}, {"step": 10, "loss": 1.0}])
        >>> found.best_step, found.since
        (5, 1)
    """
    found = Standing()
    for entry in log:
        if "eval_loss" in entry:
            step, loss = int(entry["step"]), float(entry["eval_loss"])
            is_best = loss < found.best_loss  # never for NaN and infinity
            found = Standing(
                found.validations + 1,
                step,
                loss,
                step if is_best else found.best_step,
                loss if is_best else found.best_loss,
                0 if is_best else found.since + 1,
            )
    return found


def time_left(seconds: float) -> str:
    """A duration in words, as accurate as an estimate is.

    Example:
        >>> [time_left(seconds) for seconds in (0.2, 700, 7400, 86_800, 200_000)]
        ['about 1 s left', 'about 12 min left', 'about 2.1 h left', 'about 24 h left', 'about 2.3 days left']
    """
    if seconds < 60:
        return f"about {max(1, 5 * round(seconds / 5)) if seconds >= 10 else max(1, round(seconds))} s left"
    if seconds < 60 * 60:
        return f"about {round(seconds / 60)} min left"
    if seconds < 48 * 60 * 60:
        return f"about {seconds / 3600:.2g} h left"
    return f"about {seconds / 86400:.2g} days left"
