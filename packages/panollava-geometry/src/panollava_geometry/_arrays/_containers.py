"""Tensors, NumPy arrays and Pillow images: all functions compute with tensors, and return what they were given."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._options import Interpolation
from panollava_geometry._arrays._pillow import array_from_image, image_from_array, is_image
from panollava_geometry._arrays._tensors import (
    array_from_views,
    tensor_from_array,
    tensor_from_image,
    tensor_from_views,
)
from panollava_geometry._errors import PanoramaError, short


class Opened(NamedTuple):
    """A tensor `[..., C, h, w]`, and the function that converts such a tensor to what the tensor was opened from."""

    tensor: Any
    restore: Callable[[Tensor], Any]


def open_panorama(erp: object, interpolation: str = "bilinear") -> Opened:
    """Open a panorama: a tensor `[..., C, H, 2H]`, an array `[H, 2H]` or `[..., H, 2H, C]`, or a Pillow image.

    Raises:
        PanoramaError: The interpolation is unknown, or the array or image is not supported.
    """
    return _open(erp, interpolation, tensor_from_array)


def open_image(image: object, interpolation: str = "bilinear") -> Opened:
    """Open an image of any shape: a tensor `[..., C, h, w]`, an array `[h, w]` or `[..., h, w, C]`, or a Pillow image.

    Raises:
        PanoramaError: The interpolation is unknown, or the array or image is not supported.
    """
    return _open(image, interpolation, tensor_from_image)


def _open(image: object, interpolation: str, convert: Callable[[ndarray, bool], Tensor]) -> Opened:
    nearest = check_interpolation(interpolation) == "nearest"
    if isinstance(image, ndarray):
        return Opened(convert(image, nearest), _array_maker(image, image.ndim == 2, nearest))
    if is_image(image):
        array = array_from_image(image, nearest)
        make = _array_maker(array, array.ndim == 2, nearest)
        return Opened(convert(array, nearest), lambda values: _images(make(values), array.ndim, image))
    return Opened(image, _same)


def open_views(views: object, interpolation: str = "bilinear") -> Opened:
    """Open views: a tensor `[..., V, C, h, w]`, an array `[V, h, w]` or `[..., V, h, w, C]`, or a list of either.

    Lists have one array `[h, w]` or `[h, w, C]`, or one Pillow image per view.

    Raises:
        PanoramaError: The interpolation is unknown, or the views are not supported or not of one size and dtype.
    """
    nearest = check_interpolation(interpolation) == "nearest"
    if isinstance(views, ndarray):
        return Opened(tensor_from_views(views, nearest), _array_maker(views, views.ndim == 3, nearest))
    if isinstance(views, Sequence) and len(views) > 0:
        if all(isinstance(view, ndarray) for view in views):
            return open_views(_stacked(views), interpolation)
        if all(is_image(view) for view in views):
            modes = sorted({view.mode for view in views})
            if len(modes) > 1:
                raise PanoramaError(f"views must be images of one mode, got {short(modes)}: convert them to one")
            arrays = _stacked([array_from_image(view, nearest) for view in views])
            opened = open_views(arrays, interpolation)
            return Opened(opened.tensor, lambda values: _images(opened.restore(values), arrays.ndim - 1, views[0]))
    return Opened(views, _same)


def check_interpolation(interpolation: str) -> str:
    """Check the name of an interpolation.

    Raises:
        PanoramaError: It is unknown.
    """
    if interpolation not in get_args(Interpolation):
        names = ", ".join(get_args(Interpolation))
        raise PanoramaError(f"unknown interpolation {short(interpolation)}: choose from {names}")
    return interpolation


def _same(values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    return values


def _array_maker(array: ndarray, grey: bool, nearest: bool) -> Callable[[Tensor], ndarray]:
    return lambda values: array_from_views(values, grey, array.dtype if nearest else None)


def _images(array: ndarray, ndim: int, like: Any) -> Any:
    """One image, or a list of images if the array has one axis more than the image."""
    if array.ndim == ndim:
        return image_from_array(array, like)
    return [image_from_array(part, like) for part in array]


def _stacked(arrays: Sequence[ndarray]) -> ndarray:
    kinds = sorted({f"{array.shape} {array.dtype}" for array in arrays})
    if len(kinds) > 1:
        raise PanoramaError(f"views must have one shape and dtype, got {short(kinds)}: resize or convert them")
    return np.stack(arrays)
