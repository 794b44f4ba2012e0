"""Rolling PanoShapes: when a panorama is turned, its questions and answers turn with it."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from panollava_hf._errors import TableError
from panollava_hf.data._dataset import Roller
from panollava_hf.data._examples import Example, Examples
from panollava_hf.panoshapes import Question, Scene, aside, rotate_question


def scene_roller(examples: Examples, split: str) -> Roller:
    """What becomes of a scene's questions when its panorama is rolled.

    Args:
        examples: A split that `panollava data panoshapes` wrote, with its scenes beside it.
        split: Its name.

    Raises:
        TableError: There are no scenes: directions in other tables cannot be turned.
    """
    path = None if examples.folder is None else examples.folder / f"scenes-{split}.jsonl"
    if path is None or not path.is_file():
        raise TableError(
            f"{examples.name}: rolling needs the scenes of PanoShapes (scenes-{split}.jsonl beside the table); set "
            "data.roll to false for other panoramas"
        )
    with path.open(encoding="utf-8") as lines:
        texts = {scene["name"]: line for line in lines if (scene := json.loads(line))}
    return _Roller(texts)


class _Roller:
    """Scenes stay text until they are wanted: workers share the memory, and there may be many."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def yaw(self, chosen: Sequence[Example], rng: np.random.Generator, easy: tuple[str, float] | None) -> float:
        """Any yaw; where `aside` is limited, one that brings the second object of some comparison so near the front."""
        compared = [example for example in chosen if example.extra["family"] == "relative"]
        if easy is None or easy[0] != "aside" or not compared:
            return float(rng.uniform(0, 360))
        example = compared[rng.integers(len(compared))]
        second = json.loads(example.extra["program"])["second"]
        kinds = {(item.colour, item.shape): item.yaw_deg for item in self._scene(example).objects}
        return float(rng.uniform(-easy[1], easy[1]) - kinds[second["colour"], second["shape"]])

    def _scene(self, example: Example) -> Scene:
        return Scene.from_dict(json.loads(self.texts[example.extra["scene"]]))

    def __call__(self, chosen: Sequence[Example], yaw_deg: float) -> list[Example | None]:
        scene = self._scene(chosen[0])
        rolled = scene.rotated(yaw_deg)
        return [self._turned(example, scene, rolled, yaw_deg) for example in chosen]

    @staticmethod
    def _turned(example: Example, scene: Scene, rolled: Scene, yaw_deg: float) -> Example | None:
        extra = example.extra
        question = Question(extra["family"], json.loads(extra["program"]), example.question, example.answer)
        after = rotate_question(question, scene, yaw_deg)
        if after is None:
            return None
        extra = {**extra, "program": json.dumps(after.program), "aside": aside(rolled, after.program)}
        return replace(example, question=after.question, answer=after.answer, extra=extra)
