"""Nearest-neighbour reading: each pixel of a view is one pixel of the panorama, unchanged. For labels, masks and depth.

The pixel is the one that contains the position that is read. A position on the border of two pixels, to 1e-9 pixels,
belongs to the right or the lower one, so that rounding errors do not decide.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._bounded_cache import BoundedCache
from panollava_geometry._sampling._resampling import split_yaw
from panollava_geometry._views._sphere import equirect_to_rays, rays_to_angles
from panollava_geometry._views._view_base import pixel_centres
from panollava_geometry._views._views import View

_STRIP = 128  # rows planned at a time, to limit the memory
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class NearestGrid:
    """The panorama pixel of every output pixel. Columns count from the anchor, and may exceed the panorama."""

    row: Int[ndarray, "height width"]
    column: Int[ndarray, "height width"]

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.row.nbytes + self.column.nbytes


_cache: BoundedCache[NearestGrid] = BoundedCache(max_bytes=128 * 2**20)


def nearest_pixels(xy: Float[ndarray, "*grid 2"], size: tuple[int, int]) -> Int[ndarray, "*grid 2"]:
    """The pixel (column, row) that contains each position, inside of an image of `size` (height, width)."""
    return np.clip(np.floor(xy + _TIE), 0, [size[1] - 1, size[0] - 1]).astype(np.int64)


def read_views(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    views: tuple[View, ...],
    size: tuple[int, int],
    align_corners: bool,
) -> Shaped[Tensor, "batch views channels height width"]:
    """Read views of panoramas of any dtype. The dtype stays."""
    height, width = erp.shape[-2:]
    flat = as_integers(erp).flatten(-2)
    read = []
    for view in views:
        canonical, anchor = split_yaw(view, width)
        options = (canonical, size, (height, width), align_corners)
        grid = _cache.get(options, partial(_plan, *options))
        index = grid.row.astype(np.int64) * width + (grid.column + anchor) % width
        read.append(flat.index_select(-1, torch.from_numpy(index.ravel()).to(flat.device)))
    stacked = torch.stack(read, dim=1)
    return retyped(stacked.reshape(*stacked.shape[:-1], *size), erp)


def read_rotated(
    erp: Shaped[Tensor, "*batch erp_height erp_width"], rotation: Float[ndarray, "3 3"]
) -> Shaped[Tensor, "*batch erp_height erp_width"]:
    """Read a rotated panorama of any dtype. The dtype stays."""
    height, width = erp.shape[-2:]
    flat, strips = as_integers(erp).flatten(-2), []
    for top in range(0, height, _STRIP):
        centres = pixel_centres((min(_STRIP, height - top), width), top)
        row, column = _pixels(equirect_to_rays(centres, (height, width)) @ rotation.T, (height, width))
        index = row * width + (column + width // 2) % width
        strips.append(flat.index_select(-1, torch.from_numpy(index.ravel()).to(flat.device)))
    return retyped(torch.cat(strips, dim=-1).reshape(erp.shape), erp)


def retyped(values: Shaped[Tensor, "..."], like: Tensor) -> Shaped[Tensor, "..."]:
    """Undo `as_integers`: the same memory in the dtype of another tensor."""
    return values if values.dtype == like.dtype else values.view(like.dtype)


def as_integers(values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """The same memory in a dtype that torch indexes everywhere; unsigned integers and float8 are not among them."""
    if values.dtype == torch.uint8 or values.dtype == torch.bool or values.is_complex():
        return values
    if values.is_floating_point() and values.element_size() > 1:
        return values  # keeps its gradient
    return values.view({1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()])


def _pixels(
    rays: Float[ndarray, "*grid 3"], erp: tuple[int, int]
) -> tuple[Int[ndarray, "*grid"], Int[ndarray, "*grid"]]:
    """Row and column of the pixel in each direction. Columns count from longitude 0."""
    longitude, latitude = rays_to_angles(rays)
    column = np.floor(longitude * (erp[1] / (2 * np.pi)) + _TIE).astype(np.int64)
    row = np.floor((0.5 - latitude / np.pi) * erp[0] + _TIE).astype(np.int64)
    return np.clip(row, 0, erp[0] - 1), column


def _plan(view: View, size: tuple[int, int], erp: tuple[int, int], align_corners: bool) -> NearestGrid:
    rows, columns = [], []
    for top in range(0, size[0], _STRIP):
        centres = pixel_centres((min(_STRIP, size[0] - top), size[1]), top)
        row, column = _pixels(view.pixels_to_rays(centres, size, align_corners=align_corners), erp)
        rows.append(row.astype(np.int32))
        columns.append(column.astype(np.int32))
    return NearestGrid(np.concatenate(rows), np.concatenate(columns))
