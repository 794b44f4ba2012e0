"""Paste views, or values on their token grids, back onto the panorama."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, overload

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._bounded_cache import BoundedCache
from panollava_geometry._arrays._containers import open_views
from panollava_geometry._arrays._options import Interpolation
from panollava_geometry._arrays._pillow import Image, image_from_array
from panollava_geometry._arrays._sizes import Size, check_result, size_pair
from panollava_geometry._arrays._tensors import cast_like, check_tensor
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._planning._plan import ViewPlan, Views, as_plan
from panollava_geometry._projections._pasted_places import is_full_turn, places_in_rows
from panollava_geometry._sampling._nearest import as_integers, nearest_pixels, retyped
from panollava_geometry._views._footprint import required_width
from panollava_geometry._views._views import View

_PIXELS = 2**19  # pixels pasted at a time, to limit the memory
_CLEARLY = 1 + 1e-5  # a later view must have a larger weight by more than rounding


@dataclass(frozen=True, eq=False)
class Places:
    """The panorama pixels that a view sees, their positions in the view, and the weight of the view there."""

    pixel: Int[ndarray, " seen"]
    grid: Float[ndarray, "seen 2"]
    weight: Float[ndarray, " seen"]

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.pixel.nbytes + self.grid.nbytes + self.weight.nbytes


_cache: BoundedCache[Places] = BoundedCache(max_bytes=128 * 2**20)


@overload
def paste_views(
    views: Shaped[Tensor, "*batch views channels height width"],
    plan: Views,
    erp_size: Size,
    *,
    interpolation: Interpolation = "bilinear",
    fill: float | int | bool = 0,
) -> tuple[Shaped[Tensor, "*batch channels erp_height erp_width"], Float[Tensor, "erp_height erp_width"]]: ...
@overload
def paste_views(
    views: ndarray | Sequence[ndarray],
    plan: Views,
    erp_size: Size,
    *,
    interpolation: Interpolation = "bilinear",
    fill: float | int | bool = 0,
) -> tuple[ndarray, ndarray]: ...
@overload
def paste_views(
    views: Sequence[Image],
    plan: Views,
    erp_size: Size,
    *,
    interpolation: Interpolation = "bilinear",
    fill: float | int | bool = 0,
) -> tuple[Image, ndarray]: ...
def paste_views(
    views: Shaped[Tensor, "*batch views channels height width"] | ndarray | Sequence[ndarray] | Sequence[Image],
    plan: Views,
    erp_size: Size,
    *,
    interpolation: Interpolation = "bilinear",
    fill: float | int | bool = 0,
) -> tuple[Any, Any]:
    """Paste views, or values on their token grids, onto the panorama, and blend them.

    Every pixel of the panorama is the weighted mean of the views that see it, read bilinearly. The weight of a view
    decreases towards its edges, and is larger for views with smaller pixels. Differentiable with respect to the views.

    With `interpolation="nearest"`, for labels and masks, nothing is averaged: every pixel of the panorama is the value
    of one view, the one with the largest weight.

    Args:
        views: Images or token-grid values `[..., V, C, h, w]`, uint8 or floating point. Or NumPy arrays `[V, h, w]` or
            `[..., V, h, w, C]`, or a list with one array or one Pillow image per view. With
            `interpolation="nearest"`, any dtype.
        plan: The views: a plan, a list of views, or a single view.
        erp_size: Height of the panorama in pixels (the width is twice that), or (height, width).
        interpolation: `bilinear`, or `nearest` for labels and masks.
        fill: The value where no view sees the panorama.

    Returns:
        The panorama `[..., C, H, 2H]`, and the number of views that see each pixel `[H, 2H]` (fractions at the edges of
        views; with `nearest`, whole numbers). Of arrays, arrays `[H, 2H]` or `[..., H, 2H, C]`; of Pillow images, an
        image and an array.

    Raises:
        PanoramaError: The number of views differs from the plan, the dtype of the values is not supported or does not
            have the value `fill`, or the size is not 2:1.

    Example:
        >>> import torch
        >>> from panollava_geometry import paste_views, plan_views
        >>> heat, coverage = paste_views(torch.ones(6, 1, 4, 4), plan_views("cubemap"), 32)
        >>> heat.shape, float(coverage.min())
        (torch.Size([1, 32, 64]), 1.0)
    """
    height, width = (erp_size, 2 * erp_size) if isinstance(erp_size, int) else size_pair(erp_size, "erp_size")
    if height < 1 or width != 2 * height:
        raise PanoramaError(f"erp_size must be a positive height or (height, 2 * height), got {short(erp_size)}")
    if not isinstance(fill, float | int | np.number | np.bool):
        raise PanoramaError(f"fill must be a number, got {short(fill)}")
    plan = as_plan(plan)
    opened = open_views(views, interpolation)
    values = opened.tensor
    check_tensor(values, "views as a tensor [..., views, channels, height, width], an array or a list of images")
    if values.ndim < 4 or values.shape[-4] != len(plan) or 0 in values.shape[-3:]:
        raise PanoramaError(
            f"views must be [..., {len(plan)} views, channels, height, width] for this plan, got {tuple(values.shape)}"
        )
    if interpolation == "bilinear" and not (values.is_floating_point() or values.dtype == torch.uint8):
        raise PanoramaError(
            f"views must be uint8 or floating point, got {values.dtype}: call .float() first, or pass "
            "interpolation='nearest' for labels and masks"
        )
    check_result(1, (height, width), values.shape[-3], max(values.element_size(), 4), "erp_size")
    paste = _paste_nearest if interpolation == "nearest" else _paste
    panorama, counts = paste(values.reshape(-1, *values.shape[-4:]), plan, height)
    panorama = panorama.reshape(*values.shape[:-4], *panorama.shape[1:])
    if isinstance(views, Tensor):
        return (filled(panorama, counts, fill) if fill != 0 else panorama), counts
    seen = counts.numpy()
    if isinstance(views, ndarray) or isinstance(views[0], ndarray):
        array = opened.restore(panorama)
        return (_filled_array(array, seen, fill) if fill != 0 else array), seen
    image = opened.restore(panorama)
    if fill != 0:
        image = image_from_array(_filled_array(np.array(image), seen, fill), image)
    return image, seen


def _paste(
    views: Shaped[Tensor, "batch views channels height width"], plan: ViewPlan, height: int
) -> tuple[Shaped[Tensor, "batch channels erp_height erp_width"], Float[Tensor, "erp_height erp_width"]]:
    size = (views.shape[-2], views.shape[-1])
    working = views if views.dtype == torch.float64 else views.float()
    images = [working[:, index] for index in range(len(plan))]
    images = [
        functional.pad(image, (1, 1, 0, 0), mode="circular") if is_full_turn(view) else image
        for view, image in zip(plan, images, strict=True)
    ]
    fine = [_subsampling(view, size, 2 * height) for view in plan]
    rows = max(1, _PIXELS // (2 * height * max(fine) ** 2))
    strips = [
        _paste_strip(images, plan, fine, size, height, (top, min(top + rows, height))) for top in range(0, height, rows)
    ]
    panorama = torch.cat([values for values, _ in strips], dim=-2)
    return cast_like(panorama, views), torch.cat([counts for _, counts in strips])


def _paste_strip(
    images: list[Float[Tensor, "batch channels height _"]],
    plan: ViewPlan,
    fine: list[int],
    size: tuple[int, int],
    height: int,
    rows: tuple[int, int],
) -> tuple[Float[Tensor, "batch channels rows erp_width"], Float[Tensor, "rows erp_width"]]:
    """The mean of all views in some rows of the panorama, and how many views see each pixel."""
    like = images[0]
    count, width = rows[1] - rows[0], 2 * height
    total = like.new_zeros(*like.shape[:2], count, width)
    weights, counts = like.new_zeros(count, width), like.new_zeros(count, width)
    dtype = np.float64 if like.dtype == torch.float64 else np.float32
    for view, image, reads in zip(plan, images, fine, strict=True):
        for part in places_in_rows(view, size, height, reads, rows, dtype):
            grid, weight, seen = (torch.from_numpy(array).to(image) for array in (part.grid, part.weight, part.seen))
            read = functional.grid_sample(
                image, grid.expand(len(image), -1, -1, -1), padding_mode="border", align_corners=False
            )
            columns = slice(part.column, part.column + weight.shape[1] // reads)
            total[..., columns] += _block_sums(read * weight, reads)
            weights[:, columns] += _block_sums(weight, reads)
            counts[:, columns] += _block_sums(seen, reads) / reads**2
    return total / weights.clamp(min=torch.finfo(weights.dtype).tiny), counts


def _block_sums(values: Float[Tensor, "*batch fine_rows fine_columns"], side: int) -> Float[Tensor, "*batch _ _"]:
    if side == 1:
        return values
    rows, columns = values.shape[-2] // side, values.shape[-1] // side
    return values.reshape(*values.shape[:-2], rows, side, columns, side).sum(dim=(-3, -1))


def _paste_nearest(
    views: Shaped[Tensor, "batch views channels height width"], plan: ViewPlan, height: int
) -> tuple[Shaped[Tensor, "batch channels erp_height erp_width"], Float[Tensor, "erp_height erp_width"]]:
    channels, *view_size = views.shape[-3:]
    size, width = (view_size[0], view_size[1]), 2 * height
    source = as_integers(views).flatten(-2)
    panorama = source.new_zeros(len(views), channels, height * width)
    best, counts = np.zeros(height * width, np.float32), np.zeros(height * width, np.float32)
    for index, view in enumerate(plan):
        places = find_places(view, size, height)
        counts[places.pixel] += 1
        better = places.weight > best[places.pixel] * _CLEARLY
        pixel = places.pixel[better]
        best[pixel] = places.weight[better]
        nearest = torch.from_numpy(nearest_indices(view, size, places.grid[better]))
        read = source[:, index].index_select(-1, nearest.to(views.device))
        panorama = panorama.index_copy(2, torch.from_numpy(pixel).to(views.device), read)
    return (
        retyped(panorama, views).reshape(-1, channels, height, width),
        torch.from_numpy(counts.reshape(height, width)).to(views.device),
    )


def find_places(view: View, size: tuple[int, int], height: int) -> Places:
    """The pixels of a panorama of this height that a view of `size` sees, in rising order."""
    return _cache.get((view, size, height), partial(_plan, view, size, height))


def nearest_indices(view: View, size: tuple[int, int], grid: Float[ndarray, "seen 2"]) -> Int[ndarray, " seen"]:
    """The pixel of a view, counted row by row, that contains each position of `Places.grid`."""
    padding = int(is_full_turn(view))
    xy = (grid.astype(np.float64) + 1) / 2 * [size[1] + 2 * padding, size[0]] - [padding, 0]
    # `grid` is float32: to 2e-7 of the view
    column, row = np.moveaxis(nearest_pixels(xy + 1e-6 * np.array(size[::-1]), size), -1, 0)
    return np.asarray(row * size[1] + column)


def filled(
    panorama: Shaped[Tensor, "*batch channels height width"],
    counts: Float[Tensor, "height width"],
    fill: float | int | bool,
) -> Shaped[Tensor, "*batch channels height width"]:
    """The panorama with a value where no view sees it.

    Raises:
        PanoramaError: The dtype of the panorama does not have this value.
    """
    if not panorama.is_floating_point() and not panorama.is_complex():
        low, high = (0, 1) if panorama.dtype == torch.bool else _limits(torch.iinfo(panorama.dtype))
        _check_fill(fill, low, high, panorama.dtype)
    value = torch.tensor(fill, dtype=panorama.dtype, device=panorama.device)
    return retyped(torch.where(counts == 0, as_integers(value), as_integers(panorama)), panorama)


def _filled_array(panorama: ndarray, counts: ndarray, fill: float | int | bool) -> ndarray:
    """The panorama `[H, 2H]` or `[..., H, 2H, C]` with a value where no view sees it."""
    if panorama.dtype.kind in "biu":
        low, high = (0, 1) if panorama.dtype.kind == "b" else _limits(np.iinfo(panorama.dtype))
        _check_fill(fill, low, high, panorama.dtype)
    unseen = counts == 0
    return np.where(unseen if panorama.ndim == 2 else unseen[..., None], panorama.dtype.type(fill), panorama)


def _limits(info: Any) -> tuple[int, int]:
    return int(info.min), int(info.max)


def _check_fill(fill: float | int | bool, low: int, high: int, dtype: object) -> None:
    if not (low <= fill <= high and fill == int(fill)):
        raise PanoramaError(f"fill must be a whole number from {low} to {high} for {dtype}, got {short(fill)}")


def _subsampling(view: View, size: tuple[int, int], erp_width: int) -> int:
    """Reads per panorama pixel and axis. A view with smaller pixels than the panorama is averaged."""
    return int(np.clip(np.ceil(required_width((view,), size) / erp_width), 1, 4))


def _plan(view: View, size: tuple[int, int], height: int) -> Places:
    found = []
    step = max(1, _PIXELS // (2 * height))
    for top in range(0, height, step):
        for part in places_in_rows(view, size, height, 1, (top, min(top + step, height)), np.float64):
            row, column = np.nonzero(part.seen)
            pixel = (row + top) * (2 * height) + column + part.column
            found.append((pixel, part.grid[row, column], part.weight[row, column]))
    if not found:
        return Places(np.zeros(0, np.int64), np.zeros((0, 2), np.float32), np.zeros(0, np.float32))
    pixel, grid, weight = (np.concatenate(columns) for columns in zip(*found, strict=True))
    order = np.argsort(pixel, kind="stable")
    return Places(pixel[order], grid[order].astype(np.float32), weight[order].astype(np.float32))
