"""Decode an image file to a full panorama, no finer than needed."""

import math

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image

from panollava_geometry._errors import PanoramaError
from panollava_geometry._gpano import CroppedArea, read_cropped_area
from panollava_geometry._rgb import is_turned, to_rgb, upright
from panollava_geometry._source import DECODE_ERRORS, check_pixels


def decode(
    image: Image.Image, name: str, width: int | None, *, draft: bool
) -> tuple[UInt8[ndarray, "height width 3"], Bool[ndarray, "height width"] | None]:
    """Decode an open image to a full panorama.

    Args:
        image: The image.
        name: Its name in error messages.
        width: Width that the panorama needs. A wider image may be reduced to a width that is at least this.
        draft: Decode a JPEG file at a reduced scale, and reduce other files by a whole factor.

    Returns:
        The panorama `[H, 2H, 3]`, and a mask that is False where the image shows nothing (None: nowhere).

    Raises:
        PanoramaError: The image is damaged, not 2:1, or has invalid GPano metadata or pixels of unknown range.
    """
    area = read_cropped_area(image, name)
    try:
        turned = is_turned(image)
        full_size = image.size[::-1] if turned else image.size
        check_shape(name, full_size, area)
        if width is not None:
            wanted = math.ceil(width * area.width / area.full_width) if area else width
            if draft and image.format == "JPEG":
                size = (wanted, math.ceil(wanted * full_size[1] / full_size[0]))
                image.draft(None, size[::-1] if turned else size)
        image.load()
        if width is not None and draft:
            factor = (image.size[1] if turned else image.size[0]) // max(wanted, 1)
            if factor >= 2 and image.mode in ("L", "RGB", "RGBA", "CMYK", "LA"):
                info = image.info
                image = image.reduce(factor)
                image.info = info
        rgb, mask = to_rgb(upright(image), name)
    except PanoramaError:
        raise
    except DECODE_ERRORS as error:
        raise PanoramaError(
            f"{name}: the image cannot be decoded ({error}); the file is damaged or incomplete"
        ) from error
    if area is not None:
        return _place(rgb, mask, area, name)
    height = round(rgb.size[0] / 2)
    if rgb.size != (2 * height, height):  # a scaled decode rounds the size
        rgb = rgb.resize((2 * height, height), Image.Resampling.BILINEAR)
        if mask is not None:
            mask = np.asarray(Image.fromarray(mask).resize((2 * height, height), Image.Resampling.NEAREST))
    return _to_array(rgb), mask


def _to_array(rgb: Image.Image) -> UInt8[ndarray, "height width 3"]:
    """The pixels as a writable array. Twice as fast as `numpy.array(rgb)`."""
    return np.frombuffer(bytearray(rgb.tobytes()), np.uint8).reshape(rgb.size[1], rgb.size[0], 3)


def check_shape(name: str, size: tuple[int, int], area: CroppedArea | None = None) -> None:
    """Check that an image of `size` (width, height) is 2:1, or as large as its GPano metadata says.

    Raises:
        PanoramaError: It is not.
    """
    width, height = size
    if area is None:
        if abs(width - 2 * height) > 2:
            raise PanoramaError(
                f"{name}: {width}x{height} is not a full equirectangular panorama, which is twice as wide as high; "
                "a partial panorama needs GPano metadata"
            )
        return
    if abs(width * area.height - height * area.width) > 0.01 * width * area.height:
        raise PanoramaError(
            f"{name}: the image is {width}x{height}, but its GPano metadata says {area.width}x{area.height}; "
            "remove or repair the XMP metadata"
        )
    check_pixels(name, round(width * area.full_width / area.width), round(height * area.full_height / area.height))


def _place(
    rgb: Image.Image, mask: ndarray | None, area: CroppedArea, name: str
) -> tuple[UInt8[ndarray, "height width 3"], Bool[ndarray, "height width"]]:
    """Place a partial panorama on the full sphere. The rest is black."""
    scale = rgb.size[0] / area.width
    height = max(1, round(area.full_width * scale / 2))
    check_pixels(name, 2 * height, height)
    left, top = round(area.left / area.full_width * 2 * height), round(area.top / area.full_height * height)
    right = min(2 * height, max(left + 1, round((area.left + area.width) / area.full_width * 2 * height)))
    bottom = min(height, max(top + 1, round((area.top + area.height) / area.full_height * height)))
    if rgb.size != (right - left, bottom - top):
        rgb = rgb.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        if mask is not None:
            mask = np.asarray(Image.fromarray(mask).resize(rgb.size, Image.Resampling.NEAREST))
    panorama, shown = np.zeros((height, 2 * height, 3), np.uint8), np.zeros((height, 2 * height), bool)
    panorama[top:bottom, left:right] = np.asarray(rgb)
    shown[top:bottom, left:right] = True if mask is None else mask
    return panorama, shown
