"""Open formats for which Pillow needs another library: HEIC and JPEG XL. Each is an extra of this package.

HEIC is read by pi-heif, or by pillow-heif if that is installed; nothing is registered with Pillow. JPEG XL is read by
imagecodecs, or by a plugin that the program has registered with Pillow.
"""

import io
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
from PIL import Image, features

from panollava_geometry._errors import PanoramaError, PanoramaWarning
from panollava_geometry._sources._file_kinds import HEAD, JXL_CONTAINER, file_kind, jxl_size
from panollava_geometry._sources._media_boxes import boxes

#: Formats whose plugins decode when they open a file. They are opened here only, after the size was checked.
CHECKED_FORMATS = ("JXL",)
#: Bytes of an XMP packet that are read.
_MAX_XMP = 4 * 2**20
_LOAD_HDR = "load it with panollava_geometry.files.load_hdr"
_VIDEO_FRAMES = "a video: read its frames with panollava_geometry.files.video_frames"
_OTHER = {
    "avif": "an AVIF image, and this Pillow is built without AVIF: pip install --upgrade pillow",
    "radiance": f"a Radiance HDR image: {_LOAD_HDR}",
    "exr": f"an OpenEXR image: {_LOAD_HDR}",
    "mp4": _VIDEO_FRAMES,
    "matroska": _VIDEO_FRAMES,
    "avi": _VIDEO_FRAMES,
}


def open_with_plugin(file: Any, name: str, check_pixels: Callable[[str, int, int], None]) -> Image.Image | None:
    """Open an image that Pillow itself could not identify.

    Args:
        file: The file, at any position.
        name: Its name in messages.
        check_pixels: Refuses sizes that are too large, before anything is decoded.

    Returns:
        The image; None if the file is of no kind that is known here.

    Raises:
        PanoramaError: The library for it is not installed, or the file is loaded by another function.
    """
    file.seek(0)
    kind = file_kind(file.read(HEAD))
    file.seek(0)
    if kind == "avif" and "avif" in features.get_supported():
        raise PanoramaError(f"{name}: the AVIF file is damaged, its header cannot be read; get the file again")
    if kind in _OTHER:
        raise PanoramaError(f"{name}: this is {_OTHER[kind]}")
    if kind == "heif":
        return _open_heif(file, name)
    return _open_jxl(file.read(), name, check_pixels) if kind == "jxl" else None


def _open_heif(file: Any, name: str) -> Image.Image:
    if find_spec("pi_heif") is not None:
        library = import_module("pi_heif")
    elif find_spec("pillow_heif") is not None:
        library = import_module("pillow_heif")
    else:
        raise _missing(name, "HEIC", "heif")
    return cast("Image.Image", library.HeifImageFile(file))


def _open_jxl(data: bytes, name: str, check_pixels: Callable[[str, int, int], None]) -> Image.Image:
    size = jxl_size(data)
    if size is None:
        raise PanoramaError(f"{name}: the file is damaged, its header cannot be read; get the file again")
    if "JXL" not in Image.OPEN and find_spec("imagecodecs") is None:
        raise _missing(name, "JPEG XL", "jxl")
    check_pixels(name, *size)
    if "JXL" in Image.OPEN:
        return Image.open(io.BytesIO(data), formats=["JXL"])
    pixels = np.asarray(import_module("imagecodecs").jpegxl_decode(data))
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if pixels.ndim == 4:  # the first image of an animation
        pixels = pixels[0]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] > 4):
        raise PanoramaError(f"{name}: JPEG XL images of {pixels.dtype} are not read; save it with 8 or 16 bits")
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.format = "JXL"
    if packet := _jxl_xmp(data, name):
        image.info["xmp"] = packet
    return image


def _jxl_xmp(data: bytes, name: str) -> bytes:
    """The XMP packet of a JPEG XL container, also one that is compressed with Brotli; empty if there is none.

    The Exif box is not read: the decoder has applied the orientation, which the codestream has, too.
    """
    for box in boxes(data) if data.startswith(JXL_CONTAINER) else ():
        content = data[box.start : min(box.end, box.start + _MAX_XMP)]
        if box.kind == b"xml ":
            return content
        if box.kind == b"brob" and content[:4] == b"xml ":
            try:
                return bytes(import_module("imagecodecs").brotli_decode(content[4:], out=_MAX_XMP))
            except RuntimeError:
                text = f"{name}: the XMP metadata is damaged or larger than {_MAX_XMP >> 20} MB, and is ignored"
                warnings.warn(PanoramaWarning(text), stacklevel=2)
    return b""


def _missing(name: str, title: str, extra: str) -> PanoramaError:
    return PanoramaError(f"{name}: this is {title}, which needs: pip install 'panollava-geometry[{extra}]'")
