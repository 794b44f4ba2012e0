"""What each family of vision-language models does best with the views of a panorama: one table.

A view is shown at the size at which more pixels would only be more tokens. Settings switch off what cuts an image into
tiles, because a view is already a tile. Token counts were measured with the processors of transformers 5.24. `describe`
is the default of families that were trained with one image in a prompt, or are weak with several.
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
        needs_image: Whether a prompt without an image is refused.
        expands: Whether a prompt holds a token for each feature of an image; else images are read by cross-attention.
        two_steps: Whether its processor takes images only after the chat template has been rendered.
        plain: Whether prompts have no roles, if the checkpoint has no chat template.
        placeholder: What stands for an image in a text, if that is not the processor's `image_token`.
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
    needs_image: bool = False
    expands: bool = True
    two_steps: bool = False
    plain: bool = False
    placeholder: str | None = None
    reads_panoramas: bool = False
    known: bool = True
    box_format: str = "qwen3-vl"


_QWEN = "<|vision_start|><|image_pad|><|vision_end|>"
_GLM = "<|begin_of_image|><|image|><|end_of_image|>"
_UNTILED = MappingProxyType({"do_image_splitting": False})
_ONE_PATCH = MappingProxyType({"crop_to_patches": False})
_NO_CROPS = MappingProxyType({"do_pan_and_scan": False})
_ONE_TILE = MappingProxyType({"vision_input_type": "vanilla"})  # images of different tilings cannot be stacked

_TABLE = (
    Family("panollava", max_images=1, reads_panoramas=True),
    # Qwen: a token for 28 pixels squared, from Qwen3-VL on 32
    Family("qwen2_vl", strategy="describe", placeholder=_QWEN, box_format="qwen2-vl"),
    # Reported weak with three or more images
    Family("qwen2_5_vl", strategy="describe", placeholder=_QWEN, box_format="qwen2.5-vl"),
    Family("qwen2_5_omni_thinker", strategy="describe", placeholder="<|vision_bos|><|IMAGE|><|vision_eos|>"),
    Family("qwen3_vl", placeholder=_QWEN),
    Family("qwen3_vl_moe", placeholder=_QWEN),
    Family("qwen3_omni_moe_thinker", placeholder=_QWEN),
    Family("qwen3_5", placeholder=_QWEN),
    Family("qwen3_5_moe", placeholder=_QWEN),
    # A token for 28 pixels squared
    Family("glm4v", placeholder=_GLM),
    Family("glm4v_moe", placeholder=_GLM),
    Family("glm46v", placeholder=_GLM),
    Family("mistral3"),
    Family("kimi_k25"),
    Family("video_llama_3"),
    # At most 256 tokens for an image
    Family("internvl", settings=_ONE_PATCH, box_format="internvl"),
    Family("gemma3", view_size=896, settings=_NO_CROPS, placeholder="<start_of_image>", box_format="gemma"),
    Family("gemma3n", view_size=768),
    Family("ovis2", settings=_ONE_PATCH),
    Family("cohere2_vision", view_size=512, settings=_ONE_PATCH),
    Family("lfm2_vl", view_size=512, settings=_UNTILED),
    Family("perception_lm", settings=_ONE_TILE),
    Family("aria", view_size=490, settings=MappingProxyType({"split_image": False, "max_image_size": 490})),
    Family("llama4", view_size=336, settings=MappingProxyType({"max_patches": 1})),
    # 64 to 169 tokens for an image
    Family("smolvlm", view_size=512, settings=_UNTILED),
    Family("idefics2", settings=_UNTILED),
    Family("idefics3", view_size=364, settings=_UNTILED),
    Family("aya_vision", view_size=364, settings=_ONE_PATCH),
    # All images stand before the text of a message: labels in the images, too
    Family("llava", view_size=336, strategy="describe", labels="both"),  # trained with one image; 576 tokens
    Family("vipllava", view_size=336, strategy="describe", labels="both"),
    Family("llava_next", view_size=336, strategy="describe", labels="both"),  # 1176 tokens, at 448 pixels 2928
    Family("llava_next_video", view_size=336, strategy="describe", labels="both"),
    Family("video_llava", view_size=224, strategy="describe", labels="both"),  # 256 tokens
    Family("llava_onevision", view_size=384, labels="both"),  # 730 tokens in prompts of several images, 1485 for one
    # 576 tokens for an image of any size
    Family("deepseek_vl", view_size=384),
    Family("deepseek_vl_hybrid", view_size=768),
    Family("janus", view_size=384),
    # 1024 tokens; without a chat template
    Family("chameleon", view_size=512, strategy="describe", labels="both", plain=True),
    # One image in a prompt
    Family("mllama", view_size=560, strategy="describe", max_images=1, expands=False),  # reads the last image only
    Family(
        "paligemma",
        strategy="describe",
        labels="both",
        max_images=1,
        needs_image=True,
        plain=True,
        box_format="paligemma",
    ),
    Family(
        "got_ocr2", view_size=1024, strategy="describe", labels="both", max_images=1, needs_image=True, two_steps=True
    ),
    Family(
        "blip-2",
        view_size=224,
        strategy="describe",
        labels="both",
        max_images=1,
        needs_image=True,
        plain=True,
        placeholder="",
    ),
    Family(
        "instructblip",
        view_size=224,
        strategy="describe",
        labels="both",
        max_images=1,
        needs_image=True,
        plain=True,
        placeholder="",
    ),
)
FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _TABLE})

#: Image-text-to-text models of transformers that cannot answer a question in a chat, and what they do instead.
NO_CHAT: Mapping[str, str] = MappingProxyType(
    {
        "blip": "writes captions",
        "git": "writes captions",
        "fuyu": "takes prompts of its own form",
        "kosmos-2": "writes captions with boxes",
        "kosmos-2.5": "reads text in documents",
        "pix2struct": "reads screens and documents",
        "florence2": "does tasks with fixed names",
        "udop": "reads documents",
        "pp_formulanet": "reads formulas",
        "pp_chart2table": "reads charts",
        "vision-encoder-decoder": "writes captions or reads text",
        "evolla": "reads proteins",
        "pi0": "moves robots",
        "shieldgemma2": "classifies images",
    }
)


def family_of(model_type: str) -> Family:
    """The settings of a family by its `model_type`; safe ones for a family that is not in the table."""
    found = FAMILIES.get(model_type) or FAMILIES.get(model_type.replace("-", "_"))  # 4.57 writes lfm2-vl
    return found or Family(model_type, labels="both", known=False)
