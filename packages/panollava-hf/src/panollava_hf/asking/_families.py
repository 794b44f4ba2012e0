"""What each family of vision-language models does best with the views of a panorama: one table.

A view is shown at the size at which more pixels would only be more tokens. Settings switch off what cuts an image into
tiles, because a view is already a tile. Token counts were measured with the processors of transformers 5.24.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from panollava_hf.asking._messages import Labels

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Family:
    """Safe settings of a family.

    Attributes:
        view_size: Height and width of a view in pixels.
        strategy: Default strategy.
        labels: Where the direction of a view is written. "both" where the chat template moves all images to the front.
        settings: Arguments of the image processor.
        max_images: Images that one prompt may hold; None: any number.
    """

    view_size: int = 448
    strategy: str = "views"
    labels: Labels = "text"
    settings: Mapping[str, Any] = field(default=_NONE)
    max_images: int | None = None


#: For a family that is not in the table.
SAFE = Family(labels="both")

_UNTILED = MappingProxyType({"do_image_splitting": False})
_ONE_PATCH = MappingProxyType({"crop_to_patches": False})

FAMILIES: dict[str, Family] = {
    "qwen2_vl": Family(strategy="describe"),
    "qwen2_5_vl": Family(strategy="describe"),  # reported weak with three or more images
    "qwen3_vl": Family(),
    "qwen3_vl_moe": Family(),
    "internvl": Family(settings=_ONE_PATCH),
    "gemma3": Family(view_size=896, settings=MappingProxyType({"do_pan_and_scan": False})),
    "llava": Family(view_size=336, labels="both"),
    "llava_next": Family(view_size=336, labels="both"),
    "llava_onevision": Family(view_size=384, labels="both"),
    "smolvlm": Family(view_size=512, settings=_UNTILED),
    "idefics2": Family(settings=_UNTILED),
    "idefics3": Family(view_size=364, settings=_UNTILED),
    "mistral3": Family(),
    "aya_vision": Family(view_size=364, settings=_ONE_PATCH),
    "mllama": Family(view_size=560, strategy="describe", max_images=1),  # text attends to the last image only
    "paligemma": Family(strategy="describe", labels="both", max_images=1),
}


def family_of(model_type: str) -> Family:
    """The settings of a family by its `model_type`; safe ones for a family that is not in the table."""
    return FAMILIES.get(model_type, SAFE)
