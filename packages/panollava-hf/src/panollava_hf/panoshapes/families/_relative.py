"""Whether one object is left or right of another: "Is the green cylinder left or right of the red cube?" → "left"."""

from collections.abc import Iterable

import numpy as np

from panollava_hf.panoshapes._scene import Scene, SceneObject, wrap_degrees
from panollava_hf.panoshapes.families._family import KIND, Family, Program, about_pair, kind_name, unique_pairs

#: The azimuths of the two objects must differ by an angle in this range.
_DIFFERENCE_DEG = (20.0, 160.0)


def _propose(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    pairs = list(unique_pairs(scene, rng))
    for first, second in [*pairs, *((second, first) for first, second in pairs)]:
        yield {"family": "relative", "first": first, "second": second}


def _answer(scene: Scene, program: Program) -> str | None:
    """Left or right the shorter way round."""
    first, second = (scene.only(**program[name]) for name in ("first", "second"))
    if first is None or second is None or not (first.horizontal and second.horizontal):
        return None
    turn = wrap_degrees(first.yaw_deg - second.yaw_deg)
    if not _DIFFERENCE_DEG[0] <= abs(turn) <= _DIFFERENCE_DEG[1]:
        return None
    return "right" if turn > 0 else "left"


def _wordings(program: Program) -> tuple[str, ...]:
    first, second = kind_name(program["first"]), kind_name(program["second"])
    return (
        f"Is the {first} to the left or to the right of the {second}?",
        f"Is the {first} left or right of the {second}?",
    )


def _reference(scene: Scene, program: Program) -> SceneObject:
    """The second object.

    The direction of one object alone says nothing about the answer, so a model that is trained from scratch stays at
    chance (see the experiment log). When the second object is in front, the side of the first one is the answer.
    """
    return scene.matching(**program["second"])[0]


FAMILY = Family(
    name="relative",
    arguments={"first": KIND, "second": KIND},
    propose=_propose,
    answer=_answer,
    wordings=_wordings,
    asked_about=about_pair,
    reference=_reference,
)
