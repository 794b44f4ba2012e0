"""Images of scenes, and how much of each object is visible in them."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._backdrop import add_shadows, draw_backdrop
from panollava_hf.panoshapes._coverage import Coverage, cover, direction_vector, pixel_grid
from panollava_hf.panoshapes._scene import Scene, SceneObject
from panollava_hf.panoshapes._solids import BOUNDING_RADIUS

#: Narrower images do not show the shapes, wider ones do not fit in memory.
WIDTHS = (64, 8192)
_SHARE_WIDTH = 256


def check_width(width: int) -> None:
    """Check the width of an image.

    Raises:
        PanoShapesError: The width is not a multiple of 4 from 64 to 8192.
    """
    if width % 4 or not WIDTHS[0] <= width <= WIDTHS[1]:
        raise PanoShapesError(f"width {width}: expected a multiple of 4 from {WIDTHS[0]} to {WIDTHS[1]}")


def render_scene(scene: Scene, width: int = 1024) -> NDArray[np.uint8]:
    """Draw a scene as an equirectangular panorama.

    Args:
        scene: The scene.
        width: Width of the image in pixels, a multiple of 4.

    Returns:
        `[width / 2, width, 3]`, sRGB; yaw 0 is the centre column.

    Raises:
        PanoShapesError: The width is not a multiple of 4 from 64 to 8192.

    Example:
        >>> from panollava_hf.panoshapes import sample_scene
        >>> render_scene(sample_scene(0, "test", 3), width=128).shape
        (64, 128, 3)
    """
    check_width(width)
    light = direction_vector(scene.light_yaw_deg, scene.light_pitch_deg)
    image = draw_backdrop(scene, width)
    add_shadows(image, scene, light)
    for index in farthest_first(scene.objects):
        item = scene.objects[index]
        (rows, columns), share, bright = cover(item, width, light=light)
        behind = image[rows, columns]
        behind *= (1 - share)[..., None]
        behind += bright[..., None] * np.asarray(item.tint, np.float32)
        image[rows, columns] = behind
    np.clip(image, 0, 1, out=image)
    image *= 255
    image += 0.5
    return image.astype(np.uint8)


def object_ids(objects: Sequence[SceneObject], width: int) -> tuple[NDArray[np.int8], list[Coverage]]:
    """Which object each pixel shows.

    Returns:
        The index of the object at the centre of each pixel, `[width / 2, width]`, -1 where there is no object; and what
        each object would cover if nothing were in front of it.
    """
    ids = np.full((width // 2, width), -1, np.int8)
    covers = [cover(item, width, samples=1) for item in objects]
    for index in farthest_first(objects):
        (rows, columns), share, _ = covers[index]
        ids[rows, columns] = np.where(share > 0, np.int8(index), ids[rows, columns])
    return ids, covers


def solid_angles(objects: Sequence[SceneObject], width: int = _SHARE_WIDTH) -> list[tuple[float, float]]:
    """Solid angle of each object in steradians: its visible part, and all of it as if nothing were in front of it."""
    weights = pixel_grid(width).cos_latitude * np.float32(2 * math.pi * math.pi / (width * (width // 2)))
    ids, covers = object_ids(objects, width)
    return [
        (float(weights @ (ids == index).sum(1)), float(weights[patch.rows] @ share.sum(1)))
        for index, (patch, share, _) in enumerate(covers)
    ]


def farthest_first(objects: Sequence[SceneObject]) -> list[int]:
    """Indices of objects in the order in which to paint them.

    A ray meets bounding balls that do not touch in the order of their power |c|² - r², because the power is the product
    of the distances at which the ray enters and leaves a ball.
    """

    def power(index: int) -> float:
        item = objects[index]
        return item.distance**2 - (BOUNDING_RADIUS[item.shape] * item.radius) ** 2

    return sorted(range(len(objects)), key=power, reverse=True)
