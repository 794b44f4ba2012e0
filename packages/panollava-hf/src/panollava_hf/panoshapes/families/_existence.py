"""Whether there is an object of a colour, a shape or both: "Is there an orange sphere?" → "no"."""

import itertools
from collections.abc import Iterable

import numpy as np

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._scene import COLOURS, SHAPES, Scene
from panollava_hf.panoshapes.families._family import KIND, Family, Program, about_kind, shuffled

#: Share of "no" questions whose colour and shape both occur in the scene, but not together.
_HARD_NEGATIVE_CHANCE = 0.75


def _propose(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    """As many "yes" as "no"; most absent objects have a colour and a shape that occur, but not together."""
    there = {(item.colour, item.shape) for item in scene.objects}
    colours, shapes = ({kind[place] for kind in there} for place in (0, 1))
    absent = [kind for kind in itertools.product(COLOURS, SHAPES) if kind not in there]
    hard = [kind for kind in absent if kind[0] in colours and kind[1] in shapes]
    half = [kind for kind in absent if (kind[0] in colours) != (kind[1] in shapes)]
    present = shuffled(rng, sorted(there))
    for turn in range(8 * limit):
        if rng.integers(2):  # drawn anew for each question: one answer says nothing about the next
            colour, shape = present[turn % len(present)]
        else:
            pool = hard if hard and (not half or rng.random() < _HARD_NEGATIVE_CHANCE) else half or hard or absent
            colour, shape = pool[int(rng.integers(len(pool)))]
        yield {"family": "existence", "colour": colour, "shape": shape}


def _answer(scene: Scene, program: Program) -> str:
    return "yes" if scene.matching(program.get("colour"), program.get("shape")) else "no"


def _wordings(program: Program) -> tuple[str, ...]:
    name = " ".join(program[name] for name in KIND if name in program)
    name = name if "shape" in program else f"{name} object"
    article = "an" if name[0] in "aeiou" else "a"
    return f"Is there {article} {name}?", f"Can you see {article} {name}?"


def _validate(program: Program) -> None:
    if not any(name in program for name in KIND):
        raise PanoShapesError(f"a program that asks for existence needs a colour, a shape or both; got {dict(program)}")


FAMILY = Family(
    name="existence",
    arguments=KIND,
    optional=("colour", "shape"),
    propose=_propose,
    answer=_answer,
    wordings=_wordings,
    validate=_validate,
    asked_about=about_kind,
)
