"""Convert decoded images to upright 8-bit RGB, with a mask of the pixels they show."""

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image, ImageOps

from panollava_geometry._errors import PanoramaError

_ORIENTATION = 0x0112


def is_turned(image: Image.Image) -> bool:
    """Whether the EXIF orientation swaps width and height."""
    return image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation. Without one, the same object is returned."""
    if image.getexif().get(_ORIENTATION, 1) in (2, 3, 4, 5, 6, 7, 8):
        return ImageOps.exif_transpose(image)
    return image


def to_rgb(image: Image.Image, name: str) -> tuple[Image.Image, Bool[ndarray, "height width"] | None]:
    """Convert an image to RGB. 16-bit grey is scaled to 8 bits, transparency is blended with black.

    Args:
        image: A decoded image of any mode.
        name: Its name in error messages.

    Returns:
        The RGB image, and a mask that is False where the image is fully transparent (None: nowhere).

    Raises:
        PanoramaError: The pixels are floating-point or 32-bit numbers, whose range is not known.
    """
    if image.mode == "RGB":
        return image, None
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise PanoramaError(f"{name}: the range of 32-bit integers is not known; save the image with 8 or 16 bits")
        return Image.fromarray(scale_16_bit(values)).convert("RGB"), None
    if image.mode == "F":
        raise PanoramaError(
            f"{name}: the range of floating-point images is not known; tone-map the image and save it with 8 bits"
        )
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        straight = image.convert("RGBA")
        alpha = straight.getchannel("A")
        shown = np.asarray(alpha) > 0
        black = Image.new("RGB", image.size)
        black.paste(straight.convert("RGB"), mask=alpha)
        return black, None if shown.all() else shown
    return image.convert("RGB"), None


def scale_16_bit(values: ndarray) -> UInt8[ndarray, "..."]:
    """Scale 0..65535 to 0..255, rounded."""
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
