"""Questions about a scene with their answers, and where in the panorama the objects are that a question is about."""

import enum
import json
from dataclasses import dataclass
from typing import Self

import numpy as np

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._scene import Scene
from panollava_hf.panoshapes.families import Family, family_named, family_names
from panollava_hf.panoshapes.families._family import Program

#: An object on the back seam is at most this far from yaw 180°.
SEAM_DEG = 15.0


@dataclass(frozen=True)
class Question:
    """A question with its answer.

    Attributes:
        family: The name of its family.
        program: The question as a program, see `answer`.
        question: The question in English.
        answer: The correct answer.
    """

    family: str
    program: Program
    question: str
    answer: str

    @classmethod
    def parse(cls, question: str, answer: str, program: str) -> Self:
        """Read a question from the columns of a table.

        Args:
            question: The column `question`.
            answer: The column `answer`.
            program: The column `program`, a JSON object.

        Raises:
            PanoShapesError: The program is not valid.

        Example:
            >>> Question.parse("How many objects are there?", "3", '{"family": "count"}').family
            'count'
        """
        try:
            parsed = json.loads(program)
        except json.JSONDecodeError as error:
            raise PanoShapesError(f"program {program!r} is not valid JSON: {error}") from error
        if not isinstance(parsed, dict):
            raise PanoShapesError(f"program {program!r} is not a JSON object")
        return cls(_checked(parsed).name, parsed, question, answer)


class Place(enum.StrEnum):
    """Where in a panorama the objects are that a question is about."""

    BACK_SEAM = "back seam"
    POLES = "poles"
    ELSEWHERE = "elsewhere"

    @classmethod
    def of(cls, question: Question, scene: Scene) -> "Place | None":
        """Find the place of a question; one of several objects is enough for the poles or the seam.

        Returns:
            None if the question is not about particular objects, for example a count, or if they do not exist.
        """
        wanted = family_named(question.family).asked_about(question.program, question.answer)
        objects = [
            item
            for description in wanted
            for item in scene.objects
            if all(getattr(item, name) == value for name, value in description.items())
        ]
        if not objects:
            return None
        if not all(item.horizontal for item in objects):
            return cls.POLES
        near_seam = any(180.0 - abs(item.yaw_deg) <= SEAM_DEG for item in objects)
        return cls.BACK_SEAM if near_seam else cls.ELSEWHERE


def questions(scene: Scene, rng: np.random.Generator, limit_per_family: int = 2) -> list[Question]:
    """Ask questions about a scene, chosen such that their answers are hard to guess.

    Args:
        scene: The scene.
        rng: Chooses among programs and wordings.
        limit_per_family: Maximum number of questions of one family.

    Raises:
        PanoShapesError: The limit is less than one.
    """
    if limit_per_family < 1:
        raise PanoShapesError(f"{limit_per_family} questions per family: expected at least 1")
    asked: list[Question] = []
    for family in map(family_named, family_names()):
        chosen: dict[str, Question] = {}
        for program in family.propose(scene, rng, limit_per_family):
            if len(chosen) == limit_per_family:
                break
            key, found = json.dumps(program, sort_keys=True), answer(scene, program)
            if found is not None and key not in chosen:
                chosen[key] = Question(family.name, program, str(rng.choice(wordings(program))), found)
        asked.extend(chosen.values())
    return asked


def answer(scene: Scene, program: Program) -> str | None:
    """Answer a program from the objects of a scene.

    Args:
        scene: The scene.
        program: The question as a JSON object. Its `family` determines its other arguments:

            - `{"family": "what", "direction": "back left"}` → "red cube"
            - `{"family": "where", "colour": "red", "shape": "cube"}` → "back left"
            - `{"family": "count"}`, with a colour, a shape, both or neither → "2"
            - `{"family": "attribute", "ask": "colour", "shape": "cube"}` → "red"
            - `{"family": "existence", "colour": "red", "shape": "cube"}` → "yes"
            - `{"family": "relative", "first": {…}, "second": {…}}` → "left"
            - `{"family": "distance", "ask": "nearer", "first": {…}, "second": {…}}` → "red cube"
            - `{"family": "caption"}` → "red cube front, blue cone left"

    Returns:
        The answer. None if the scene has no unambiguous one: the object does not exist, is not the only one of its
        kind, or is too close to the border of a sector.

    Raises:
        PanoShapesError: The program is not valid.

    Example:
        >>> from panollava_hf.panoshapes import answer, sample_scene
        >>> scene = sample_scene(0, "test", 0)
        >>> answer(scene, {"family": "count"}) == str(len(scene.objects))
        True
    """
    return _checked(program).answer(scene, program)


def wordings(program: Program) -> tuple[str, ...]:
    """All questions in English that ask a program.

    Raises:
        PanoShapesError: The program is not valid.

    Example:
        >>> wordings({"family": "what", "direction": "back left"})[0]
        'What is to the back left?'
    """
    return _checked(program).wordings(program)


def _checked(program: Program) -> Family:
    """The family of a program, after checking its arguments."""
    family = family_named(program.get("family"))
    family.check(program)
    return family
