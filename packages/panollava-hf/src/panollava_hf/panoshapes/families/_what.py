"""Which object is in a direction: "What is to the back left?" → "red cube"."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._scene import (
    CLEARANCE_DEG,
    DIRECTIONS,
    SECTOR_WIDTH_DEG,
    SECTORS,
    Scene,
    SceneObject,
    degrees_from_sector_centre,
)
from panollava_hf.panoshapes.families._family import Family, Program, shuffled


def _propose(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    return shuffled(rng, [{"family": "what", "direction": direction} for direction in DIRECTIONS])


def _answer(scene: Scene, program: Program) -> str | None:
    found = _object_in(scene, program["direction"])
    return found.name if found else None


def _wordings(program: Program) -> tuple[str, ...]:
    direction = program["direction"]
    place = f"to the {direction}" if direction in SECTORS else direction
    return f"What is {place}?", f"Which object is {place}?", f"What can you see {place}?"


def _asked_about(program: Program, answer: str) -> Sequence[Mapping[str, str]]:
    colour, _, shape = answer.partition(" ")
    return [{"colour": colour, "shape": shape, "direction": program["direction"]}]


def _rotate(program: Program, scene: Scene, rotated: Scene) -> Program:
    """Ask about the same object, in the direction that it has now."""
    found = _object_in(scene, program["direction"])
    if found is None:
        raise PanoShapesError(
            f"scene {scene.name} has no unambiguous answer to {dict(program)}; is it another scene's?"
        )
    return {**program, "direction": rotated.objects[scene.objects.index(found)].direction}


def _object_in(scene: Scene, direction: str) -> SceneObject | None:
    """The object in a direction; None if there is none, or another one is in this sector or close to it."""
    if direction not in SECTORS:
        found = [item for item in scene.objects if item.direction == direction]
        return found[0] if len(found) == 1 else None
    reach = SECTOR_WIDTH_DEG / 2 + CLEARANCE_DEG
    near = [
        item
        for item in scene.objects
        if item.horizontal and abs(degrees_from_sector_centre(item.yaw_deg, direction)) < reach
    ]
    return near[0] if len(near) == 1 and near[0].direction == direction and near[0].clear_of_borders else None


FAMILY = Family(
    name="what",
    arguments={"direction": DIRECTIONS},
    propose=_propose,
    answer=_answer,
    wordings=_wordings,
    asked_about=_asked_about,
    rotate=_rotate,
)
