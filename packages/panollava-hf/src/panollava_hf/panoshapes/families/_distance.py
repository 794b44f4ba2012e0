"""Which of two objects is nearer or farther: "Which is farther, the green cylinder or the red cube?" → "red cube"."""

from collections.abc import Iterable

import numpy as np

from panollava_hf.panoshapes._scene import Scene
from panollava_hf.panoshapes.families._family import KIND, Family, Program, about_pair, kind_name, unique_pairs

#: Two objects are compared only if their distances and their apparent sizes differ by at least these factors.
_DISTANCE_RATIO, _SIZE_RATIO = 1.45, 1.4


def _propose(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    for first, second in unique_pairs(scene, rng):
        ask = ("nearer", "farther")[int(rng.integers(2))]
        yield {"family": "distance", "ask": ask, "first": first, "second": second}


def _answer(scene: Scene, program: Program) -> str | None:
    found = [scene.only(**program[name]) for name in ("first", "second")]
    both = sorted((item for item in found if item is not None), key=lambda item: item.distance)
    if len(both) < 2:
        return None
    near, far = both
    larger = near.radius / near.distance / (far.radius / far.distance)
    if far.distance < _DISTANCE_RATIO * near.distance or larger < _SIZE_RATIO:
        return None
    return near.name if program["ask"] == "nearer" else far.name


def _wordings(program: Program) -> tuple[str, ...]:
    words = ("nearer", "closer") if program["ask"] == "nearer" else ("farther", "farther away")
    pair = f"the {kind_name(program['first'])} or the {kind_name(program['second'])}"
    return tuple(f"Which is {word}, {pair}?" for word in words)


FAMILY = Family(
    name="distance",
    arguments={"ask": ("nearer", "farther"), "first": KIND, "second": KIND},
    propose=_propose,
    answer=_answer,
    wordings=_wordings,
    asked_about=about_pair,
)
