"""Yaw augmentation: the questions of PanoShapes rotate with their panorama."""

from collections.abc import Sequence

import numpy as np

from panollava_hf._errors import PanoShapesError, TableError
from panollava_hf.data._dataset import Roller
from panollava_hf.data._examples import Example, Examples
from panollava_hf.panoshapes import scene_rotation
from panollava_hf.panoshapes._rotation import SceneRotation


def scene_roller(examples: Examples, split: str) -> Roller:
    """Rotate the examples of a split that `panollava data panoshapes` wrote.

    Raises:
        TableError: The table has no scenes.
    """
    advice = "set data.roll to false for panoramas that are not from PanoShapes"
    if examples.folder is None:
        raise TableError(f"{examples.name}: rolling needs the scenes of PanoShapes; {advice}")
    try:
        return _Roller(scene_rotation(examples.folder, split))
    except PanoShapesError as error:
        raise TableError(f"{examples.name}: rolling needs the scenes of PanoShapes: {error}; {advice}") from error


class _Roller:
    def __init__(self, rotation: SceneRotation) -> None:
        self.rotation = rotation

    def yaw(self, chosen: Sequence[Example], rng: np.random.Generator, easy: tuple[str, float] | None) -> float:
        limit = easy[1] if easy is not None and easy[0] == "aside" else None
        return self.rotation.random_yaw(chosen, rng, limit)

    def __call__(self, chosen: Sequence[Example], yaw_deg: float) -> list[Example | None]:
        return self.rotation.rotate(chosen, yaw_deg)
