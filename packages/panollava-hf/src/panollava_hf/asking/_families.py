"""What each family of vision-language models does best with the views of a panorama: one table.

A view is shown at the size at which more pixels would only be more tokens. Settings switch off what cuts an image into
tiles, because a view is already a tile. Token counts were measured with the processors of transformers 5.24.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Labels = Literal["text", "burnt-in", "both"]


@dataclass(frozen=True)
class Family:
    """Safe settings of a family.

    Attributes:
        name: The `model_type` of its config.
        view_size: Height and width of a view in pixels.
        strategy: Default strategy.
        labels: Where the direction of a view is written. "both" where the chat template moves all images to the front.
        settings: Arguments of the image processor.
        max_images: Images that one prompt may hold; None: any number.
        reads_panoramas: It cuts its own views from a panorama, as PanoLLaVA does; `views` is its only strategy.
        known: Whether it is in the table.
        box_format: How it writes boxes, one of `_boxes.BOX_FORMATS`.
    """

    name: str = ""
    view_size: int = 448
    strategy: str = "views"
    labels: Labels = "text"
    settings: Mapping[str, Any] = field(default_factory=dict)
    max_images: int | None = None
    reads_panoramas: bool = False
    known: bool = True
    box_format: str = "qwen3-vl"


_UNTILED = MappingProxyType({"do_image_splitting": False})
_ONE_PATCH = MappingProxyType({"crop_to_patches": False})

_TABLE = (
    Family("panollava", max_images=1, reads_panoramas=True),
    Family("qwen2_vl", strategy="describe", box_format="qwen2-vl"),
    Family("qwen2_5_vl", strategy="describe", box_format="qwen2.5-vl"),  # reported weak with three or more images
    Family("qwen3_vl"),
    Family("qwen3_vl_moe"),
    Family("internvl", settings=_ONE_PATCH, box_format="internvl"),
    Family("gemma3", view_size=896, settings=MappingProxyType({"do_pan_and_scan": False}), box_format="gemma"),
    Family("llava", view_size=336, labels="both"),
    Family("llava_next", view_size=336, labels="both"),
    Family("llava_onevision", view_size=384, labels="both"),
    Family("smolvlm", view_size=512, settings=_UNTILED),
    Family("idefics2", settings=_UNTILED),
    Family("idefics3", view_size=364, settings=_UNTILED),
    Family("mistral3"),
    Family("aya_vision", view_size=364, settings=_ONE_PATCH),
    Family("mllama", view_size=560, strategy="describe", max_images=1),  # text attends to the last image only
    Family("paligemma", strategy="describe", labels="both", max_images=1, box_format="paligemma"),
)
FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _TABLE})


def family_of(model_type: str) -> Family:
    """The settings of a family by its `model_type`; safe ones for a family that is not in the table."""
    return FAMILIES.get(model_type, Family(model_type, labels="both", known=False))
