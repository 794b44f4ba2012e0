"""Open formats for which Pillow needs another library: HEIC, AVIF and JPEG XL. Each is an extra of this package."""

import io
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

from PIL import Image

from panollava_geometry._errors import PanoramaError
from panollava_geometry._file_kinds import HEAD, file_kind, jxl_size

#: The module, the class of its images, and the extra for each kind.
_PLUGINS = {
    "heif": ("pillow_heif", "pillow_heif", "HeifImageFile", "HEIC", "heif"),
    "jxl": ("pillow_jxl", "pillow_jxl.JpegXLImagePlugin", "JXLImageFile", "JPEG XL", "jxl"),
}
#: Formats whose plugins decode when they open a file. They are opened here only, after the size was checked.
CHECKED_FORMATS = ("JXL",)
_OTHER = {
    "avif": "an AVIF image, and this Pillow is built without AVIF: pip install --upgrade pillow",
    "radiance": "a Radiance HDR image: load it with panollava_geometry.files.load_hdr",
    "exr": "an OpenEXR image: load it with panollava_geometry.files.load_hdr",
    "mp4": "a video: read its frames with panollava_geometry.files.video_frames",
    "matroska": "a video: read its frames with panollava_geometry.files.video_frames",
    "avi": "a video: read its frames with panollava_geometry.files.video_frames",
}


def _format_of(kind: str) -> str:
    """Pillow's name of the format of a kind."""
    return {"heif": "HEIF", "jxl": "JXL"}[kind]


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
    if kind in _OTHER:
        raise PanoramaError(f"{name}: this is {_OTHER[kind]}")
    if kind not in _PLUGINS:
        return None
    top, module, image_class, title, extra = _PLUGINS[kind]
    registered = _format_of(kind) in Image.OPEN  # by the program
    if find_spec(top) is None and not registered:
        raise PanoramaError(f"{name}: this is {title}, which needs: pip install 'panollava-geometry[{extra}]'")
    if kind == "jxl":
        data = file.read()
        size = jxl_size(data)
        if size is None:
            raise PanoramaError(f"{name}: the file is damaged, its header cannot be read; get the file again")
        check_pixels(name, *size)
        file = io.BytesIO(data)
    if registered:
        return Image.open(file, formats=[_format_of(kind)])
    return cast("Image.Image", getattr(import_module(module), image_class)(file))
