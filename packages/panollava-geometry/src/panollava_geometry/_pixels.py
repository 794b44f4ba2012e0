"""A decoded picture's pixels as 8-bit RGB, upright, with a mask of what it shows."""

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image, ImageOps

from panollava_geometry._errors import PanoramaError

_ORIENTATION = 0x0112


def is_turned(image: Image.Image) -> bool:
    """Whether the EXIF orientation exchanges width and height."""
    return image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)


def upright(image: Image.Image) -> Image.Image:
    """The picture as its EXIF orientation wants it (the same object when there is nothing to do)."""
    if image.getexif().get(_ORIENTATION, 1) in (2, 3, 4, 5, 6, 7, 8):
        return ImageOps.exif_transpose(image)
    return image


def to_rgb(image: Image.Image, name: str) -> tuple[Image.Image, Bool[ndarray, "height width"] | None]:
    """An RGB picture and, when it has fully transparent parts, the mask of the others.

    16-bit grey is scaled to 8 bits; transparency is blended onto black.

    Raises:
        PanoramaError: The picture holds floating point or 32-bit numbers, whose range is not known.
    """
    if image.mode == "RGB":
        return image, None
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise PanoramaError(f"{name}: 32-bit integers have no known range; save it with 8 or 16 bits")
        return Image.fromarray(scale_16_bit(values)).convert("RGB"), None
    if image.mode == "F":
        raise PanoramaError(f"{name}: floating-point pictures have no known range; tone-map it and save it with 8 bits")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        straight = image.convert("RGBA")
        alpha = straight.getchannel("A")
        shown = np.asarray(alpha) > 0
        black = Image.new("RGB", image.size)
        black.paste(straight.convert("RGB"), mask=alpha)
        return black, None if shown.all() else shown
    return image.convert("RGB"), None


def scale_16_bit(values: ndarray) -> UInt8[ndarray, "..."]:
    """0..65535 to 0..255, rounded."""
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
