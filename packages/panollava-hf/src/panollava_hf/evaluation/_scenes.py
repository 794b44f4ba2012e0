"""What is known about questions of PanoShapes beyond their text: the scene, and where the object asked about is.

The only file of the evaluation's reading side that calls PanoShapes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from panollava_hf._errors import EvaluationError
from panollava_hf.panoshapes import COLOURS, DIRECTIONS, SHAPES, Scene, SceneObject

#: An object whose centre is at most this far from yaw 180° is at the back seam of the image.
SEAM_DEG = 15.0
SEAM, POLES, ELSEWHERE = "back seam", "poles", "elsewhere"
#: The words that templates of questions leave out.
WORDS = (*COLOURS, *SHAPES, *DIRECTIONS)


def read_scenes(path: Path) -> dict[str, Scene]:
    """Read the scenes of a `scenes-<split>.jsonl`, by name.

    Raises:
        EvaluationError: A line is not a scene.
    """
    scenes = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            scene = Scene.from_dict(json.loads(line))
        except ValueError as error:  # the base of JSONDecodeError and PanoShapesError
            raise EvaluationError(f"{path}, line {number}: {error}") from error
        scenes[scene.name] = scene
    return scenes


def scene_of(
    scenes: Mapping[str, Scene], name: str | None, program: str | None, where: str
) -> tuple[Scene, dict[str, Any]] | tuple[None, None]:
    """Scene and parsed program of a row, or None twice if the row does not have both.

    Args:
        scenes: All scenes, by name.
        name: Name of the row's scene.
        program: The row's question as JSON.
        where: File and row, for messages.

    Raises:
        EvaluationError: The scene is not among `scenes`, or the program is not a JSON object.
    """
    if name is None or program is None:
        return None, None
    if name not in scenes:
        raise EvaluationError(f"{where}: the scene {name!r} is not in the file of scenes")
    try:
        parsed = json.loads(program)
    except json.JSONDecodeError as error:
        raise EvaluationError(f"{where}: the program is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise EvaluationError(f"{where}: the program must be a JSON object, got {program[:80]}")
    return scenes[name], parsed


def place_of(scene: Scene, program: Mapping[str, Any], answer: str) -> str | None:
    """Where the objects that a question is about are: the back seam, the poles, or elsewhere.

    If a question is about two objects, one of them at the seam or a pole is enough.

    Args:
        scene: The scene.
        program: The question as a program.
        answer: The expected answer; for the family `what` it names the object.

    Returns:
        The place, or None for a question that is not about a visible object (how many, or a denied existence).
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
    """The known properties of each object that a program is about."""
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
