"""Leaving views out: the question is asked again without each view, of any kind of model.

What a view sees is blurred in the panorama, so that views which overlap with it do not show it either, and the view
itself is left out of the prompt. How much support the answer loses is the relevance of all that the view sees.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from panollava_geometry import ViewPlan, paste_views
from torch import Tensor

from panollava_hf._errors import ChatError
from panollava_hf._shown import shortened
from panollava_hf.asking import Answerer
from panollava_hf.asking._directions import label
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies import Look
from panollava_hf.evidence._baseline import blurred_where
from panollava_hf.evidence._found import Found, OnStep
from panollava_hf.evidence._sphere import HEIGHT, solid_angles
from panollava_hf.evidence._support import Support, support_of

#: Most views that are left out, one after the other.
MAX_VIEWS = 32
#: Share of the sphere; a view that sees more is not left out, because nearly nothing would remain.
_MOST_SEEN = 0.6
#: Height of the mask of a view in pixels, and the grid of a view whose cells are all equal.
_MASK, _CELLS = 256, (4, 4)
#: Most panoramas at the same time, to limit the memory, and most answers that a note quotes.
_GROUP, _QUOTED = 8, 4


@dataclass(frozen=True)
class Part:
    """What a view sees.

    Attributes:
        index: The number of the view in the plan.
        mask: 1 where it sees the panorama, `[h, 2h]`.
        look: How the panorama is shown without the view.
    """

    index: int
    mask: Tensor
    look: Look


def parts_of(answerer: Answerer, panorama: Panorama, look: Look) -> tuple[ViewPlan, list[Part]]:
    """The views of a model, and what is left out in turn.

    Raises:
        ChatError: There are too many views, or each of them sees nearly everything.
    """
    native = answerer.chat.family.reads_panoramas
    plan: ViewPlan = panorama.memo["plan"] if native and answerer.chat.model is not None else look.plan
    leaves_out = not native and answerer.strategy != "erp" and len(plan) > 1
    parts = []
    for index, view in enumerate(plan):
        mask = paste_views(torch.ones(1, 1, *_CELLS), ViewPlan([view]), _MASK)[1].clamp(max=1)
        if float((mask * solid_angles(_MASK)[:, None]).sum()) <= _MOST_SEEN * 4 * math.pi:
            rest = [other for place, other in enumerate(plan) if place != index]
            parts.append(Part(index, mask, replace(look, plan=ViewPlan(rest)) if leaves_out else look))
    if not parts:
        raise ChatError(
            "method views: each view of this plan sees nearly the whole panorama; choose a plan of narrower views"
        )
    if len(parts) > MAX_VIEWS:
        raise ChatError(
            f"method views asks again without each view, and this plan has {len(parts)} views; choose a plan of at "
            f"most {MAX_VIEWS}"
        )
    return plan, parts


def by_views(answerer: Answerer, panorama: Panorama, question: str, answer: str, look: Look, on_step: OnStep) -> Found:
    """How much support the answer loses without each view.

    Raises:
        ChatError: The model did not answer.
    """
    plan, parts = parts_of(answerer, panorama, look)
    measure, is_measured = support_of(answerer)
    whole = measure(answerer, question, answer, [(panorama, look)]) if is_measured else [Support(1.0, 0)]
    left: list[Support] = []
    size = min(answerer.chat.batch_size, _GROUP)
    for start in range(0, len(parts), size):
        asked = []
        for part in parts[start : start + size]:
            without = Panorama(blurred_where(panorama, part.mask))
            answerer.chat.prepare(without)
            asked.append((without, part.look))
        left += measure(answerer, question, answer, asked)
        on_step(len(left), len(parts))
    lost = torch.tensor([max(0.0, whole[0].value - one.value) for one in left])
    values, _ = paste_views(
        lost[:, None, None, None].repeat(1, 1, *_CELLS), [plan[part.index] for part in parts], HEIGHT
    )
    calls = sum(one.calls for one in (*whole, *left))
    names = [label(plan[part.index]).partition(" (")[0] for part in parts]
    return Found(values[0], calls, "" if is_measured else _changes(names, left))


def _changes(names: Sequence[str], left: Sequence[Support]) -> str:
    """Which answers the model gave without which views."""
    changed = [(name, one.text or "") for name, one in zip(names, left, strict=True) if one.value < 1]
    quoted = [f"without {name}: {shortened(' '.join(text.split()), 40)}" for name, text in changed[:_QUOTED]]
    more = [f"and {len(changed) - _QUOTED} more"] if len(changed) > _QUOTED else []
    return "; ".join([f"the answer changes without {len(changed)} of {len(left)} views", *quoted, *more])
