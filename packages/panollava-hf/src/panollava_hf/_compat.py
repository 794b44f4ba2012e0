"""Every difference between transformers 4.57 and current 5.x, found by feature and never by version number.

The rest of the package reads as if only the current release existed.
"""

import warnings
from dataclasses import fields
from typing import Any

import torch
from transformers import modeling_rope_utils
from transformers.generation import utils as generation_utils
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.processing_utils import ProcessorMixin

#: Name of the key-value cache in forward arguments and outputs: `cache` since 5.24, `past_key_values` before.
CACHE_NAME = "cache" if "cache" in {field.name for field in fields(BaseModelOutputWithPast)} else "past_key_values"

#: Whether `generate` itself stops passing pixel values once the prompt is in the cache (since 5.15).
GENERATE_DROPS_IMAGES = hasattr(generation_utils, "MULTIMODAL_INPUTS_TO_DROP_OUTSIDE_PREFILL")

#: Whether `ProcessorMixin.__call__` expands image placeholders through `replace_image_token` (since 5.15).
PROCESSOR_EXPANDS_PLACEHOLDERS = hasattr(ProcessorMixin, "replace_image_token")

#: Whether a config keeps all of its rotary settings in `rope_parameters` (since 5.0).
KNOWS_ROPE_PARAMETERS = hasattr(modeling_rope_utils, "RopeParameters")

try:
    from transformers.core_model_loading import PrefixChange

    #: Whether old names of a nested tower are only understood without the model's own prefix before them (5.6).
    TOWERS_WANT_NO_PREFIX = hasattr(PrefixChange, "with_submodel_prefix")
except ImportError:
    TOWERS_WANT_NO_PREFIX = False


def load_without_prefix(load: Any, prefix: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """`from_pretrained` of a headless model that takes a prefix off the names in the file before anything else."""
    pattern = rf"^{prefix}\."
    options.setdefault("key_mapping", {pattern: ""})
    loaded = load(*arguments, **options)
    model = loaded[0] if isinstance(loaded, tuple) else loaded
    rules = getattr(model, "_weight_conversions", None) or []
    model._weight_conversions = [rule for rule in rules if pattern not in rule.source_patterns] or None  # for saving
    return loaded


def readable_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """A stored config of a tower with its rotary settings where the installed release looks for them.

    4.57 would pass over `rope_parameters` in silence and turn by its own default base.
    """
    rope = settings.get("rope_parameters")
    if KNOWS_ROPE_PARAMETERS or not rope:
        return settings
    old: dict[str, Any] = {}
    if "sliding_attention" in rope:  # one set of settings per kind of layer, as Gemma 3 has
        old["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    direct = ("rope_theta", "partial_rotary_factor")
    old.update({name: rope[name] for name in direct if name in rope})
    if rope.get("rope_type", "default") != "default":
        old["rope_scaling"] = {name: value for name, value in rope.items() if name not in direct}
    return {**settings, **old}


def is_prefill(model_inputs: dict[str, Any], arguments: dict[str, Any]) -> bool:
    """Whether this step of `generate` reads the prompt, told from whichever sign the installed release gives."""
    if arguments.get("is_first_iteration"):
        return True
    position = model_inputs.get("cache_position")
    if position is not None:
        return bool(position[0] == 0)
    return not arguments.get("use_cache", True)


def take_cache(cache: Any, past_key_values: Any) -> dict[str, Any]:
    """The one given cache under the name that the installed language models accept."""
    if cache is not None and past_key_values is not None:
        raise ValueError("cache and past_key_values are two names of one argument: pass only one of them")
    if past_key_values is not None and CACHE_NAME == "cache":
        warnings.warn("`past_key_values` is deprecated, its name is `cache` now", FutureWarning, stacklevel=3)
    return {CACHE_NAME: past_key_values if cache is None else cache}


def slice_hidden_states(hidden_states: torch.Tensor, logits_to_keep: int | torch.Tensor) -> torch.Tensor:
    """Keep the positions whose logits are wanted: the last n (0: all), or those of an index tensor or a mask."""
    if isinstance(logits_to_keep, torch.Tensor) and logits_to_keep.ndim == 2:
        if logits_to_keep.dtype == torch.bool:
            return hidden_states[logits_to_keep]
        return torch.take_along_dim(hidden_states, logits_to_keep[..., None], dim=1)
    kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) and logits_to_keep else logits_to_keep
    return hidden_states[:, slice(None) if isinstance(kept, int) else kept]
