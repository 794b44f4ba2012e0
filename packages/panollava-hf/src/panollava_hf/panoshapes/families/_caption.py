"""All objects and their directions: "Describe the scene." → "red cube front, blue sphere back left"."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from panollava_hf.panoshapes._scene import CLEARANCE_DEG, DIRECTIONS, Scene, SceneObject, degrees_from_sector_centre
from panollava_hf.panoshapes.families._family import Family, Program


def _propose(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    yield {"family": "caption"}


def _answer(scene: Scene, program: Program) -> str | None:
    """Clockwise from the left border of the sector "front", then above and below."""

    def place(item: SceneObject) -> tuple[int, float]:
        order = DIRECTIONS.index(item.direction)
        return order, degrees_from_sector_centre(item.yaw_deg, item.direction) if item.horizontal else 0.0

    objects = sorted(scene.objects, key=place)
    for left, right in pairwise(objects):
        if left.direction == right.direction and place(right)[1] - place(left)[1] < CLEARANCE_DEG:
            return None  # the order of these two is ambiguous
    if not objects or not all(item.clear_of_borders for item in objects):
        return None
    return ", ".join(f"{item.name} {item.direction}" for item in objects)


def _wordings(program: Program) -> tuple[str, ...]:
    return "Describe the scene.", "Describe what is around you."


FAMILY = Family(name="caption", arguments={}, propose=_propose, answer=_answer, wordings=_wordings)
