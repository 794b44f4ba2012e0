"""In which direction an object is: "Where is the red cube?" → "back left"."""

from collections.abc import Iterable

import numpy as np

from panollava_hf.panoshapes._scene import Scene
from panollava_hf.panoshapes.families._family import KIND, Family, Program, about_kind, kind_name, kind_of, shuffled


def _propose(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    return shuffled(rng, [{"family": "where", **kind_of(item)} for item in scene.objects])


def _answer(scene: Scene, program: Program) -> str | None:
    found = scene.only(program["colour"], program["shape"])
    return found.direction if found and found.clear_of_borders else None


def _wordings(program: Program) -> tuple[str, ...]:
    name = kind_name(program)
    return f"Where is the {name}?", f"In which direction is the {name}?", f"Which way is the {name}?"


FAMILY = Family(
    name="where",
    arguments=KIND,
    propose=_propose,
    answer=_answer,
    wordings=_wordings,
    asked_about=about_kind,
)
