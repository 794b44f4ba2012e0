"""Facts about a vision tower from its config: token grid, number of prefix tokens, feature size, list of blocks.

Nothing here needs weights. For towers with patches the grid is plain arithmetic. Feature-map towers (CNNs, Swin) and
timm models are built once on the meta device, where a forward pass needs no memory and gives the size of the map.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import transformers  # AutoModel is resolved where it is used: in 4.57 it loads torch._dynamo
from torch import nn
from transformers import AutoConfig, PretrainedConfig
from transformers.utils import ModelOutput

Grid = tuple[int, int]

#: Number of tokens before the grid by `model_type`: CLS and distillation tokens; registers are added to it. All these
#: towers cut their input into squares of `patch_size`. For other types with a `patch_size`, all tokens in excess of the
#: grid are assumed to come first.
_PREFIX_TOKENS = {
    "siglip_vision_model": 0,
    "siglip2_vision_model": 0,
    "clip_vision_model": 1,
    "vit": 1,
    "deit": 2,
    "beit": 1,
    "ijepa": 0,
    "dinov2": 1,
    "dinov2_with_registers": 1,
    "dinov3_vit": 1,
}
#: Towers whose token grid is not the image size divided by `patch_size`.
_FEATURE_MAP_TYPES = {"timm_wrapper", "convnext", "convnextv2", "dinov3_convnext", "swin", "swinv2", "resnet", "regnet"}


def vision_config_of(config: PretrainedConfig) -> PretrainedConfig:
    """Return the vision part of a full SigLIP or CLIP config, or the config itself if it has none."""
    part = getattr(config, "vision_config", None)
    return part if isinstance(part, PretrainedConfig) else config


def as_pair(size: int | Sequence[int]) -> Grid:
    """Return an int or a (height, width) sequence as a pair of ints."""
    if isinstance(size, int):
        return size, size
    if len(size) != 2:
        raise ValueError(f"expected one size or (height, width), got {tuple(size)}")
    return int(size[0]), int(size[1])


def default_image_size(config: PretrainedConfig) -> Grid:
    """Return the (height, width) in pixels that the tower is configured for.

    Raises:
        ValueError: the config has no image size; pass `image_size` then.
    """
    if config.model_type == "timm_wrapper":
        arguments = config.model_args or {}
        if "img_size" in arguments:
            return as_pair(arguments["img_size"])
        pretrained = getattr(config, "pretrained_cfg", None) or timm_pretrained_cfg(config.architecture)
        return as_pair(pretrained["input_size"][-2:])
    if config.model_type == "siglip2_vision_model":
        # NaFlex: a square table of `num_patches` position embeddings that is resized to any grid.
        side = int(config.num_patches**0.5)
        return side * config.patch_size, side * config.patch_size
    size = getattr(config, "image_size", None)
    if size is None:
        raise ValueError(f"a {config.model_type} config has no image_size; pass image_size=(height, width)")
    return as_pair(size)


def timm_pretrained_cfg(architecture: str) -> dict:
    """Return the input size and pixel statistics that timm lists for an architecture (no weights, no network)."""
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(architecture)
    if found is None:
        raise ValueError(f"timm lists no input size for {architecture!r}; pass image_size=(height, width)")
    return found.to_dict()


def vision_token_grid(config: PretrainedConfig, image_size: int | Sequence[int] | None = None) -> Grid:
    """Return the (rows, columns) of tokens that a tower makes of an image, from its config alone.

    Args:
        config: config of a vision tower, or a full SigLIP or CLIP config.
        image_size: pixels, one number or (height, width); default: the config's size.

    Returns:
        `(H', W')`; CLS and register tokens are not counted.

    Raises:
        ValueError: the image is smaller than one patch, or no `image_size` is given and the config has none.

    Example:
        >>> from panollava_core import vision_token_grid
        >>> from transformers import SiglipVisionConfig
        >>> vision_token_grid(SiglipVisionConfig(image_size=224, patch_size=16))
        (14, 14)
        >>> vision_token_grid(SiglipVisionConfig(image_size=224, patch_size=16), (160, 320))
        (10, 20)
    """
    config = vision_config_of(config)
    height, width = default_image_size(config) if image_size is None else as_pair(image_size)
    if is_feature_map(config):
        return _probed_grid(config.to_json_string(use_diff=False), height, width)
    patch_height, patch_width = as_pair(config.patch_size)
    if height < patch_height or width < patch_width:
        raise ValueError(
            f"an image of {height}x{width} pixels is smaller than one patch of {patch_height}x{patch_width}"
        )
    return height // patch_height, width // patch_width


def is_feature_map(config: PretrainedConfig) -> bool:
    """Whether the token grid is that of a feature map and not the image size divided by `patch_size`."""
    return config.model_type in _FEATURE_MAP_TYPES or getattr(config, "patch_size", None) is None


def num_prefix_tokens(config: PretrainedConfig) -> int | None:
    """Return the number of tokens before the grid, or None if only the tower's output shows it."""
    count = _PREFIX_TOKENS.get(config.model_type)
    return None if count is None else count + int(getattr(config, "num_register_tokens", 0) or 0)


def has_cls_token(tower: Any) -> bool:
    """Whether the first token before the grid is a CLS token. Some of timm's towers have registers only."""
    timm_model = getattr(tower, "timm_model", None)
    return timm_model is None or getattr(timm_model, "cls_token", None) is not None


@lru_cache(maxsize=64)
def _probed_grid(config_json: str, height: int, width: int) -> Grid:
    tower = _on_meta(config_json)
    with torch.device("meta"), torch.no_grad():
        output = run_tower(tower, torch.empty(1, 3, height, width)).last_hidden_state
    return feature_grid(tower, output, (height, width))


def run_tower(tower: Any, pixel_values: torch.Tensor, *, pool: bool = False, **options: Any) -> ModelOutput:
    """Run the tower, with timm's pooling only if it is requested."""
    if getattr(tower.config, "model_type", None) == "timm_wrapper":
        options["do_pooling"] = pool
    return tower(pixel_values, return_dict=True, **options)


def feature_grid(tower: Any, output: torch.Tensor, image_size: Grid) -> Grid:
    """Return the token grid of a feature-map tower from its `output` for an image of `image_size` pixels."""
    if output.ndim == 4:
        first = 1 if is_channels_last(tower) else 2
        return output.shape[first], output.shape[first + 1]
    timm_model = getattr(tower, "timm_model", None)
    if timm_model is not None:
        embed = getattr(timm_model, "patch_embed", None)
        if embed is not None and hasattr(embed, "dynamic_feat_size"):
            return as_pair(embed.dynamic_feat_size(image_size))
    elif tower.config.model_type == "dinov3_convnext":
        stages = len(tower.config.depths)
        return as_pair([size // 4 // 2 ** (stages - 1) for size in image_size])
    elif tower.config.model_type in ("swin", "swinv2"):
        # Every stage but the last halves the map, an odd side rounded up by padding.
        grid = [-(-size // tower.config.patch_size) for size in image_size]
        for _ in tower.config.depths[1:]:
            grid = [-(-side // 2) for side in grid]
        return as_pair(grid)
    raise ValueError(
        f"cannot determine the token grid of {type(tower).__name__} from its output of shape {tuple(output.shape)}; "
        "choose a tower that returns a feature map [N, C, H, W] or whose config has a patch_size"
    )


def is_channels_last(tower: Any) -> bool:
    """Whether a 4-D output is [N, H, W, C] (as of timm's Swin) instead of [N, C, H, W]."""
    return getattr(getattr(tower, "timm_model", None), "output_fmt", "NCHW") == "NHWC"


def tower_blocks(tower: nn.Module) -> list[nn.Module]:
    """Return the tower's blocks in order.

    They are the outermost list named layers, layer, blocks or stages, or the modules layer1 … layer4 (timm ResNets).

    Raises:
        ValueError: there is no such list; set `requires_grad` by hand then.
    """
    for name, module in sorted(tower.named_modules(), key=lambda item: item[0].count(".")):
        is_list = isinstance(module, nn.ModuleList | nn.Sequential)
        if is_list and len(module) and name.rpartition(".")[2] in ("layers", "layer", "blocks", "stages"):
            return list(module)
    numbered = {
        name.rpartition(".")[2]: module
        for name, module in tower.named_modules()
        if name.count(".") <= 1 and name.rpartition(".")[2] in ("layer1", "layer2", "layer3", "layer4")
    }
    if numbered:
        return [numbered[name] for name in sorted(numbered)]
    raise ValueError(
        f"no list of blocks (layers, layer, blocks or stages) in {type(tower).__name__}; use trainable_blocks=0 or -1 "
        "and set requires_grad by hand"
    )


def vision_width(config: PretrainedConfig) -> int:
    """Return D_vision, the width of a tower's tokens, from its config alone.

    Example:
        >>> from panollava_core import vision_width
        >>> from transformers import ResNetConfig
        >>> vision_width(ResNetConfig(hidden_sizes=[32, 64, 96]))
        96
    """
    config = vision_config_of(config)
    if getattr(config, "hidden_sizes", None):
        return int(config.hidden_sizes[-1])
    if config.model_type != "timm_wrapper":
        return int(config.hidden_size)
    return _timm_width(config.to_json_string(use_diff=False))


@lru_cache(maxsize=32)
def _timm_width(config_json: str) -> int:
    return int(_on_meta(config_json).timm_model.num_features)


def _on_meta(config_json: str) -> Any:
    """Build a tower on the meta device from its config as JSON, which unlike the config can be a key of a cache."""
    values = json.loads(config_json)
    with torch.device("meta"):
        return transformers.AutoModel.from_config(AutoConfig.for_model(values.pop("model_type"), **values)).eval()
