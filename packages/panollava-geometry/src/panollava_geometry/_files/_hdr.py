"""Panoramas with float pixels, linear in light: OpenEXR and Radiance files."""

import contextlib
import math

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from panollava_geometry._errors import PanoramaError, boundary, short
from panollava_geometry._files._exr import decode_exr, encode_exr, exr_size
from panollava_geometry._files._radiance import decode_radiance, encode_radiance, radiance_size
from panollava_geometry._metadata._shape import is_full_sphere, not_full_sphere
from panollava_geometry._sources._file_kinds import HEAD, file_kind
from panollava_geometry._sources._source import FileSource, open_file, source_name
from panollava_geometry._views._sphere import Degrees

#: Pixels of the largest file: about 11500 x 5750, which takes 0.8 GB.
MAX_HDR_PIXELS = 2**26
#: Bytes of the largest file that is read.
_MAX_BYTES = 2**30
HDR_SUFFIXES = (".hdr", ".exr")


def load_hdr(source: FileSource, *, max_width: int | None = None) -> Float[Tensor, "3 height width"]:
    """Load a panorama with float pixels from an OpenEXR (extra `[exr]`) or Radiance file.

    Args:
        source: Path, http(s) URL, bytes or binary file object.
        max_width: Maximum width of the result in pixels. A wider panorama is reduced by averaging.

    Returns:
        The panorama `[3, H, 2H]`, float32, RGB as stored, linear in light. `extract_views` and the other functions take
        it; `hdr_to_srgb` makes 8-bit images of it.

    Raises:
        PanoramaError: The file is missing, damaged, too large, not 2:1, or of another format.

    Example:
        >>> import torch
        >>> import tempfile
        >>> from pathlib import Path
        >>> from panollava_geometry import save_equirectangular
        >>> from panollava_geometry.files import load_hdr
        >>> file = Path(tempfile.mkdtemp(), "sky.hdr")
        >>> save_equirectangular(torch.full((3, 32, 64), 8.0), file)
        >>> float(load_hdr(file).max())
        8.0
    """
    if max_width is not None and max_width < 2:
        raise PanoramaError(f"max_width must be at least 2, got {short(max_width)}")
    name = source_name(source)
    data, kind = read_hdr(source, name)
    width, height = hdr_size(data, kind, name)
    if not is_full_sphere((width, height)):
        raise not_full_sphere(name, (width, height), "float images must show the full sphere")
    pixels = decode_radiance(data, name) if kind == "radiance" else decode_exr(data, name, MAX_HDR_PIXELS)
    panorama = torch.from_numpy(pixels).permute(2, 0, 1)
    target = width - width % 2 if max_width is None else min(width, max_width) // 2 * 2
    if (width, height) != (target, target // 2):
        panorama = functional.adaptive_avg_pool2d(panorama, (target // 2, target))
    return panorama.contiguous()


def hdr_size(data: bytes, kind: str, name: str) -> tuple[int, int]:
    """Width and height of a float image.

    Raises:
        PanoramaError: It is too large, or its header is damaged.
    """
    width, height = radiance_size(data, name) if kind == "radiance" else exr_size(data, name)
    if width < 1 or height < 1 or width * height > MAX_HDR_PIXELS:
        raise PanoramaError(
            f"{name}: the float image is too large or empty ({width}x{height}); "
            f"at most {MAX_HDR_PIXELS} pixels are read"
        )
    return width, height


def hdr_to_srgb(panorama: Float[Tensor, "*batch 3 height width"], stops: Degrees = 0.0) -> UInt8[Tensor, "..."]:
    """Expose a float panorama as an 8-bit sRGB image. Values above 1 after the exposure are white.

    Args:
        panorama: RGB, linear in light.
        stops: Exposure: every stop doubles the brightness.

    Example:
        >>> import torch
        >>> from panollava_geometry.files import hdr_to_srgb
        >>> hdr_to_srgb(torch.full((3, 1, 2), 0.25), stops=2.0).unique().tolist()
        [255]
    """
    if isinstance(stops, bool) or not isinstance(stops, int | float) or not math.isfinite(stops) or abs(stops) > 100:
        raise PanoramaError(f"stops must be a number, such as -2.5, got {short(stops)}")
    light = torch.nan_to_num(panorama.detach() * 2.0**stops, nan=0.0).clamp(0, 1)
    coded = torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=1e-6) ** (1 / 2.4) - 0.055)
    return (coded * 255).round().to(torch.uint8)


def encode_hdr(pixels: ndarray, suffix: str, name: str) -> bytes:
    """A float panorama as the bytes of an OpenEXR or Radiance file.

    Raises:
        PanoramaError: A pixel cannot be stored in this format.
    """
    rgb = np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels
    if suffix == ".exr":
        return encode_exr(rgb)
    if not np.isfinite(rgb).all() or rgb.min() < 0 or rgb.max() >= 2.0**127:
        raise PanoramaError(f"{name}: Radiance files store finite values that are not negative; use .exr")
    return encode_radiance(rgb)


def read_hdr(source: FileSource, name: str) -> tuple[bytes, str]:
    """The bytes of a float image, and its kind.

    Raises:
        PanoramaError: The file cannot be read, or is of another kind.
    """
    with contextlib.ExitStack() as stack:
        file = open_file(source, name, stack)
        with boundary(f"{name}: the file cannot be read", "get the file again"):
            head = file.read(HEAD)
        kind = file_kind(head)
        if kind not in ("radiance", "exr"):
            raise PanoramaError(
                f"{name}: this is neither an OpenEXR nor a Radiance file; load other images with load_equirectangular"
            )
        with boundary(f"{name}: the file cannot be read", "get the file again"):
            data = head + file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise PanoramaError(f"{name}: the file is larger than {_MAX_BYTES >> 20} MB; reduce it")
    return data, kind
