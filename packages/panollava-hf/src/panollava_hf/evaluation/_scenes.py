"""The scenes and programs of PanoShapes rows."""

from collections.abc import Mapping
from typing import Any

from panollava_hf._errors import EvaluationError, PanoShapesError
from panollava_hf.evaluation._rows import Row
from panollava_hf.panoshapes import WORDS, Place, Question, Scene, read_scenes

__all__ = ["ELSEWHERE", "POLES", "SEAM", "WORDS", "place_of", "read_scenes", "scene_of"]

SEAM, POLES, ELSEWHERE = Place.BACK_SEAM, Place.POLES, Place.ELSEWHERE


def scene_of(row: Row, scenes: Mapping[str, Scene]) -> tuple[Scene, dict[str, Any]] | None:
    """Scene and program of a row; None if the row has no scene or no program."""
    if row.scene is None or row.program is None:
        return None
    if row.scene not in scenes:
        raise EvaluationError(f"{row.place}: scene {row.scene} is not in the file of scenes")
    try:
        question = Question.parse(row.question, row.answer, row.program)
    except PanoShapesError as error:
        raise EvaluationError(f"{row.place}: {error}") from error
    return scenes[row.scene], dict(question.program)


def place_of(scene: Scene, program: Mapping[str, Any], answer: str) -> str | None:
    """Where the objects are that a question is about, see `Place`."""
    return Place.of(Question(str(program["family"]), program, "", answer), scene)
