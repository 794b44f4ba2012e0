"""Checks of settings that come from files: types and ranges, with one-line messages.

The limits are far above anything in use. They keep a wrong or hostile value from taking all memory or never ending.
"""

import difflib
import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

from panollava_hf._shown import shown

#: Views of one panorama, pixels of one side of a view, and pixels and tokens of all views together.
MAX_VIEWS, MAX_SIDE, MAX_PIXELS, MAX_TOKENS = 1024, 8192, 2**28, 2**22
#: Width of a layer, and number of layers or blocks.
MAX_WIDTH, MAX_LAYERS = 2**18, 1024
#: Fields of tower configs that say how many modules are built.
REPEATS = (
    "num_hidden_layers num_layers n_layer n_layers encoder_layers decoder_layers num_decoder_layers num_encoder_blocks "
    "num_blocks num_stages depth depths num_experts num_local_experts n_routed_experts"
).split()


def require_count(name: str, value: Any, low: int, high: int, *, optional: bool = False) -> None:
    """Check a whole number.

    Raises:
        ValueError: It is of another type, or outside of [low, high].
    """
    if value is None and optional:
        return
    or_none = " or None" if optional else ""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number{or_none}, got {shown(value)}")
    if int(value) < low:
        raise ValueError(f"{name} must be at least {low}{or_none}, got {shown(value)}")
    if int(value) > high:
        raise ValueError(f"{name} must be at most {high}{or_none}, got {shown(value)}")


def require_number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> None:
    """Check a finite number.

    Raises:
        ValueError: It is of another type, not finite, or outside of [low, high].
    """
    finite = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not (finite and low <= value <= high):
        span = "" if (low, high) == (-math.inf, math.inf) else f" from {low:g} to {high:g}"
        raise ValueError(f"{name} must be a number{span}, got {shown(value)}")


def require_flag(name: str, value: Any) -> None:
    """Check a truth value.

    Raises:
        ValueError: It is of another type.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {shown(value)}")


def require_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Check one of several words.

    Raises:
        ValueError: It is none of them.
    """
    choices = tuple(choices)
    if not isinstance(value, str) or value not in choices:
        near = difflib.get_close_matches(value[:100], choices, 1) if isinstance(value, str) else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}{hint}")


def as_size(name: str, value: Any) -> tuple[int, int]:
    """Height and width from one whole number, two, or a dict with `height` and `width`.

    Raises:
        ValueError: It is none of these, or a side is outside of the limits.
    """
    if isinstance(value, dict):
        if not {"height", "width"} <= value.keys():
            raise ValueError(f"{name} must have a height and a width, got {shown(value)}")
        pair = [value["height"], value["width"]]
    else:
        pair = [value, value] if isinstance(value, Real) or not hasattr(value, "__len__") else list(value)
    if len(pair) != 2 or isinstance(value, str):
        raise ValueError(f"{name} must be one number or height and width, got {shown(value)}")
    pair = [int(side) if isinstance(side, float) and side.is_integer() else side for side in pair]
    for side in pair:
        require_count(name, side, 1, MAX_SIDE)
    return int(pair[0]), int(pair[1])


def require_plan(crop_strategy: Any, fov_deg: Any, overlap_ratio: Any, num_views: Any) -> None:
    """Check the settings that a panorama is cut with, before their views are made.

    Raises:
        ValueError: One has another type, or there would be too many views.
    """
    if not isinstance(crop_strategy, str):
        raise ValueError(f"crop_strategy must be a text, got {shown(crop_strategy)}")
    fovs = fov_deg if isinstance(fov_deg, tuple) and len(fov_deg) == 2 else (fov_deg, fov_deg)
    for fov in fovs:
        require_number("fov_deg", fov)
    require_number("overlap_ratio", overlap_ratio)
    require_count("num_views", num_views, 1, MAX_VIEWS, optional=True)
    if min(fovs) <= 0 or not 0 <= overlap_ratio < 1 or num_views is not None:
        return  # the other values are refused by plan_views
    tiles = 360 / fovs[0] / (1 - overlap_ratio)
    if crop_strategy == "anyres":
        tiles = 360 / fovs[0] * 180 / fovs[1]
    if tiles > MAX_VIEWS:
        raise ValueError(
            f"fov_deg={shown(fov_deg)} and overlap_ratio={shown(overlap_ratio)} give more than {MAX_VIEWS} views; use "
            "a larger fov_deg or a smaller overlap_ratio"
        )


def require_total(views: int, size: Sequence[int], grid: Sequence[int] | None = None) -> None:
    """Check the views of one panorama together.

    Args:
        views: Number of views.
        size: Height and width of each in pixels.
        grid: Rows and columns of tokens of each, where known.

    Raises:
        ValueError: They are too many, or too large together.
    """
    if views > MAX_VIEWS:
        raise ValueError(f"one panorama would have {views} views, expected at most {MAX_VIEWS}; use a larger fov_deg")
    if views * math.prod(size) > MAX_PIXELS:
        raise ValueError(
            f"{views} views of {size[0]}x{size[1]} pixels are more than {MAX_PIXELS:,} pixels; use fewer or smaller"
        )
    if grid is not None and views * math.prod(grid) > MAX_TOKENS:
        raise ValueError(
            f"{views} views of {grid[0]}x{grid[1]} tokens are more than {MAX_TOKENS:,} tokens; use fewer tokens"
        )


def require_buildable(part: str, settings: dict[str, Any]) -> None:
    """Check that a tower's config does not ask for thousands of layers.

    Args:
        part: Name of the tower's config, for messages.
        settings: Its fields.

    Raises:
        ValueError: A field counts too many layers.
    """
    for name in REPEATS:
        value = settings.get(name)
        total = sum(value) if isinstance(value, (list, tuple)) and all(map(_is_count, value)) else value
        if _is_count(total) and total > MAX_LAYERS:
            raise ValueError(f"{part}: {name}={shown(value)} is more than any model has; use its original config")
    for name in ("output_hidden_states", "use_cache"):
        if not isinstance(settings.get(name), bool | None):
            raise ValueError(f"{part}: {name} must be true or false, got {shown(settings[name])}")


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, Integral)
