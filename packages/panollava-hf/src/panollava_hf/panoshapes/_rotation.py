"""Questions rotate with their panorama: rolling the image to the right is rotating the scene."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._dataset import MANY, read_scene_texts, scenes_file
from panollava_hf.panoshapes._questions import Question, answer, wordings
from panollava_hf.panoshapes._scene import Scene
from panollava_hf.panoshapes.families import family_named
from panollava_hf.panoshapes.families._family import Program
from panollava_hf.panoshapes.wordings._draw import draw_question


def rotate_question(question: Question, scene: Scene, yaw_deg: float) -> Question | None:
    """The same question about the rotated scene, `scene.rotated(yaw_deg)`.

    Args:
        question: A question about `scene`.
        scene: The scene before the rotation.
        yaw_deg: Angle by which the panorama is rolled to the right.

    Returns:
        The question with its new program, wording and answer; None if the rotated scene has no unambiguous answer.

    Raises:
        PanoShapesError: The text of the question is not a wording of its program, or it is not about this scene.
    """
    said = wordings(question.program)
    if question.question not in said:
        raise PanoShapesError(
            f"{question.question!r} is not a wording of the program {dict(question.program)}; expected one of "
            f"{', '.join(said)}"
        )
    place = said.index(question.question)
    return _turned(question, scene, scene.rotated(yaw_deg), lambda program: wordings(program)[place])


def _turned(question: Question, scene: Scene, rotated: Scene, word: Callable[[Program], str]) -> Question | None:
    """The question about the rotated scene, in the words of `word`; None if the scene has no unambiguous answer."""
    program = family_named(question.family).rotate(question.program, scene, rotated)
    found = answer(rotated, program)
    return None if found is None else Question(question.family, program, word(program), found)


class SceneExample(Protocol):
    """A row of a PanoShapes table, as a dataclass: `extra` has the columns `scene`, `family` and `program`.

    A row whose column `wordings` is `many` is worded anew whenever it is rotated.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def question(self) -> str:
        """The question."""
        ...

    @property
    def answer(self) -> str:
        """The answer."""
        ...

    @property
    def extra(self) -> Mapping[str, Any]:
        """The other columns."""
        ...


_Example = TypeVar("_Example", bound=SceneExample)


class SceneRotation:
    """Rotates the examples of one split, for yaw augmentation.

    Args:
        scenes: The scenes by name, as JSON. A scene is parsed only when it is needed: there may be many, and the worker
            processes of a data loader share the memory of the text.
    """

    def __init__(self, scenes: Mapping[str, str]) -> None:
        self._scenes = scenes

    def rotate(
        self, examples: Sequence[_Example], yaw_deg: float, rng: np.random.Generator | None = None
    ) -> list[_Example | None]:
        """The same examples about the rotated panorama.

        Args:
            examples: Examples of one scene.
            yaw_deg: Angle by which its panorama is rolled to the right.
            rng: Chooses the wordings of rows in many wordings; None takes one of seed 0.

        Returns:
            The examples with new question, answer, `program` and `aside`; None for those without an unambiguous answer
            about the rotated panorama.

        Raises:
            PanoShapesError: The scene is unknown, or a question is not about it.
        """
        scene = self._scene(examples[0])
        rotated = scene.rotated(yaw_deg)
        rng = np.random.default_rng(0) if rng is None else rng
        return [_rotated(example, scene, rotated, yaw_deg, rng) for example in examples]

    def random_yaw(
        self, examples: Sequence[_Example], rng: np.random.Generator, limit_deg: float | None = None
    ) -> float:
        """A random angle by which to rotate a panorama.

        Args:
            examples: Examples of one scene.
            rng: Source of randomness.
            limit_deg: Largest `aside` that the curriculum allows at the moment. The angle then brings the object that
                one of the examples compares with to within `limit_deg` of the front.

        Returns:
            An angle in degrees; a uniformly distributed one without a limit, or if no example compares with an object.
        """
        if limit_deg is None:
            return float(rng.uniform(0, 360))
        references = [(example, family_named(example.extra["family"]).reference) for example in examples]
        compared = [(example, reference) for example, reference in references if reference is not None]
        if not compared:
            return float(rng.uniform(0, 360))
        example, reference = compared[rng.integers(len(compared))]
        item = reference(self._scene(example), _parsed(example).program)
        return float(rng.uniform(-limit_deg, limit_deg) - item.yaw_deg)

    def _scene(self, example: SceneExample) -> Scene:
        name = example.extra["scene"]
        if name not in self._scenes:
            raise PanoShapesError(f"unknown scene {name!r}: the table and the file of scenes do not belong together")
        return Scene.from_dict(json.loads(self._scenes[name]))


def scene_rotation(folder: Path, split: str) -> SceneRotation:
    """Prepare the rotation of the examples of a split.

    Args:
        folder: A folder that `write_panoshapes` wrote.
        split: Name of the split.

    Raises:
        PanoShapesError: The folder has no scenes for this split, or the file is not valid.
    """
    path = scenes_file(folder, split)
    if not path.is_file():
        raise PanoShapesError(f"{path} does not exist: only PanoShapes questions can rotate with their panorama")
    return SceneRotation(read_scene_texts(path))


def _parsed(example: SceneExample) -> Question:
    return Question.parse(example.question, example.answer, example.extra["program"])


def _rotated(
    example: _Example, scene: Scene, rotated: Scene, yaw_deg: float, rng: np.random.Generator
) -> _Example | None:
    if example.extra.get("wordings") == MANY:
        question = _turned(_parsed(example), scene, rotated, lambda program: draw_question(program, rng, rotated))
    else:
        question = rotate_question(_parsed(example), scene, yaw_deg)
    if question is None:
        return None
    aside_deg = family_named(question.family).aside_deg(rotated, question.program)
    extra = {**example.extra, "program": json.dumps(question.program), "aside": aside_deg}
    return replace(example, question=question.question, answer=question.answer, extra=extra)
