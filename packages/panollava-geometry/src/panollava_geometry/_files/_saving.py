"""`save_equirectangular`: write a panorama, or a window of one, with the metadata that says what it shows."""

import io
import math
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from panollava_geometry._errors import PanoramaError, boundary, short
from panollava_geometry._files._hdr import HDR_SUFFIXES, encode_hdr
from panollava_geometry._metadata._panorama_metadata import GPano
from panollava_geometry._printable import printable_name
from panollava_geometry._views._equirectangular_view import EquirectangularView

#: Pillow's name of the format for each suffix. All of them keep XMP metadata.
_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
}
_XMP_TAG = 700
#: How far the pixels of a window may be from square for GPano, which has one scale for both sides.
_SQUARE = 0.01


def save_equirectangular(
    panorama: Tensor | ndarray,
    path: str | os.PathLike[str],
    *,
    window: EquirectangularView | None = None,
    gpano: GPano | None = None,
    quality: int = 95,
) -> None:
    """Write a panorama with GPano metadata, so that viewers and `load_equirectangular` know what it shows.

    The file appears when it is complete; an existing one is replaced.

    Args:
        panorama: uint8 `[1 | 3, H, 2H]` as a tensor, or `[H, 2H]` or `[H, 2H, 1 | 3]` as an array; of any shape with
            `window`.
            For .hdr and .exr (extra `[exr]`) instead: floating point, linear in light, the full sphere.
        path: The file. Its suffix is the format: .jpg, .png, .webp, .tif or .avif, and .hdr or .exr, which have no
            GPano metadata.
        window: The part of the sphere that the image shows. A window across the seam is written with the compass
            heading of its centre as the pose, because GPano has no such areas.
        gpano: Further fields: pose, initial view, software, dates. Its sizes and area are replaced.
        quality: Quality of JPEG, WebP and AVIF files, 1 to 100.

    Raises:
        PanoramaError: The panorama has another shape or dtype, its pixels are not square, the suffix is unknown, or the
            file cannot be written.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> import tempfile
        >>> from panollava_geometry import is_panorama, save_equirectangular
        >>> file = Path(tempfile.mkdtemp(), "pano.jpg")
        >>> save_equirectangular(torch.zeros(3, 64, 128, dtype=torch.uint8), file)
        >>> is_panorama(file)
        True
    """
    path = Path(path)
    if path.suffix.lower() in HDR_SUFFIXES:
        _save_hdr(panorama, path, window, gpano)
        return
    image_format = _FORMATS.get(path.suffix.lower())
    if image_format is None:
        raise PanoramaError(
            f"{printable_name(str(path))}: panoramas cannot be saved as {short(path.suffix)}; use one of "
            f"{', '.join(_FORMATS)}, or of {' and '.join(HDR_SUFFIXES)} for float values"
        )
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise PanoramaError(f"quality must be a whole number from 1 to 100, got {short(quality)}")
    pixels = _pixels(panorama, whole=window is None)
    fields = window_gpano(window or EquirectangularView(), pixels.shape[:2], gpano)
    if fields is None:
        height, width = pixels.shape[:2]
        raise PanoramaError(
            f"a window of {window} has square pixels, but the image is {width}x{height}; GPano has no other ones"
        )
    data = encode_with_gpano(Image.fromarray(pixels), image_format, fields, quality=quality)
    write_file(path, data)


def window_gpano(window: EquirectangularView, size: tuple[int, int], gpano: GPano | None = None) -> GPano | None:
    """The GPano fields of an image of a window; None if its pixels are not square.

    Args:
        window: The part of the sphere that the image shows.
        size: Its height and width in pixels.
        gpano: Further fields.
    """
    height, width = size
    (left, right), (low, high) = window.longitude_range_deg, window.latitude_range_deg
    full_width, full_height = width * 360 / (right - left), height * 180 / (high - low)
    # half a pixel on each side is rounding; a full sphere is exactly 2:1
    tolerance = max(_SQUARE * full_width, 2 * 360 / (right - left), 360 / (high - low))
    if abs(full_width - 2 * full_height) > tolerance:
        return None
    whole_height = max(1, round(full_width / 2), height)
    whole_width = 2 * whole_height
    top = min(round((90 - high) / 180 * whole_height), whole_height - height)
    fields = gpano or GPano()
    turn = 360 * math.floor((left + 180 + 1e-9) / 360)  # (350, 355) is (-10, -5)
    if right - turn <= 180 + 1e-9:
        column = round((left - turn + 180) / 360 * whole_width)
    else:
        heading = ((fields.pose_heading_deg or 0.0) + (left + right) / 2) % 360
        fields = replace(fields, pose_heading_deg=round(heading, 9) % 360)
        column = round((whole_width - width) / 2)
    column = max(0, min(column, whole_width - width))
    width = min(width, whole_width)
    area = (column, top, width, height)
    return replace(fields, projection="equirectangular", full_size=(whole_width, whole_height), area=area)


def encode_with_gpano(image: Image.Image, image_format: str, gpano: GPano, **options: int) -> bytes:
    """An image as the bytes of a file with XMP metadata."""
    xmp, buffer = gpano.to_xmp(), io.BytesIO()
    more: dict[str, object] = {"xmp": xmp}
    if image_format == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        more = {"pnginfo": info}
        options.pop("quality", None)
    elif image_format == "TIFF":
        more = {"tiffinfo": {_XMP_TAG: xmp}, "compression": "tiff_lzw"}
        options.pop("quality", None)
    with boundary(f"the image cannot be written as {image_format}", "use another format, such as .png"):
        image.save(buffer, image_format, **options, **more)
    return buffer.getvalue()


def write_file(path: Path, data: bytes) -> None:
    """Write a file completely or not at all.

    Raises:
        PanoramaError: It cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".save-") as scratch:
            staged = Path(scratch) / "file"  # a file of its own: those of `tempfile` ignore the umask
            staged.write_bytes(data)
            os.replace(staged, path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PanoramaError(
            f"{printable_name(str(path))}: the file cannot be written ({reason}); check the folder"
        ) from error


def _save_hdr(panorama: Tensor | ndarray, path: Path, window: EquirectangularView | None, gpano: GPano | None) -> None:
    """Write a float panorama."""
    name = printable_name(str(path))
    if window is not None or gpano is not None:
        raise PanoramaError(f"{name}: this format has no GPano metadata; pass neither window nor gpano, or use .tif")
    write_file(path, encode_hdr(_pixels(panorama, whole=True, floats=True), path.suffix.lower(), name))


def _pixels(panorama: Tensor | ndarray, *, whole: bool, floats: bool = False) -> ndarray:
    """The panorama as an array `[H, W]` or `[H, W, 3]`, uint8 or float32."""
    kind = "floating-point" if floats else "uint8"
    expected = f"a {kind} tensor [1 | 3, H, 2H] or array [H, 2H] or [H, 2H, 1 | 3]"
    if isinstance(panorama, Tensor):
        array = panorama.detach().cpu()
        array = array.float() if floats and array.is_floating_point() else array
        values = array.permute(1, 2, 0).numpy() if array.ndim == 3 and array.dtype != torch.bfloat16 else None
    else:
        values = panorama if isinstance(panorama, ndarray) else None
    if floats and values is not None and values.dtype.kind == "f":
        values = values.astype(np.float32, copy=False)
    if values is None or values.dtype != (np.float32 if floats else np.uint8) or values.ndim not in (2, 3):
        given = f"{panorama.dtype} {tuple(panorama.shape)}" if hasattr(panorama, "shape") else type(panorama).__name__
        raise PanoramaError(f"a panorama to be saved must be {expected}, got {given}")
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    height, width = values.shape[:2]
    if (values.ndim == 3 and values.shape[2] != 3) or height < 1 or width < 1 or (whole and width != 2 * height):
        raise PanoramaError(
            f"a panorama to be saved must be {expected}, got {tuple(panorama.shape)}; "
            "for a part of the sphere, pass window"
        )
    return np.ascontiguousarray(values)
