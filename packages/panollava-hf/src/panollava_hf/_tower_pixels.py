"""What a vision tower expects of its pixels: mean, standard deviation, and size."""

import math
from dataclasses import dataclass
from typing import Any

from transformers.image_processing_base import ImageProcessingMixin

from panollava_hf._errors import ModelError, boundary
from panollava_hf._shown import shown
from panollava_hf.outside._bounds import as_size
from panollava_hf.outside._hub_source import find_source
from panollava_hf.outside._json_file import read_object


@dataclass(frozen=True)
class TowerPixels:
    """What a vision tower expects of its pixels.

    Attributes:
        size: Height and width of its usual input; None if it does not say.
        mean: Mean per channel, for values in [0, 1].
        std: Standard deviation per channel.
    """

    size: tuple[int, int] | None
    mean: list[float]
    std: list[float]


def tower_pixels(name: str, **where: Any) -> TowerPixels:
    """What a vision tower expects of its pixels, from its `preprocessor_config.json`, or timm's `config.json`.

    Args:
        name: Vision tower, a folder or Hub id.
        where: Arguments of `find_source` for a Hub id.

    Raises:
        ModelError: The tower's folder or repository has no mean and std.
    """
    folder = find_source(name, "settings", **where)
    with boundary(
        ModelError,
        f"the vision tower {shown(name)} does not give the mean and std of its pixels",
        "add a preprocessor_config.json with image_mean and image_std next to its config.json",
    ):
        timm = read_object(folder / "config.json").get("pretrained_cfg") if (folder / "config.json").exists() else None
        if isinstance(timm, dict) and not (folder / "preprocessor_config.json").exists():
            height, width = timm["input_size"][-2:]
            return TowerPixels(as_size("input_size", (height, width)), list(timm["mean"]), list(timm["std"]))
        settings, _ = ImageProcessingMixin.get_image_processor_dict(folder)
        return TowerPixels(_usual_size(settings), list(settings["image_mean"]), list(settings["image_std"]))


def _usual_size(settings: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width of what a tower's image processor makes of a square image; None if it does not say."""
    crops = settings.get("do_center_crop", "crop_size" in settings) and settings.get("crop_size") is not None
    given = settings.get("crop_size" if crops else "size")
    patches, patch = settings.get("max_num_patches"), settings.get("patch_size")
    if given is None and isinstance(patches, int) and isinstance(patch, int) and patches > 0:  # SigLIP 2
        given = math.isqrt(patches) * patch
    if isinstance(given, dict):
        given = given.get("shortest_edge", [given.get("height"), given.get("width")])
    sides = given if isinstance(given, list) else [given, given]
    if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        return None
    return as_size("size of the image processor", sides)
