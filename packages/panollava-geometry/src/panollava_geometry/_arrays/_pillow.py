"""Pillow images in place of arrays: how they are read, and how results become images of the same mode again.

Pillow is not imported here before an image of it arrives.
"""

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy import ndarray

from panollava_geometry._errors import PanoramaError, boundary

if TYPE_CHECKING:
    from PIL.Image import Image as Image
else:  # annotations are checked in the tests, where Pillow may not be imported
    Image = Any

#: Modes whose values are amounts, so that means of them have a meaning.
_AMOUNTS = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "F")
#: Further modes that `interpolation="nearest"` reads: indices, bits, integers, and hue, which is an angle.
_NUMBERS = ("I", "I;16", "I;16B", "I;16L")
_LABELS = ("1", "P", "PA", "HSV", *_NUMBERS)


def is_image(value: object) -> TypeGuard[Image]:
    """Whether a value is a Pillow image."""
    module: Any = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def array_from_image(image: Image, nearest: bool) -> ndarray:
    """The pixels of an image `[H, W]` or `[H, W, C]`, as they are stored.

    Args:
        image: An image of any mode.
        nearest: The pixels are only moved. Otherwise means of them are computed.

    Raises:
        PanoramaError: The mode is not supported, or the file of the image is damaged.
    """
    if image.mode not in _AMOUNTS and not (nearest and image.mode in _LABELS):
        if image.mode in _NUMBERS:
            remedy = "pass np.asarray(image, np.float32), or interpolation='nearest' for labels, masks and depth"
        elif image.mode in _LABELS:
            remedy = "call .convert('RGB') for colours, or pass interpolation='nearest' for labels and masks"
        else:
            remedy = "call .convert('RGB') first"
        raise PanoramaError(f"the values of an image of mode {image.mode} cannot be averaged: {remedy}")
    with boundary("the image cannot be read", "open the file again, or load it with load_equirectangular(…)"):
        return np.asarray(image)


def image_from_array(array: ndarray, like: Image) -> Image:
    """An image of the mode, palette and colour profile of another one.

    Args:
        array: `[h, w]` or `[h, w, C]`, with the dtype and channels of `np.asarray(like)`.
        like: The image that the pixels are from.
    """
    from PIL import Image as pillow

    if like.mode == "1":
        made = pillow.fromarray(array)
    else:
        made = pillow.frombytes(like.mode, (array.shape[1], array.shape[0]), np.ascontiguousarray(array).tobytes())
    if like.palette is not None and like.mode in ("P", "PA"):
        made.putpalette(like.palette.palette, like.palette.mode)
    made.info = {name: like.info[name] for name in ("icc_profile", "transparency") if name in like.info}
    return made
