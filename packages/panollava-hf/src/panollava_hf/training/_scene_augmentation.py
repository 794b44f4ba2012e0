"""Yaw augmentation of PanoShapes: a rotated scene is another scene, and its answers follow."""

from collections.abc import Sequence

import numpy as np

from panollava_hf._errors import PanoShapesError, TableError
from panollava_hf.data._dataset import YawAugmentation
from panollava_hf.data._examples import Example, Examples
from panollava_hf.data._order import Limit
from panollava_hf.panoshapes import scene_rotation
from panollava_hf.panoshapes._rotation import SceneRotation


def scene_augmentation(examples: Examples, split: str) -> YawAugmentation:
    """The yaw augmentation of a split written by `panollava data panoshapes`.

    Raises:
        TableError: There is no file with scenes. The directions in other tables cannot be rotated.
    """
    try:
        if examples.folder is None:
            raise PanoShapesError("a dataset on the Hub has no file of scenes")
        return _SceneAugmentation(scene_rotation(examples.folder, split))
    except PanoShapesError as error:
        raise TableError(
            f"{examples.name}: yaw augmentation needs the scenes of PanoShapes: {error}; set data.yaw_augmentation to "
            "false for other panoramas"
        ) from error


class _SceneAugmentation:
    """A rotation of PanoShapes scenes; a curriculum by `aside` limits the yaw itself."""

    def __init__(self, rotation: SceneRotation) -> None:
        self.rotation = rotation

    def draw_yaw(self, examples: Sequence[Example], limit: Limit | None, rng: np.random.Generator) -> float:
        limit_deg = limit.value if limit is not None and limit.column == "aside" else None
        return self.rotation.random_yaw(examples, rng, limit_deg)

    def rotate(self, examples: Sequence[Example], yaw_deg: float, rng: np.random.Generator) -> list[Example | None]:
        return self.rotation.rotate(examples, yaw_deg, rng)
