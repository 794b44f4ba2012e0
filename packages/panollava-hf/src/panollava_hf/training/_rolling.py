"""Yaw augmentation for PanoShapes: when a panorama is rotated, its questions and answers change with it."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from panollava_hf._errors import TableError
from panollava_hf.data._dataset import YawAugmentation
from panollava_hf.data._examples import Example, Examples
from panollava_hf.data._order import Limit
from panollava_hf.panoshapes import Question, Scene, aside, rotate_question


def scene_augmentation(examples: Examples, split: str) -> YawAugmentation:
    """The yaw augmentation of a PanoShapes split.

    Args:
        examples: A split written by `panollava data panoshapes`, with its scenes in the same folder.
        split: Its name.

    Raises:
        TableError: There is no file with scenes. The directions in other tables cannot be rotated.
    """
    path = None if examples.folder is None else examples.folder / f"scenes-{split}.jsonl"
    if path is None or not path.is_file():
        raise TableError(
            f"{examples.name}: yaw augmentation needs the scenes of PanoShapes (scenes-{split}.jsonl in the folder of "
            "the table); set data.yaw_augmentation to false for other panoramas"
        )
    with path.open(encoding="utf-8") as lines:
        texts = {scene["name"]: line for line in lines if (scene := json.loads(line))}
    return _SceneAugmentation(texts)


class _SceneAugmentation:
    """Keeps scenes as text until they are needed: there can be many, and the workers share this memory."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def draw_yaw(self, examples: Sequence[Example], limit: Limit | None, rng: np.random.Generator) -> float:
        """A random yaw; where `aside` is limited, one that brings the second object of a comparison near the front."""
        comparisons = [example for example in examples if example.extra["family"] == "relative"]
        if limit is None or limit.column != "aside" or not comparisons:
            return float(rng.uniform(0, 360))
        example = comparisons[rng.integers(len(comparisons))]
        second = json.loads(example.extra["program"])["second"]
        yaws = {(item.colour, item.shape): item.yaw_deg for item in self._scene(example).objects}
        return float(rng.uniform(-limit.value, limit.value) - yaws[second["colour"], second["shape"]])

    def rotate(self, examples: Sequence[Example], yaw_deg: float) -> list[Example | None]:
        """The examples of one scene after its panorama is rotated; None where a question has no answer then."""
        scene = self._scene(examples[0])
        rotated = scene.rotated(yaw_deg)
        return [_rotated(example, scene, rotated, yaw_deg) for example in examples]

    def _scene(self, example: Example) -> Scene:
        return Scene.from_dict(json.loads(self.texts[example.extra["scene"]]))


def _rotated(example: Example, scene: Scene, rotated: Scene, yaw_deg: float) -> Example | None:
    extra = example.extra
    question = Question(extra["family"], json.loads(extra["program"]), example.question, example.answer)
    after = rotate_question(question, scene, yaw_deg)
    if after is None:
        return None
    extra = {**extra, "program": json.dumps(after.program), "aside": aside(rotated, after.program)}
    return replace(example, question=after.question, answer=after.answer, extra=extra)
