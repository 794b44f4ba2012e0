"""Radiance HDR files (`.hdr`): three mantissas and one exponent per pixel.

Source: G. Ward, https://www.radiance-online.org/cgi-bin/viewcvs.cgi/ray/src/common/color.c (the format, no code).
"""

import re

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from panollava_geometry._errors import PanoramaError, short

_RESOLUTION = re.compile(rb"([+-])Y (\d{1,9}) ([+-])X (\d{1,9})\n")
#: Widths whose rows are compressed by runs; others are stored as they are.
_COMPRESSED = range(8, 32768)
_MAX_HEADER = 65536
_RUN = 128


def radiance_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height of a Radiance file.

    Raises:
        PanoramaError: The header is damaged, or the colours are not RGB.
    """
    match = _header(data, name)
    return int(match[4]), int(match[2])


def decode_radiance(data: bytes, name: str) -> Float[ndarray, "height width 3"]:
    """The pixels of a Radiance file as float32. The header's exposure is not applied, as by OpenCV.

    Raises:
        PanoramaError: The file is damaged or incomplete.
    """
    match = _header(data, name)
    width, height = int(match[4]), int(match[2])
    position = match.end()
    if 4 * height > len(data) - position and width in _COMPRESSED:
        raise _damaged(name, "it is too short")
    stored = np.empty((height, width, 4), np.uint8)
    for row in range(height):
        head = data[position : position + 4]
        if width in _COMPRESSED and head[:2] == b"\2\2" and head[2:] == width.to_bytes(2, "big"):
            position = _decode_row(data, position + 4, stored[row], name)
            continue
        if len(data) < position + 4 * width:
            raise _damaged(name, f"it ends in row {row} of {height}")
        stored[row] = np.frombuffer(data, np.uint8, 4 * width, position).reshape(width, 4)
        position += 4 * width
        if (stored[row, :, :3] == 1).all(axis=-1).any():
            raise PanoramaError(f"{name}: this Radiance file uses the run lengths of 1989; save it again")
    if match[1] == b"+":
        stored = stored[::-1]
    if match[3] == b"-":
        stored = stored[:, ::-1]
    return _light(stored)


def _light(stored: UInt8[ndarray, "height width 4"]) -> Float[ndarray, "height width 3"]:
    """Mantissas and exponents as float32. The memory has the order of torch's images, so it is not copied later."""
    scale = np.ldexp(np.float32(1), np.arange(256, dtype=np.int32) - 136)
    scale[0] = 0
    result = np.empty((3, *stored.shape[:2]), np.float32)
    for row, values in enumerate(stored):  # one row at a time, to limit the memory
        np.multiply(values[:, :3].T, scale[values[:, 3]], out=result[:, row])
    return result.transpose(1, 2, 0)


def encode_radiance(pixels: Float[ndarray, "height width 3"]) -> bytes:
    """A Radiance file of pixels that are not negative. Their mantissas have 8 bits."""
    height, width = pixels.shape[:2]
    largest = pixels.max(axis=-1)
    mantissa, exponent = np.frexp(largest)
    scale = np.where(largest > 1e-32, mantissa * 256 / np.maximum(largest, 1e-38), 0)
    stored = np.zeros((height, width, 4), np.uint8)
    stored[..., :3] = np.clip(pixels.astype(np.float64) * scale[..., None], 0, 255)
    stored[..., 3] = np.where(largest > 1e-32, np.clip(exponent + 128, 0, 255), 0)
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode()
    if width not in _COMPRESSED:
        return head + stored.tobytes()
    start = b"\2\2" + width.to_bytes(2, "big")
    rows = []
    for row in stored:
        rows.append(start)
        for channel in row.T:
            values = channel.tobytes()
            rows += [bytes([len(part)]) + part for at in range(0, width, _RUN) if (part := values[at : at + _RUN])]
    return head + b"".join(rows)


def _header(data: bytes, name: str) -> re.Match[bytes]:
    end = data.find(b"\n\n", 0, _MAX_HEADER)
    match = _RESOLUTION.match(data, end + 2) if end >= 0 else None
    if match is None:
        raise _damaged(name, "its header has no size in the form '-Y height +X width'")
    form = re.search(rb"^FORMAT=(.*)$", data[:end], re.MULTILINE)
    if form is not None and form[1].strip() != b"32-bit_rle_rgbe":
        raise PanoramaError(
            f"{name}: Radiance files of {short(form[1].decode('latin-1'))} are not read; save it as RGB"
        )
    return match


def _decode_row(data: bytes, position: int, row: UInt8[ndarray, "width 4"], name: str) -> int:
    """Decode the four channels of a row; the position behind them."""
    width = len(row)
    for channel in range(4):
        values = bytearray()
        while len(values) < width:
            if position + 1 >= len(data):
                raise _damaged(name, "it is incomplete")
            count = data[position]
            if count > _RUN:
                values += data[position + 1 : position + 2] * (count - _RUN)
                position += 2
            else:
                if count == 0:
                    raise _damaged(name, "it has an empty run")
                values += data[position + 1 : position + 1 + count]
                position += 1 + count
                if position > len(data):
                    raise _damaged(name, "it is incomplete")
        if len(values) != width:
            raise _damaged(name, "a run is longer than its row")
        row[:, channel] = np.frombuffer(values, np.uint8)
    return position


def _damaged(name: str, reason: str) -> PanoramaError:
    return PanoramaError(f"{name}: the Radiance file is damaged ({reason}); get the file again")
