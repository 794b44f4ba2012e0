"""The settings of a run as plain values: their types and their bounds."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from panollava_hf._errors import CheckpointError
from panollava_hf._shown import shown

#: Largest height and width of a view, in pixels.
MAX_SIDE = 8192


def is_plain_text(value: Any, longest: int) -> bool:
    """Whether a value is a text of one line, without control characters and not too long."""
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()


#: Returns the value as it is used, or None if it has another type or is out of bounds.
Read = Callable[[Any], Any]


def _text(value: Any) -> str | None:
    return value if is_plain_text(value, 100) else None


def _resampler(value: Any) -> str | None:
    """The original's configs had three names for one resampler."""
    text = _text(value)
    return "bimamba" if text in ("bi_mamba", "bidirectional_mamba") else text


def _flag(value: Any) -> bool | None:
    return bool(value) if isinstance(value, bool | int) and value in (0, 1) else None


def _number(low: float, high: float) -> Read:
    """Reads a finite number of [low, high], also written as text: YAML reads `1e4` as a text."""

    def read(value: Any) -> int | float | None:
        if isinstance(value, str) and len(value) <= 40:
            try:
                value = float(value)
            except ValueError:
                return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return None
        return value

    return read


def _whole(value: Any) -> int | None:
    found = _number(0, 10_000_000)(value)
    return None if found is None or found != int(found) else int(found)


def _positive(high: float) -> Read:
    return _number(math.ulp(0.0), high)


_TEXT = (_text, "a text")
_FLAG = (_flag, "true or false")
_WHOLE = (_whole, "a whole number of at most 10,000,000")
_WEIGHT = (_number(-1e9, 1e9), "a finite number")

#: How each setting is read, and what is expected of it.
SETTINGS: Mapping[str, tuple[Read, str]] = {
    "resampler_type": (_resampler, "a text"),
    **dict.fromkeys(("crop_strategy", "stitching_mode", "stitch_interp"), _TEXT),
    **dict.fromkeys(("pe_view_encoding_type", "pe_spatial_encoding_type", "vicreg_mode"), _TEXT),
    **dict.fromkeys(("use_vicreg_norm", "resampler_norm_first", "resampler_enable_cross_view"), _FLAG),
    **dict.fromkeys(("stitch_target_to_view_width", "use_projection_positional_encoding"), _FLAG),
    "pe_enable_continuity": _FLAG,
    **dict.fromkeys(("latent_dimension", "resampler_hidden_dim", "resampler_depth", "resampler_d_state"), _WHOLE),
    **dict.fromkeys(("resampler_d_conv", "resampler_num_hidden_layers", "resampler_num_query_tokens"), _WHOLE),
    **dict.fromkeys(("resampler_attention_heads", "stitch_stride_offset", "stitch_target_cols", "lora_r"), _WHOLE),
    **dict.fromkeys(("vicreg_projector_depth", "vicreg_projector_dim"), _WHOLE),
    **dict.fromkeys(("vicreg_similarity_weight", "vicreg_variance_weight", "vicreg_covariance_weight"), _WEIGHT),
    **dict.fromkeys(("vicreg_loss_weight", "lora_alpha"), _WEIGHT),
    "resampler_expand": (_positive(1000.0), "a positive number"),
    "fov_deg": (_positive(360.0), "degrees above 0 and up to 360"),
    "overlap_ratio": (_number(0.0, math.nextafter(1.0, 0.0)), "a number of at least 0 and below 1"),
    "lora_dropout": (_number(0.0, 1.0), "a number from 0 to 1"),
    "pe_temperature": (_number(1e-3, 1e12), "a positive number, 10000 by default"),
}


def setting(name: str, value: Any, place: str) -> Any:
    """The value of a setting, checked.

    Args:
        name: One of `SETTINGS`.
        value: What was recorded.
        place: Where, for the message.

    Raises:
        CheckpointError: It has another type, or is out of bounds.
    """
    read, expected = SETTINGS[name]
    found = read(value)
    if found is None:
        raise CheckpointError(f"{name} is {shown(value)} in {place}; expected {expected}. Correct it there")
    return found


def view_size(value: Any, place: str) -> list[int] | None:
    """Height and width of the views in pixels; None if they are not recorded.

    Raises:
        CheckpointError: It is neither a whole number nor two, or out of bounds.
    """
    if value is None:
        return None
    sides = list(value) if isinstance(value, list | tuple) and len(value) == 2 else [value, value]
    found = [None if isinstance(side, str) else _whole(side) for side in sides]
    if not all(side is not None and 1 <= side <= MAX_SIDE for side in found):
        raise CheckpointError(
            f"image_size is {shown(value)} in {place}; expected one or two whole numbers from 1 to {MAX_SIDE}. "
            "Correct it there"
        )
    return [int(side) for side in found if side is not None]
