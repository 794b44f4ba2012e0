"""Checks and conversions of panorama tensors and arrays."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._errors import PanoramaError

_ARRAY_TYPES = ("uint8", "float16", "float32", "float64")
_TORCH_TYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
#: A dtype of torch with as many bytes, for values that are moved and not computed with.
_SAME_BYTES = {1: "uint8", 2: "int16", 4: "int32", 8: "int64", 16: "complex128"}


def check_tensor(value: object, expected: str) -> None:
    """Check that an argument is a tensor.

    Raises:
        PanoramaError: It is something else, such as a path or a Pillow image.
    """
    if not isinstance(value, Tensor):
        kind = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
        raise PanoramaError(f"expected {expected}, got {kind}: load files and URLs with load_equirectangular(…) first")


def check_panorama(erp: Tensor) -> None:
    """Check that a value is a tensor with the shape of full panoramas, `[..., C, H, 2H]`.

    Raises:
        PanoramaError: It is not.
    """
    check_tensor(erp, "a panorama as a tensor [..., channels, height, width], an array or a Pillow image")
    if erp.ndim < 3:
        raise PanoramaError(f"a panorama must be [..., channels, height, width], got shape {tuple(erp.shape)}")
    height, width = erp.shape[-2:]
    if height < 1 or width != 2 * height:
        hint = " (channels must come first: permute(2, 0, 1))" if width in (1, 3, 4) else ""
        raise PanoramaError(f"a full panorama must be twice as wide as high, got {width}x{height}{hint}")
    if erp.shape[-3] < 1:
        raise PanoramaError(f"a panorama must have at least one channel, got shape {tuple(erp.shape)}")


def tensor_from_array(array: ndarray, any_dtype: bool = False) -> Shaped[Tensor, "*batch channels height width"]:
    """Convert a panorama array `[H, 2H]` or `[..., H, 2H, C]` to a tensor. Memory is shared where possible.

    Args:
        array: The panorama.
        any_dtype: Take numbers of every dtype. Those that torch does not have are integers of the same bytes then.

    Raises:
        PanoramaError: The array is of another shape or dtype.
    """
    channels_last = _without_subclass(array)[..., None] if array.ndim == 2 else array
    if array.ndim < 2 or channels_last.shape[-3] < 1 or channels_last.shape[-2] != 2 * channels_last.shape[-3]:
        first = array.ndim >= 3 and array.shape[-1] == 2 * array.shape[-2]
        hint = ", which has its channels first: call .transpose(1, 2, 0), or pass torch.from_numpy(…)" if first else ""
        raise PanoramaError(f"a panorama array must be [H, 2H] or [H, 2H, channels], got {array.shape}{hint}")
    return _tensor(channels_last, "a panorama array", any_dtype).movedim(-1, -3)


def tensor_from_image(array: ndarray, any_dtype: bool = False) -> Shaped[Tensor, "*batch channels height width"]:
    """Convert an image array `[h, w]` or `[..., h, w, C]` to a tensor. Memory is shared where possible.

    Raises:
        PanoramaError: The array is of another shape or dtype.
    """
    if array.ndim < 2 or 0 in array.shape:
        raise PanoramaError(f"an image array must be [h, w] or [h, w, channels], got {array.shape}")
    channels_last = _without_subclass(array)[..., None] if array.ndim == 2 else array
    return _tensor(channels_last, "an image array", any_dtype).movedim(-1, -3)


def tensor_from_views(array: ndarray, any_dtype: bool = False) -> Shaped[Tensor, "*batch views channels height width"]:
    """Convert an array of views `[V, h, w]` or `[..., V, h, w, C]` to a tensor. Memory is shared where possible.

    Raises:
        PanoramaError: The array is of another shape or dtype.
    """
    if array.ndim < 3 or 0 in array.shape:
        raise PanoramaError(f"an array of views must be [V, h, w] or [V, h, w, channels], got {array.shape}")
    channels_last = array[..., None] if array.ndim == 3 else array
    return _tensor(channels_last, "an array of views", any_dtype).movedim(-1, -3)


def _without_subclass(array: ndarray) -> ndarray:
    """A matrix as an array, because a matrix cannot have a third axis."""
    return array.view(ndarray) if isinstance(array, np.matrix) else array


def _tensor(array: ndarray, name: str, any_dtype: bool) -> Shaped[Tensor, "..."]:
    dtype = array.dtype
    if isinstance(array, np.ma.MaskedArray):
        raise PanoramaError(f"{name} cannot be masked: call .filled(value) first, and pass the mask for itself")
    if any_dtype:
        if dtype.kind not in "biufcmM" or dtype.itemsize not in _SAME_BYTES:
            raise PanoramaError(f"{name} must have numbers or booleans, got {dtype}: convert it first")
        stand_in = (
            dtype.newbyteorder("=") if dtype.name in _TORCH_TYPES and dtype.isnative else _SAME_BYTES[dtype.itemsize]
        )
        return torch.from_numpy(np.require(array, requirements=["W", "C"]).view(stand_in))
    if dtype.name not in _ARRAY_TYPES:
        labels = dtype.kind in "biu"
        remedy = (
            "convert it first, or pass interpolation='nearest' for labels and masks" if labels else "convert it first"
        )
        raise PanoramaError(f"{name} must be {', '.join(_ARRAY_TYPES)}, got {dtype}: {remedy}")
    return torch.from_numpy(np.require(array, dtype=dtype.newbyteorder("="), requirements=["W", "C"]))


def array_from_views(
    views: Shaped[Tensor, "*batch channels height width"], grey: bool, dtype: "np.dtype[Any] | None" = None
) -> ndarray:
    """Convert views to an array `[..., h, w, C]`, or `[..., h, w]` if the panorama had no channels.

    Args:
        views: The views.
        grey: The panorama had no channels.
        dtype: The dtype of the panorama, if the views have integers of the same bytes.
    """
    array = np.ascontiguousarray((views[..., 0, :, :] if grey else views.movedim(-3, -1)).numpy())
    return array if dtype is None else array.view(dtype)


def cast_like(values: Shaped[Tensor, "..."], reference: Tensor) -> Shaped[Tensor, "..."]:
    """Convert computed values to the dtype of `reference`. For uint8 they are rounded and clamped to 0..255."""
    if reference.dtype == torch.uint8:
        return values.round().clamp(0, 255).to(torch.uint8)
    return values.to(reference.dtype)
