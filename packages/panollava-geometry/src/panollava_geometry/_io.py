"""Files, URLs, bytes, pictures, arrays and tensors to panoramas and views, decoded no finer than needed."""

import math
from typing import Literal, overload

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from panollava_geometry._errors import PanoramaError
from panollava_geometry._extract import extract_views
from panollava_geometry._gpano import CroppedArea, read_cropped_area
from panollava_geometry._pixels import is_turned, scale_16_bit, to_rgb, upright
from panollava_geometry._plan import ViewPlan
from panollava_geometry._sizes import Size
from panollava_geometry._source import DECODE_ERRORS, FileSource, check_pixels, open_image, source_name

Source = FileSource | Image.Image | ndarray | Tensor
#: Share of a plan's required width that a scaled decode may have: only pixels in the corners of views are finer.
_ENOUGH = 0.95
Panorama = UInt8[Tensor, "3 height width"]
Mask = Bool[Tensor, "height width"]


@overload
def load_equirectangular(
    source: Source, *, max_width: int | None = None, return_mask: Literal[False] = False
) -> Panorama: ...
@overload
def load_equirectangular(
    source: Source, *, max_width: int | None = None, return_mask: Literal[True]
) -> tuple[Panorama, Mask]: ...
def load_equirectangular(
    source: Source, *, max_width: int | None = None, return_mask: bool = False
) -> Panorama | tuple[Panorama, Mask]:
    """Load a panorama as uint8 RGB.

    EXIF orientation is honoured; greyscale, palette, CMYK, 16-bit and transparent pictures become 8-bit RGB
    (transparency on black). A partial panorama with GPano metadata is placed on the full sphere, the rest is black and
    masked.

    Args:
        source: Path, http(s) URL, bytes, binary file, Pillow picture, uint8 or uint16 array `[H, 2H]` or
            `[H, 2H, 1 | 3 | 4]`, or uint8 tensor `[1 | 3, H, 2H]`.
        max_width: Largest width of the result; a wider panorama is averaged down to it. JPEG files are then decoded at
            the smallest scale that is still at least this wide.
        return_mask: Also return which pixels the source shows.

    Returns:
        The panorama `[3, H, 2H]`; with `return_mask`, also a boolean mask `[H, 2H]`, False where the sphere is not
        covered (GPano) or fully transparent.

    Raises:
        PanoramaError: The source is missing, damaged, too large, of unknown range, or not 2:1; the message says which.

    Example:
        >>> from panollava_geometry import load_equirectangular
        >>> load_equirectangular(np.zeros((64, 128, 3), np.uint8), max_width=32).shape
        torch.Size([3, 16, 32])
    """
    if max_width is not None and max_width < 2:
        raise PanoramaError(f"max_width must be at least 2, got {max_width}")
    panorama, mask = _load(source, max_width)
    if max_width is not None and panorama.shape[1] > max_width:
        width = max_width - max_width % 2
        panorama, mask = _shrink(panorama, mask, width)
    erp = torch.from_numpy(panorama).permute(2, 0, 1)
    if not return_mask:
        return erp
    return erp, torch.ones(erp.shape[1:], dtype=torch.bool) if mask is None else torch.from_numpy(mask)


@overload
def load_views(
    source: Source, plan: ViewPlan, size: Size, *, return_mask: Literal[False] = False
) -> UInt8[Tensor, "views 3 height width"]: ...
@overload
def load_views(
    source: Source, plan: ViewPlan, size: Size, *, return_mask: Literal[True]
) -> tuple[UInt8[Tensor, "views 3 height width"], Bool[Tensor, "views height width"]]: ...
def load_views(
    source: Source, plan: ViewPlan, size: Size, *, return_mask: bool = False
) -> UInt8[Tensor, "views 3 height width"] | tuple[Tensor, Tensor]:
    """Load the views of a plan from a panorama decoded no finer than they need (`plan.required_width(size)`).

    A JPEG is scaled by powers of two while it is decoded, any other file by whole factors afterwards; a scale that
    misses the width by up to 5 % is taken. The views are then extracted with antialiasing, as `extract_views` does.

    Args:
        source: As for `load_equirectangular`.
        plan: The views.
        size: Height and width of every view, or one number for both.
        return_mask: Also return which pixels of the views the source shows (at least half).

    Returns:
        The views `[V, 3, h, w]`; with `return_mask`, also a boolean mask `[V, h, w]`.

    Raises:
        PanoramaError: As for `load_equirectangular`.

    Example:
        >>> from panollava_geometry import load_views, plan_views
        >>> load_views(np.zeros((64, 128, 3), np.uint8), plan_views("cubemap"), 16).shape
        torch.Size([6, 3, 16, 16])
    """
    panorama, mask = _load(source, math.ceil(_ENOUGH * plan.required_width(size)))
    views = extract_views(torch.from_numpy(panorama).permute(2, 0, 1), plan, size)
    if not return_mask:
        return views
    if mask is None:
        return views, torch.ones(views.shape[0], *views.shape[2:], dtype=torch.bool)
    shown = torch.from_numpy(mask.astype(np.uint8) * np.uint8(255))[None]
    return views, extract_views(shown, plan, size)[:, 0] >= 128


def _load(source: Source, width: int | None) -> tuple[UInt8[ndarray, "height width 3"], ndarray | None]:
    """The panorama as an array, at least `width` wide if the source is, and the mask of what is shown if not all."""
    name = source_name(source)
    if isinstance(source, Tensor):
        return _from_tensor(source), None
    if isinstance(source, ndarray):
        source = _from_array(source)
    if isinstance(source, Image.Image):
        check_pixels(name, *source.size)
        return _decode(source, name, width, draft=False)
    with open_image(source) as image:
        return _decode(image, name, width, draft=True)


def _decode(
    image: Image.Image, name: str, width: int | None, *, draft: bool
) -> tuple[UInt8[ndarray, "height width 3"], ndarray | None]:
    area = read_cropped_area(image, name)
    try:
        turned = is_turned(image)
        whole = image.size[::-1] if turned else image.size
        _check_shape(name, whole, area)
        if width is not None:
            wanted = math.ceil(width * area.width / area.full_width) if area else width
            if draft and image.format == "JPEG":
                size = (wanted, math.ceil(wanted * whole[1] / whole[0]))
                image.draft(None, size[::-1] if turned else size)
        image.load()
        if width is not None and draft:
            factor = (image.size[1] if turned else image.size[0]) // max(wanted, 1)
            if factor >= 2 and image.mode in ("L", "RGB", "RGBA", "CMYK", "LA"):
                info = image.info
                image = image.reduce(factor)
                image.info = info
        picture, mask = to_rgb(upright(image), name)
    except PanoramaError:
        raise
    except DECODE_ERRORS as error:
        raise PanoramaError(
            f"{name}: the picture cannot be decoded ({error}); the file is damaged or cut off"
        ) from error
    if area is not None:
        return _place(picture, mask, area, name)
    height = round(picture.size[0] / 2)
    if picture.size != (2 * height, height):  # rounding of a scaled decode
        picture = picture.resize((2 * height, height), Image.Resampling.BILINEAR)
        if mask is not None:
            mask = np.asarray(Image.fromarray(mask).resize((2 * height, height), Image.Resampling.NEAREST))
    return _to_array(picture), mask


def _to_array(picture: Image.Image) -> UInt8[ndarray, "height width 3"]:
    """The pixels in a writable array; twice as fast as `numpy.array(picture)`."""
    return np.frombuffer(bytearray(picture.tobytes()), np.uint8).reshape(picture.size[1], picture.size[0], 3)


def _check_shape(name: str, size: tuple[int, int], area: CroppedArea | None) -> None:
    width, height = size
    if area is None:
        if abs(width - 2 * height) > 2:
            raise PanoramaError(
                f"{name}: {width}x{height} is no full equirectangular panorama, which is twice as wide as high; "
                "a partial one needs GPano metadata"
            )
        return
    if abs(width * area.height - height * area.width) > 0.01 * width * area.height:
        raise PanoramaError(
            f"{name}: the picture is {width}x{height}, its GPano metadata says {area.width}x{area.height}; "
            "remove or repair its XMP"
        )
    check_pixels(name, round(width * area.full_width / area.width), round(height * area.full_height / area.height))


def _place(
    picture: Image.Image, mask: ndarray | None, area: CroppedArea, name: str
) -> tuple[UInt8[ndarray, "height width 3"], ndarray]:
    """A partial panorama on the full sphere, black elsewhere."""
    scale = picture.size[0] / area.width
    height = max(1, round(area.full_width * scale / 2))
    check_pixels(name, 2 * height, height)
    left, top = round(area.left / area.full_width * 2 * height), round(area.top / area.full_height * height)
    right = min(2 * height, max(left + 1, round((area.left + area.width) / area.full_width * 2 * height)))
    bottom = min(height, max(top + 1, round((area.top + area.height) / area.full_height * height)))
    if picture.size != (right - left, bottom - top):
        picture = picture.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        if mask is not None:
            mask = np.asarray(Image.fromarray(mask).resize(picture.size, Image.Resampling.NEAREST))
    panorama, shown = np.zeros((height, 2 * height, 3), np.uint8), np.zeros((height, 2 * height), bool)
    panorama[top:bottom, left:right] = np.asarray(picture)
    shown[top:bottom, left:right] = True if mask is None else mask
    return panorama, shown


def _from_tensor(tensor: Tensor) -> UInt8[ndarray, "height width 3"]:
    if tensor.dtype != torch.uint8 or tensor.ndim != 3 or tensor.shape[0] not in (1, 3):
        raise PanoramaError(
            f"a panorama tensor must be uint8 [3, H, 2H] (or one channel), got {tensor.dtype} {tuple(tensor.shape)}"
        )
    _check_shape("the tensor", (tensor.shape[2], tensor.shape[1]), None)
    if tensor.shape[2] != 2 * tensor.shape[1]:
        raise PanoramaError(f"a panorama tensor must be twice as wide as high, got {tuple(tensor.shape)}")
    return tensor.detach().cpu().expand(3, -1, -1).permute(1, 2, 0).numpy()


def _from_array(array: ndarray) -> Image.Image:
    values = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if values.dtype == np.uint16:
        values = scale_16_bit(values)
    if values.dtype != np.uint8 or values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise PanoramaError(
            f"a panorama array must be uint8 or uint16 [H, 2H] or [H, 2H, 1 | 3 | 4], got {array.dtype} {array.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(values))


def _shrink(
    panorama: UInt8[ndarray, "height width 3"], mask: ndarray | None, width: int
) -> tuple[UInt8[ndarray, "_ _ 3"], ndarray | None]:
    size = (width, width // 2)
    small = np.array(Image.fromarray(panorama).resize(size, Image.Resampling.BOX))
    if mask is not None:
        mask = (
            np.asarray(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).resize(size, Image.Resampling.BOX)) >= 128
        )
    return small, mask
