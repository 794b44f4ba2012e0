"""Float images: damaged and hostile Radiance and OpenEXR files, and small ones that unpack to far more."""

import struct
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from tools.attack._commands import command, geometry_command
from tools.attack._kinds import Attempt, kind
from tools.attack._mutations import mutate_bytes

#: The largest panorama that `load_hdr` reads, and sizes that it must refuse.
LARGEST = (11584, 5792)
HUGE = ((60_000, 30_000), (10**9, 5 * 10**8), (2**31 - 1, 2**30), (0, 0), (1, 2**31 - 1), (-64, -32))
INTEGERS = (0, 1, -1, 63, 64, 2**15, 2**24, 2**31 - 2, 2**31 - 1, -(2**31), -(2**31) + 1)


def load(folder: Path, attempt: Attempt) -> None:
    """Load the bytes or the file as float pixels, ask what it is, or give it to functions of other images."""
    from panollava_geometry import is_panorama, load_equirectangular
    from panollava_geometry.files import load_hdr

    (path,) = folder.iterdir()
    how = attempt.values["how"]
    if how == 0:
        load_hdr(path.read_bytes())
    elif how == 1:
        load_hdr(path, max_width=32)
    elif how == 2:
        geometry_command(["info", str(path)])
    elif how == 3:
        is_panorama(path)
    elif how == 4:
        load_equirectangular(path)
    else:
        command(["crop", str(path), "-o", str(folder / "out"), "--num-views", "2", "--size", "8"])


def _attempt(rng: Random, name: str, data: bytes, **more: Any) -> Attempt:
    return Attempt({name: data}, {"how": rng.choice((0, 0, 0, 1, 2, 3, 4, 5))}, **more)


@cache
def radiance_file() -> bytes:
    """A Radiance panorama of 64x32 pixels, with rows of runs."""
    row = b"\2\2\0\x40" + b"".join(b"\xa0" + bytes([value]) + b"\x20" + bytes(range(32)) for value in (9, 90, 200, 130))
    return b"#?RADIANCE\n# made\nEXPOSURE=2.0\nFORMAT=32-bit_rle_rgbe\n\n-Y 32 +X 64\n" + row * 32


def radiance_rows(width: int, height: int) -> bytes:
    """A Radiance file of one colour, as short as runs make it."""
    full, rest = divmod(width, 127)
    channel = b"\xff\x80" * full + (bytes([128 + rest, 128]) if rest else b"")
    row = b"\2\2" + width.to_bytes(2, "big") + channel * 4
    return b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (height, width) + row * height


@kind("image.hdr", load)
def hdr(rng: Random, number: int) -> Attempt:
    """Damaged Radiance files, other sizes in the header, runs without end, and the largest that is read."""
    data, what = radiance_file(), number % 8
    if what == 7 and number % 64 == 7:
        return Attempt({"x.hdr": radiance_rows(*LARGEST)}, {"how": rng.choice((0, 1))})
    if what >= 5:
        width, height = rng.choice(HUGE)
        size = b"%sY %d %sX %d\n" % (rng.choice((b"-", b"+")), height, rng.choice((b"+", b"-")), width)
        return _attempt(rng, "x.hdr", data.replace(b"-Y 32 +X 64\n", size))
    if what == 4:
        head = data[: data.index(b"\n\n")]
        inside = rng.choice((b"A=" + b"x" * 10**6, b"FORMAT=32-bit_rle_xyze", b"FORMAT=" + b"\xff" * 500, b"\0", b"\n"))
        return _attempt(rng, "x.hdr", head + b"\n" + inside + data[len(head) :])
    if what == 3:
        return _attempt(rng, "x.hdr", data[: rng.randrange(len(data))])
    return _attempt(rng, rng.choice(("x.hdr", "x.jpg", "x.exr")), mutate_bytes(rng, data))


@cache
def exr_file(width: int, height: int, compression: str = "ZIP_COMPRESSION", more: int = 0) -> bytes:
    """An OpenEXR file of zeros, with more channels of 32 bits if wanted; without the library only the start of one."""
    if find_spec("OpenEXR") is None:
        return b"v/1\x01\x02\0\0\0channels\0chlist\0\x01\0\0\0\0\0"
    import numpy as np
    import OpenEXR

    header = {"compression": getattr(OpenEXR, compression), "type": OpenEXR.scanlineimage}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.exr"
        channels = {"RGB": np.zeros((height, width, 3), np.float16)}
        extra = np.zeros((height, width), np.float32) if more else None
        OpenEXR.File(header, channels | {f"x{i}": extra for i in range(more)}).write(str(path))
        return path.read_bytes()


def with_window(data: bytes, field: bytes, corners: Sequence[int]) -> bytes:
    """An OpenEXR file with another data or display window in its header."""
    start = data.find(field + b"\0box2i\0")
    if start < 0:
        return data
    start += len(field) + 11
    return data[:start] + struct.pack("<4i", *corners) + data[start + 16 :]


@kind("image.exr", load)
def exr(rng: Random, number: int) -> Attempt:
    """Damaged OpenEXR files, windows of any size, other types and compressions, and small files that unpack to more."""
    form = rng.choice(("ZIP_COMPRESSION", "NO_COMPRESSION", "PIZ_COMPRESSION", "RLE_COMPRESSION", "ZIPS_COMPRESSION"))
    data, what = exr_file(64, 32, form), number % 8
    if what == 7 and number % 64 == 7:
        data = exr_file(*LARGEST, more=number // 64 % 3)
        if number % 128 == 7:  # a small window of a large image
            data = with_window(data, b"displayWindow", (0, 0, 63, 31))
        return Attempt({"x.exr": data}, {"how": rng.choice((0, 1))})
    if what >= 5:
        for field in rng.choice(((b"dataWindow",), (b"displayWindow",), (b"dataWindow", b"displayWindow"))):
            size = rng.choice(HUGE)
            corners = [0, 0, size[0] - 1, size[1] - 1]
            if rng.random() < 0.5:
                corners = [rng.choice(INTEGERS) for _ in range(4)]
            data = with_window(data, field, [max(-(2**31), min(2**31 - 1, corner)) for corner in corners])
        return _attempt(rng, "x.exr", data)
    if what == 4:
        flags = rng.choice((0, 2, 2 | 0x200, 2 | 0x800, 2 | 0x1000, 2 | 0x1800, 0xFF, 2 | 0x400, 2**32 - 1))
        return _attempt(rng, "x.exr", data[:4] + struct.pack("<I", flags) + data[8:])
    if what == 3:
        return _attempt(rng, "x.exr", data[: rng.randrange(len(data))])
    if what == 2:
        place = data.find(b"compression\0compression\0") + 28
        return _attempt(rng, "x.exr", data[:place] + bytes([rng.randrange(16)]) + data[place + 1 :])
    return _attempt(rng, rng.choice(("x.exr", "x.jpg", "x.hdr")), mutate_bytes(rng, data))
