"""What a function on images may return, as one tensor `[n, C, h, w]` per output."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._containers import open_views
from panollava_geometry._arrays._pillow import is_image
from panollava_geometry._errors import PanoramaError, short

#: The name of an output: of a dictionary its key, of a tuple its index, of anything else None.
Name = str | int | None


class Output(NamedTuple):
    """One output for n images, `[n, C, h, w]`, and whether the function returned the channels."""

    values: Shaped[Tensor, "n channels height width"]
    channels: bool


def read_outputs(returned: Any, count: int, names: Sequence[Name] | None) -> dict[Name, Output]:
    """Read what a function returned for `count` images.

    Args:
        returned: A tensor or array, a list with one result per image, or a tuple or dictionary of these. A list of
            dictionaries stands for a dictionary of lists.
        count: The number of images.
        names: The outputs to read. None: all.

    Raises:
        PanoramaError: It is something else, or an output is missing or not of `count` images.
    """
    if isinstance(returned, list) and returned and all(isinstance(one, Mapping) for one in returned):
        _check_count(len(returned), count, "a list of dictionaries")
        wanted = names if names is not None else list(returned[0])
        for one in returned:
            _check_names(one, wanted)
        returned = {name: [one[name] for one in returned] for name in wanted}
    if isinstance(returned, Mapping):
        wanted = names if names is not None else list(returned)
        _check_names(returned, wanted)
        return {name: _output(returned[name], count, name) for name in wanted}
    if isinstance(returned, tuple):
        found: dict[Name, Any] = dict(enumerate(returned))
        wanted = names if names is not None else list(found)
        _check_names(found, wanted)
        return {name: _output(found[name], count, name) for name in wanted}
    if names is not None and list(names) != [None]:
        raise PanoramaError(
            f"kind names the outputs {short(list(names))}, but the function returned {_description(returned)}: pass "
            "one kind, or return a dictionary"
        )
    return {None: _output(returned, count, None)}


def output_name(name: Name) -> str:
    """An output in a message."""
    return "the output of the function" if name is None else f"the output {short(name)} of the function"


def _check_names(found: Mapping[Any, Any], wanted: Sequence[Name]) -> None:
    missing = [name for name in wanted if name not in found]
    if missing or not wanted:
        raise PanoramaError(
            f"the function did not return the output {short(missing[0] if missing else None)}, only "
            f"{short(list(found))}: change kind, or the function"
        )


def _check_count(found: int, count: int, what: str) -> None:
    if found != count:
        raise PanoramaError(f"the function got {count} views and returned {what} of {found}: expected one per view")


def _output(returned: Any, count: int, name: Name) -> Output:
    expected = f"[{count}, h, w] or [{count}, channels, h, w]"
    if isinstance(returned, list) and returned and all(isinstance(one, Tensor) for one in returned):
        _check_count(len(returned), count, "a list")
        shapes = sorted({f"{tuple(one.shape)} {one.dtype}" for one in returned})
        if len(shapes) > 1:
            raise PanoramaError(f"{output_name(name)} must have one shape and dtype for all views, got {short(shapes)}")
        returned = torch.stack(returned)
    elif isinstance(returned, list) and returned and all(isinstance(one, ndarray) or is_image(one) for one in returned):
        _check_count(len(returned), count, "a list")
        grey = len(returned[0].getbands()) == 1 if is_image(returned[0]) else returned[0].ndim == 2
        kinds = sorted({_kind_of(one) for one in returned})
        if len(kinds) > 1:
            raise PanoramaError(f"{output_name(name)} must have one shape and dtype for all views, got {short(kinds)}")
        stacked = np.stack([np.asarray(one) for one in returned])
        return Output(_from_array(stacked), not grey)
    elif isinstance(returned, ndarray) and returned.ndim in (3, 4):
        if len(returned) != count:
            raise PanoramaError(
                f"{output_name(name)} has the shape {returned.shape}; expected [{count}, h, w] or "
                f"[{count}, h, w, channels], an array for the {count} views that it got"
            )
        return Output(_from_array(returned), returned.ndim == 4)
    if not isinstance(returned, Tensor):
        raise PanoramaError(
            f"{output_name(name)} must be a tensor {expected}, an array, or a list with one per view, got "
            f"{_description(returned)}"
        )
    if returned.ndim not in (3, 4) or len(returned) != count or 0 in returned.shape:
        raise PanoramaError(
            f"{output_name(name)} has the shape {tuple(returned.shape)}; expected {expected} for the {count} views "
            "that it got"
        )
    return Output(returned[:, None] if returned.ndim == 3 else returned, returned.ndim == 4)


def _kind_of(image: Any) -> str:
    """Shape and dtype, or size and mode."""
    return f"{image.size} {image.mode}" if is_image(image) else f"{image.shape} {image.dtype}"


def _from_array(array: ndarray) -> Shaped[Tensor, "n channels height width"]:
    """An array `[n, h, w]` or `[n, h, w, C]` as a tensor. Integers that torch cannot compute with become wider."""
    wider = {"uint16": np.int32, "uint32": np.int64, "uint64": np.int64}.get(array.dtype.name)
    tensor: Tensor = open_views(array if wider is None else array.astype(wider), "nearest").tensor
    return tensor


def _description(value: object) -> str:
    if isinstance(value, Tensor | ndarray):
        return f"{type(value).__name__} {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        inside = f" of {type(value[0]).__name__}" if value else ""
        return f"a {type(value).__name__}{inside}, length {len(value)}"
    return type(value).__name__
