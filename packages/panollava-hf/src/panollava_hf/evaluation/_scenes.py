"""What is known of PanoShapes rows beyond their text: the scene, and where the object asked about is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from panollava_hf._errors import EvaluationError
from panollava_hf.evaluation._rows import Row
from panollava_hf.panoshapes import COLOURS, DIRECTIONS, SHAPES, Scene, SceneObject

#: An object whose centre is at most so far from yaw 180° is on the back seam of the picture.
SEAM_DEG = 15.0
SEAM, POLES, ELSEWHERE = "back seam", "poles", "elsewhere"
#: What templates of questions leave out.
WORDS = (*COLOURS, *SHAPES, *DIRECTIONS)


def read_scenes(path: Path) -> dict[str, Scene]:
    """Scenes by name, from a `scenes-<split>.jsonl`.

    Raises:
        EvaluationError: A line is no scene.
    """
    scenes = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            scene = Scene.from_dict(json.loads(line))
        except ValueError as error:  # also what JSON and PanoShapes raise
            raise EvaluationError(f"{path}, line {number}: {error}") from error
        scenes[scene.name] = scene
    return scenes


def scene_of(row: Row, scenes: Mapping[str, Scene]) -> tuple[Scene, dict[str, Any]] | None:
    """Scene and program of a row, or None for a row without them."""
    if row.scene is None or row.program is None:
        return None
    if row.scene not in scenes:
        raise EvaluationError(f"{row.place}: scene {row.scene} is not in the file of scenes")
    try:
        program = json.loads(row.program)
    except json.JSONDecodeError as error:
        raise EvaluationError(f"{row.place}: the program is no JSON: {error}") from error
    if not isinstance(program, dict):
        raise EvaluationError(f"{row.place}: the program is no JSON object")
    return scenes[row.scene], program


def place_of(scene: Scene, program: Mapping[str, Any], answer: str) -> str | None:
    """Where the objects that a question is about are: the back seam, the poles, or elsewhere.

    One of several objects is enough for the seam or the poles. A question that is about no single object (how many, or
    one that is not there) is nowhere.

    Args:
        scene: The scene.
        program: What is asked.
        answer: The expected answer, which names the object that `what` asks for.
    """
    objects = [item for wanted in _asked_about(program, answer) for item in scene.objects if _is(item, wanted)]
    if not objects:
        return None
    if not all(item.horizontal for item in objects):
        return POLES
    if any(180.0 - abs(item.yaw_deg) <= SEAM_DEG for item in objects):
        return SEAM
    return ELSEWHERE


def _asked_about(program: Mapping[str, Any], answer: str) -> list[dict[str, str]]:
    """What is known of each object that a program is about."""
    family = program.get("family")
    if family == "what":
        colour, _, shape = answer.partition(" ")
        return [{"colour": colour, "shape": shape, "direction": program["direction"]}]
    if family in ("where", "existence", "attribute"):
        return [{name: program[name] for name in ("colour", "shape") if name in program}]
    if family in ("relative", "distance"):
        return [dict(program["first"]), dict(program["second"])]
    return []


def _is(item: SceneObject, wanted: Mapping[str, str]) -> bool:
    return all(getattr(item, name) == value for name, value in wanted.items())
