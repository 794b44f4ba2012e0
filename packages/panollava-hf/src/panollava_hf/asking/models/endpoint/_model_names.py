"""Which family a model at an endpoint belongs to: all that is known of it is its name."""

import re
from dataclasses import replace
from types import MappingProxyType

from panollava_hf.asking._families import FAMILIES, Family

#: Names that do not contain the family's `model_type`, the more specific first.
_ALIASES = (
    (r"llava.?(one.?vision|ov)", "llava_onevision"),
    (r"llava.?next.?video", "llava_next_video"),
    (r"llava.?(next|v?1[._]?6)|granite.*vision", "llava_next"),
    (r"qwen.?3.?vl.*a\d+b", "qwen3_vl_moe"),
    (r"qwen.?vl.?(max|plus)", "qwen2_5_vl"),
    (r"llama.?3[._]2.*vision", "mllama"),
    (r"mistral.?small.?(3|25)|ministral.?3|magistral|mistral.?medium|pixtral", "mistral3"),
    (r"internvl", "internvl"),
    (r"medgemma", "gemma3"),
    (r"glm.?4\.5v", "glm4v_moe"),
    (r"glm.?4\.6v", "glm46v"),
    (r"glm.?4\.1v", "glm4v"),
    (r"qwen.?2\.5.?omni", "qwen2_5_omni_thinker"),
    (r"qwen.?3.?omni", "qwen3_omni_moe_thinker"),
    (r"smolvlm", "smolvlm"),
)
#: Models of hosted services, at sizes at which a view is one tile.
_HOSTED = (
    (r"(^|/)(chatgpt|gpt|o[134])\b(?!-oss)", Family("gpt", view_size=512)),
    (r"(^|/)gemini", Family("gemini", view_size=768, box_format="gemma")),
    (r"claude", Family("claude", view_size=512)),
    (r"(^|/)grok", Family("grok", view_size=448)),
)


def family_named(name: str) -> Family:
    """The settings for a model at an endpoint.

    Directions are always written both before and into a view, because some servers move all images to the front. An
    unknown name gets the safe settings of an unknown family. A PanoLLaVA checkpoint, which `panollava serve` names
    `panollava…`, reads the panorama itself.

    Example:
        >>> family_named("qwen2.5vl:7b").name, family_named("google/gemma-3-27b-it").view_size
        ('qwen2_5_vl', 896)
        >>> family_named("my-model").known
        False
        >>> family_named("panollava-embedded").reads_panoramas
        True
    """
    lowered = name.lower()
    if lowered.rstrip("/").rpartition("/")[2].startswith("panollava"):
        return FAMILIES["panollava"]
    lowered = lowered.replace("panollava", "")
    found = (
        next((FAMILIES[key] for pattern, key in _ALIASES if key in FAMILIES and re.search(pattern, lowered)), None)
        or next((FAMILIES[key] for key in sorted(FAMILIES, key=len, reverse=True) if _matches(key, lowered)), None)
        or next((family for pattern, family in _HOSTED if re.search(pattern, lowered)), None)
        or Family("", known=False)
    )
    return replace(found, labels="both", settings=MappingProxyType({}), reads_panoramas=False)


def _matches(key: str, name: str) -> bool:
    """Whether a name contains a `model_type`, with any separators between its words and numbers."""
    pattern = r"[-_. ]?".join(re.findall(r"[a-z]+|\d", key))
    return re.search(pattern + (r"(?!\d)" if key[-1].isdigit() else ""), name) is not None
