"""Differences between transformers 4.57 and current 5.x that the models meet, detected by feature, not by version.

A few more are handled where they occur: registration (`_auto`), exported files (`hub`) and training arguments.
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

#: Whether `ProcessorMixin.__call__` expands image placeholders with `replace_image_token` (since 5.15).
PROCESSOR_EXPANDS_PLACEHOLDERS = hasattr(ProcessorMixin, "replace_image_token")

#: Whether a config keeps all of its rotary settings in `rope_parameters` (since 5.0).
HAS_ROPE_PARAMETERS = hasattr(modeling_rope_utils, "RopeParameters")

try:
    from transformers.core_model_loading import PrefixChange

    #: Whether the old weight names of a nested tower are only recognised without the model's own prefix (5.6).
    TOWERS_WANT_NO_PREFIX = hasattr(PrefixChange, "with_submodel_prefix")
except ImportError:
    TOWERS_WANT_NO_PREFIX = False


def load_without_prefix(load: Any, prefix: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """`from_pretrained` of a headless model that removes a prefix from the weight names in the file first."""
    pattern = rf"^{prefix}\."
    options.setdefault("key_mapping", {pattern: ""})
    loaded = load(*arguments, **options)
    model = loaded[0] if isinstance(loaded, tuple) else loaded
    rules = getattr(model, "_weight_conversions", None) or []
    model._weight_conversions = [rule for rule in rules if pattern not in rule.source_patterns] or None  # for saving
    return loaded


def readable_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """A stored config of a tower with its rotary settings in the fields that the installed release reads.

    4.57 ignores `rope_parameters` without a warning and uses its own default base.
    """
    rope = settings.get("rope_parameters")
    if HAS_ROPE_PARAMETERS or not rope:
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
    """Whether this step of `generate` reads the prompt; each release passes another argument that shows it."""
    if arguments.get("is_first_iteration"):
        return True
    position = model_inputs.get("cache_position")
    if position is not None:
        return bool(position[0] == 0)
    return not arguments.get("use_cache", True)


def take_cache(cache: Any, past_key_values: Any) -> dict[str, Any]:
    """The given cache under the name that the installed language models accept.

    Raises:
        ValueError: Both names were given.
    """
    if cache is not None and past_key_values is not None:
        raise ValueError("cache and past_key_values are two names of the same argument; pass only one of them")
    if past_key_values is not None and CACHE_NAME == "cache":
        warnings.warn("`past_key_values` is deprecated; use `cache`", FutureWarning, stacklevel=3)
    return {CACHE_NAME: past_key_values if cache is None else cache}


def slice_hidden_states(hidden_states: torch.Tensor, logits_to_keep: int | torch.Tensor) -> torch.Tensor:
    """Keep the positions whose logits are needed: the last n (0: all), or those of an index tensor or a mask."""
    if isinstance(logits_to_keep, torch.Tensor) and logits_to_keep.ndim == 2:
        if logits_to_keep.dtype == torch.bool:
            return hidden_states[logits_to_keep]
        return torch.take_along_dim(hidden_states, logits_to_keep[..., None], dim=1)
    kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) and logits_to_keep else logits_to_keep
    return hidden_states[:, slice(None) if isinstance(kept, int) else kept]
