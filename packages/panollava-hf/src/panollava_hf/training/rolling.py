"""Rolling PanoShapes: when a panorama is turned, its questions and answers turn with it."""

import json
from collections.abc import Sequence
from dataclasses import replace

from panollava_hf.data.examples import Example, Examples
from panollava_hf.data.panoramas import Rotate
from panollava_hf.data.panoshapes import Question, Scene, rotate_question
from panollava_hf.data.tables import TableError


def scene_roller(examples: Examples, split: str) -> Rotate:
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

    def __call__(self, chosen: Sequence[Example], yaw_deg: float) -> list[Example]:
        scene = Scene.from_dict(json.loads(self.texts[chosen[0].extra["scene"]]))
        turned = []
        for example in chosen:
            question = Question(
                example.extra["family"], json.loads(example.extra["program"]), example.question, example.answer
            )
            after = rotate_question(question, scene, yaw_deg)
            if after is not None:
                program = json.dumps(after.program)
                extra = {**example.extra, "program": program}
                turned.append(replace(example, question=after.question, answer=after.answer, extra=extra))
        return turned
