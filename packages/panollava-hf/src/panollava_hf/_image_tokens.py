"""How many image tokens a panorama takes, and with which settings it takes fewer."""

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any

from panollava_core import resampler_class

from panollava_hf.configuration_panollava import PanoLLaVaConfig

#: What the fields are called where nothing else is said: as keys of a recipe.
RECIPE_NAMES = {name: f"model.config.{name}" for name in ("resampler_type", "num_latent_tokens", "view_size")}


def image_tokens(config: PanoLLaVaConfig) -> str:
    """Views, tokens of each and of a panorama, in words.

    Example:
        >>> image_tokens(PanoLLaVaConfig())
        '7 views of 224x224 pixels x 196 tokens = 1,372 image tokens per panorama'
    """
    views, (height, width) = len(config.view_plan()), config.image_size
    each, total = math.prod(config.token_grid()), config.num_image_tokens()
    how = (
        f"x {each:,} tokens" if views * each == total else f"x {each:,} tokens, with stitching {config.stitching_mode}"
    )
    return f"{views} view{'s' * (views != 1)} of {width}x{height} pixels {how} = {total:,} image tokens per panorama"


def fewer_image_tokens(config: PanoLLaVaConfig, names: Mapping[str, str] = RECIPE_NAMES) -> str:
    """Settings with which a panorama takes fewer tokens, and how many that would be.

    Args:
        config: The config now.
        names: What the fields are called for the user.

    Example:
        >>> fewer_image_tokens(PanoLLaVaConfig(), {"view_size": "--view-size"})
        'fewer: resampler_type=spatial_pool with num_latent_tokens=49 (343), --view-size=112 (343), or fewer views'
    """
    found = []
    for changes, tokens in _alternatives(config):
        settings = " with ".join(f"{names.get(name, name)}={value}" for name, value in changes.items())
        found.append(f"{settings} ({tokens:,})")
    return ", ".join(["fewer: " + ", ".join(found), "or fewer views"]) if found else "fewer: use fewer views"


def _alternatives(config: PanoLLaVaConfig) -> Iterator[tuple[dict[str, Any], int]]:
    keeps, total = resampler_class(config.resampler_type).keeps_tokens, config.num_image_tokens()
    quarter = max(1, math.prod(config.token_grid()) // 4)
    tried: list[dict[str, Any]] = [{"num_latent_tokens": quarter}]
    if keeps:
        tried[0] = {"resampler_type": "spatial_pool", **tried[0]}
        patch = getattr(config.vision_config, "patch_size", None)
        side = config.image_size[0] // 2
        tried.append({"view_size": side // patch * patch if isinstance(patch, int) and patch else side})
    for changes in tried:
        if all(value for value in changes.values()):
            changed = copy.deepcopy(config)
            for name, value in changes.items():
                setattr(changed, name, value)
            if (tokens := changed.num_image_tokens()) < total:
                yield changes, tokens
