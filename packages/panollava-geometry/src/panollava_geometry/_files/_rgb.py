"""Convert decoded images to 8-bit sRGB, with a mask of the pixels they show."""

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image

from panollava_geometry._errors import PanoramaError, boundary
from panollava_geometry._files._colour_profile import to_srgb


def to_rgb(image: Image.Image, name: str) -> tuple[Image.Image, Bool[ndarray, "height width"] | None]:
    """Convert an image to sRGB. 16-bit grey is scaled to 8 bits, transparency is blended with black.

    Args:
        image: A decoded image of any mode.
        name: Its name in error messages.

    Returns:
        The RGB image, and a mask that is False where the image is fully transparent (None: nowhere).

    Raises:
        PanoramaError: The pixels are floating-point or 32-bit numbers, whose range is not known.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "RGB":
        return to_srgb(image, profile, name) or image, None
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise PanoramaError(f"{name}: the range of 32-bit integers is not known; save the image with 8 or 16 bits")
        grey = Image.fromarray(scale_16_bit(values))
        return to_srgb(grey, profile, name) or grey.convert("RGB"), None
    check_range(image, name)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        straight = _convert(image, "RGBA", name)
        alpha = straight.getchannel("A")
        shown = np.asarray(alpha) > 0
        black = Image.new("RGB", image.size)
        opaque = straight.convert("L" if image.mode in ("LA", "La", "L") else "RGB")
        black.paste(to_srgb(opaque, profile, name) or opaque.convert("RGB"), mask=alpha)
        return black, None if shown.all() else shown
    return to_srgb(image, profile, name) or _convert(image, "RGB", name), None


def check_range(image: Image.Image, name: str) -> None:
    """Check that pixels are not floating-point numbers.

    Raises:
        PanoramaError: They are.
    """
    if image.mode == "F":
        raise PanoramaError(
            f"{name}: the range of floating-point images is not known; tone-map the image and save it with 8 bits"
        )


def _convert(image: Image.Image, mode: str, name: str) -> Image.Image:
    with boundary(f"{name}: an image of mode {image.mode} cannot be converted to RGB", "save it as RGB with 8 bits"):
        return image.convert(mode)


def scale_16_bit(values: ndarray) -> UInt8[ndarray, "..."]:
    """Scale 0..65535 to 0..255, rounded."""
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
