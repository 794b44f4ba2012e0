"""OpenEXR files. Needs the extra `[exr]`."""

import io
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from numpy import ndarray

from panollava_geometry._errors import PanoramaError, boundary

#: Most values of a file: this many channels of the largest image, 1.1 GB.
_MAX_CHANNELS = 4
_PROBLEM, _REMEDY = "the OpenEXR file cannot be read", "get the file again, or save it with other options"


def exr_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height of the display window of an OpenEXR file.

    Raises:
        PanoramaError: The library is not installed, or the header is damaged.
    """
    left, top, right, bottom = _window(_header(data, name), "displayWindow", name)
    return right - left, bottom - top


def decode_exr(data: bytes, name: str, limit: int) -> Float[ndarray, "height width 3"]:
    """The pixels of the display window as float32 RGB, 0 where the file has none.

    Args:
        data: The file.
        name: Its name in messages.
        limit: Most pixels of its data window.

    Raises:
        PanoramaError: The library is not installed, the file is damaged, or it has no colours.
    """
    header = _header(data, name)
    left, top, right, bottom = _window(header, "displayWindow", name)
    first_x, first_y, last_x, last_y = _window(header, "dataWindow", name)
    library = _library(name)
    with boundary(f"{name}: {_PROBLEM}", _REMEDY):  # the library reads all channels of all parts
        headers = [part.header for part in library.File(io.BytesIO(data), header_only=True).parts]
        counts = [len(header["channels"]) for header in headers]
    values = 0
    for part_header, count in zip(headers, counts, strict=True):
        start_x, start_y, end_x, end_y = _window(part_header, "dataWindow", name)
        values += (end_x - start_x) * (end_y - start_y) * count
    if values > _MAX_CHANNELS * limit:
        raise PanoramaError(f"{name}: all its parts and channels have {values} values, too many; save RGB only")
    with boundary(f"{name}: {_PROBLEM}", _REMEDY):
        channels = library.File(io.BytesIO(data)).channels()
        pixels = _colours({key: channel.pixels for key, channel in channels.items()}, name)
    if pixels.shape != (last_y - first_y, last_x - first_x, 3):
        raise PanoramaError(f"{name}: {_PROBLEM} (its pixels are not those of its data window); {_REMEDY}")
    # The memory has the order of torch's images, so that it is not copied later.
    result = np.zeros((3, bottom - top, right - left), np.float32).transpose(1, 2, 0)
    rows = slice(max(top, first_y), min(bottom, last_y))
    columns = slice(max(left, first_x), min(right, last_x))
    if rows.start < rows.stop and columns.start < columns.stop:
        result[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = pixels[
            rows.start - first_y : rows.stop - first_y, columns.start - first_x : columns.stop - first_x
        ]
    return result


def encode_exr(pixels: Float[ndarray, "height width 3"]) -> bytes:
    """An OpenEXR file with 32-bit floats, compressed without loss.

    Raises:
        PanoramaError: The library is not installed.
    """
    openexr = _library("the file")
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    with tempfile.TemporaryDirectory() as folder, boundary("the image cannot be written as OpenEXR", "use .hdr"):
        path = Path(folder) / "image.exr"
        openexr.File(header, {"RGB": np.ascontiguousarray(pixels, np.float32)}).write(str(path))
        return path.read_bytes()


def _library(name: str) -> Any:
    if find_spec("OpenEXR") is None:
        raise PanoramaError(f"{name}: OpenEXR files need: pip install 'panollava-geometry[exr]'")
    return import_module("OpenEXR")


def _header(data: bytes, name: str) -> Any:
    library = _library(name)
    with boundary(f"{name}: {_PROBLEM}", _REMEDY):
        return library.File(io.BytesIO(data), header_only=True).header()


def _window(header: Any, field: str, name: str) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a window; the right and bottom edge are outside it."""
    with boundary(f"{name}: {_PROBLEM}", _REMEDY):
        (left, top), (right, bottom) = (map(int, corner) for corner in header[field])
    if right < left or bottom < top:
        raise PanoramaError(f"{name}: {_PROBLEM} (its {field} is empty); {_REMEDY}")
    return left, top, right + 1, bottom + 1


def _colours(channels: dict[str, ndarray], name: str) -> Shaped[ndarray, "height width 3"]:
    """The colours of the channels, as they are stored: RGB, RGBA, or brightness (Y) alone."""
    for key in ("RGB", "RGBA"):
        if key in channels:
            return np.asarray(channels[key])[..., :3]
    if "Y" in channels:
        brightness = np.asarray(channels["Y"])
        return np.broadcast_to(brightness[..., None], (*brightness.shape, 3))
    raise PanoramaError(
        f"{name}: the OpenEXR file has the channels {', '.join(sorted(channels))[:80]}, expected R, G, B"
    )
