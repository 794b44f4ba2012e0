"""How many tokens an image costs at an endpoint, by the published formulas of the families.

Servers do not say it before they are asked. None where the number depends on the settings of the server.
Sources: the processors of transformers 5.24 with the settings of the published checkpoints, and for hosted models
https://platform.openai.com/docs/guides/images-vision#calculating-costs.
"""

import math
import re
from collections.abc import Iterator

from panollava_hf.asking._boxes import resized_size
from panollava_hf.asking._chat import Request, parts_of
from panollava_hf.asking._data_url import size_in_data_url

#: Qwen2-VL and Qwen2.5-VL: side of a token, smallest and largest image in pixels; and the same for Qwen3-VL.
_QWEN = {
    "qwen2_vl": (28, 56 * 56, 12_845_056),
    "qwen2_5_vl": (28, 56 * 56, 12_845_056),
    "qwen3_vl": (32, 256 * 256, 16_777_216),
    "qwen3_vl_moe": (32, 256 * 256, 16_777_216),
}
_FIXED = {"gemma3": 256, "llava": 576}
#: Hosted models with tiles of 512 pixels: tokens of an image and of each tile; the more specific names first.
_TILED = (
    ("gpt-4o-mini", 2833, 5667),
    ("gpt-4o", 85, 170),
    ("chatgpt-4o", 85, 170),
    ("gpt-4.1-mini", None, None),
    ("gpt-4.1-nano", None, None),
    ("gpt-4.1", 85, 170),
    ("gpt-4.5", 85, 170),
    ("o1", 75, 150),
    ("o3", 75, 150),
)


def image_tokens(family: str, model: str, size: tuple[int, int]) -> int | None:
    """Tokens of one image.

    Args:
        family: Name of the family.
        model: Name of the model at the endpoint.
        size: Width and height of the image in pixels.

    Example:
        >>> image_tokens("qwen2_5_vl", "", (448, 448)), image_tokens("internvl", "", (672, 672))
        (256, 1282)
        >>> image_tokens("gpt", "gpt-4o", (1024, 1024))
        765
    """
    width, height = size
    if family in _QWEN:
        side, least, most = _QWEN[family]
        rows, columns = (pixels // side for pixels in resized_size(height, width, side, least, most))
        return rows * columns
    if family == "internvl":
        columns, rows = _internvl_tiles(width, height)
        tiles = columns * rows
        return 256 * (tiles + (tiles > 1)) + 2  # a thumbnail, and the marks around the image
    if family == "gpt":
        return _hosted(model, width, height)
    if family == "gemini":
        return 258 * (1 if max(size) <= 384 else math.ceil(width / 768) * math.ceil(height / 768))
    return _FIXED.get(family)


def _internvl_tiles(width: int, height: int, side: int = 448, most: int = 12) -> tuple[int, int]:
    """The grid of at most 12 tiles whose shape is closest; the larger one if the image fills half of it."""
    best, best_difference = (1, 1), math.inf
    grids = {(c, r) for c in range(1, most + 1) for r in range(1, most + 1) if c * r <= most}
    for columns, rows in sorted(grids, key=lambda grid: (grid[0] * grid[1], grid)):
        difference = abs(width / height - columns / rows)
        fills = width * height > 0.5 * side**2 * columns * rows
        if difference < best_difference or (difference == best_difference and fills):
            best, best_difference = (columns, rows), difference
    return best


def _hosted(model: str, width: int, height: int) -> int | None:
    name = model.lower().rpartition("/")[2]
    base, tile = next(
        ((base, tile) for start, base, tile in _TILED if re.match(rf"{re.escape(start)}\b", name)), (None, None)
    )
    if base is None or tile is None:
        return None
    shrink = min(1.0, 2048 / max(width, height))
    shrink = min(shrink, 768 / min(width, height)) if min(width, height) * shrink > 768 else shrink
    return base + tile * math.ceil(width * shrink / 512) * math.ceil(height * shrink / 512)


def image_sizes(request: Request) -> Iterator[tuple[int, int]]:
    """Width and height of each image in a request; of images that are only named by an address nothing is known."""
    for message in request.messages:
        for part in parts_of(message):
            if part.get("type") == "image_url" and ";base64," in part["image_url"]["url"]:
                yield size_in_data_url(part["image_url"]["url"])
