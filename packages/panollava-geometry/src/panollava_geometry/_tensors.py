"""Checks and conversions of panorama tensors and arrays."""

import numpy as np
import torch
from jaxtyping import Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._errors import PanoramaError

_ARRAY_TYPES = ("uint8", "float16", "float32", "float64")


def check_tensor(value: object, expected: str) -> None:
    """Check that an argument is a tensor.

    Raises:
        PanoramaError: It is something else, such as a path or a Pillow image.
    """
    if not isinstance(value, Tensor):
        kind = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
        raise PanoramaError(
            f"expected {expected}, got {kind}: load files, URLs and Pillow images with load_equirectangular(…) first, "
            "and convert arrays with torch.from_numpy(…)"
        )


def check_panorama(erp: Tensor) -> None:
    """Check that a value is a tensor with the shape of full panoramas, `[..., C, H, 2H]`.

    Raises:
        PanoramaError: It is not.
    """
    check_tensor(erp, "a panorama as a tensor [..., channels, height, width]")
    if erp.ndim < 3:
        raise PanoramaError(f"a panorama must be [..., channels, height, width], got shape {tuple(erp.shape)}")
    height, width = erp.shape[-2:]
    if height < 1 or width != 2 * height:
        hint = " (channels must come first: permute(2, 0, 1))" if width in (1, 3, 4) else ""
        raise PanoramaError(f"a full panorama must be twice as wide as high, got {width}x{height}{hint}")


def tensor_from_array(array: ndarray) -> Shaped[Tensor, "*batch channels height width"]:
    """Convert a panorama array `[H, 2H]` or `[..., H, 2H, C]` to a tensor. Memory is shared where possible.

    Raises:
        PanoramaError: The array is of another shape or dtype.
    """
    channels_last = array[..., None] if array.ndim == 2 else array
    if array.ndim < 2 or channels_last.shape[-3] < 1 or channels_last.shape[-2] != 2 * channels_last.shape[-3]:
        first = array.ndim >= 3 and array.shape[-1] == 2 * array.shape[-2]
        hint = ", which has its channels first: call .transpose(1, 2, 0), or pass torch.from_numpy(…)" if first else ""
        raise PanoramaError(f"a panorama array must be [H, 2H] or [H, 2H, channels], got {array.shape}{hint}")
    if array.dtype.name not in _ARRAY_TYPES:
        raise PanoramaError(f"a panorama array must be {', '.join(_ARRAY_TYPES)}, got {array.dtype}: convert it first")
    native = np.require(channels_last, dtype=array.dtype.newbyteorder("="), requirements=["W", "C"])
    return torch.from_numpy(native).movedim(-1, -3)


def array_from_views(views: Shaped[Tensor, "*batch channels height width"], grey: bool) -> ndarray:
    """Convert views to an array `[..., h, w, C]`, or `[..., h, w]` if the panorama had no channels."""
    return np.ascontiguousarray((views[..., 0, :, :] if grey else views.movedim(-3, -1)).numpy())


def cast_like(values: Shaped[Tensor, "..."], reference: Tensor) -> Shaped[Tensor, "..."]:
    """Convert computed values to the dtype of `reference`. For uint8 they are rounded and clamped to 0..255."""
    if reference.dtype == torch.uint8:
        return values.round().clamp(0, 255).to(torch.uint8)
    return values.to(reference.dtype)
