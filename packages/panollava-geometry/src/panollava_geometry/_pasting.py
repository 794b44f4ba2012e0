"""Paste views, or values on their token grids, back onto the panorama."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._bounded_cache import BoundedCache
from panollava_geometry._equirectangular_view import EquirectangularView
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._fisheye_view import FisheyeView
from panollava_geometry._flat_views import CylindricalView
from panollava_geometry._footprint import required_width
from panollava_geometry._plan import Views, as_plan
from panollava_geometry._sizes import Size, check_result, size_pair
from panollava_geometry._sphere import equirect_to_rays
from panollava_geometry._tensors import check_tensor
from panollava_geometry._view_base import pixel_centres
from panollava_geometry._views import View

_STRIP = 128  # rows planned at a time, to limit the memory


@dataclass(frozen=True, eq=False)
class _Places:
    """The panorama pixels that a view sees, their positions in the view, and the weight of the view there."""

    pixel: Int[ndarray, " seen"]
    grid: Float[ndarray, "seen 2"]
    weight: Float[ndarray, " seen"]

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.pixel.nbytes + self.grid.nbytes + self.weight.nbytes


_cache: BoundedCache[_Places] = BoundedCache(max_bytes=128 * 2**20)


def paste_views(
    views: Shaped[Tensor, "*batch views channels height width"], plan: Views, erp_size: Size
) -> tuple[Shaped[Tensor, "*batch channels erp_height erp_width"], Float[Tensor, "erp_height erp_width"]]:
    """Paste views, or values on their token grids, onto the panorama, and blend them.

    Every pixel of the panorama is the weighted mean of the views that see it, read bilinearly. The weight of a view
    decreases towards its edges, and is larger for views with smaller pixels. Differentiable with respect to the views.

    Args:
        views: Images or token-grid values `[..., V, C, h, w]`, floating point.
        plan: The views: a plan, a list of views, or a single view.
        erp_size: Height of the panorama in pixels (the width is twice that), or (height, width).

    Returns:
        The panorama `[..., C, H, 2H]`, 0 where no view sees it, and the number of views that see each pixel `[H, 2H]`
        (fractions at the edges of views).

    Raises:
        PanoramaError: The number of views differs from the plan, the values are not floating point, or the size is not
            2:1.

    Example:
        >>> from panollava_geometry import paste_views, plan_views
        >>> heat, coverage = paste_views(torch.ones(6, 1, 4, 4), plan_views("cubemap"), 32)
        >>> heat.shape, float(coverage.min())
        (torch.Size([1, 32, 64]), 1.0)
    """
    height, width = (erp_size, 2 * erp_size) if isinstance(erp_size, int) else size_pair(erp_size, "erp_size")
    if height < 1 or width != 2 * height:
        raise PanoramaError(f"erp_size must be a positive height or (height, 2 * height), got {short(erp_size)}")
    plan = as_plan(plan)
    check_tensor(views, "views as a tensor [..., views, channels, height, width]")
    if views.ndim < 4 or views.shape[-4] != len(plan):
        raise PanoramaError(
            f"views must be [..., {len(plan)} views, channels, height, width] for this plan, got {tuple(views.shape)}"
        )
    if not views.is_floating_point():
        raise PanoramaError(f"views must be floating point, got {views.dtype}: call .float() first")
    check_result(1, (height, width), views.shape[-3], max(views.element_size(), 4), "erp_size")
    *batch, _, channels, view_height, view_width = views.shape
    flat = views.reshape(-1, *views.shape[-4:])
    working = flat if flat.dtype == torch.float64 else flat.float()
    total = working.new_zeros(len(flat), channels, height * width)
    weights, counts = working.new_zeros(height * width), working.new_zeros(height * width)
    for index, view in enumerate(plan):
        fine = _subsampling(view, (view_height, view_width), width)
        key = (view, (view_height, view_width), height, fine)
        places = _cache.get(key, partial(_plan, view, (view_height, view_width), height, fine))
        pixel = torch.as_tensor(places.pixel).to(views.device)
        weight = torch.as_tensor(places.weight).to(views.device, working.dtype)
        grid = torch.as_tensor(places.grid).to(views.device, working.dtype).expand(len(flat), 1, -1, -1)
        image = working[:, index]
        if _is_full_turn(view):
            image = functional.pad(image, (1, 1, 0, 0), mode="circular")
        read = functional.grid_sample(image, grid, padding_mode="border", align_corners=False)[:, :, 0]
        total = total.index_add(2, pixel, read * weight)
        weights.index_add_(0, pixel, weight)
        counts.index_add_(0, pixel, torch.full_like(weight, 1 / fine**2))
    panorama = total / weights.clamp(min=torch.finfo(weights.dtype).tiny)
    return panorama.to(views.dtype).reshape(*batch, channels, height, width), counts.reshape(height, width)


def _is_full_turn(view: View) -> bool:
    if isinstance(view, CylindricalView):
        return view.hfov_deg >= 360 - 1e-6
    return isinstance(view, EquirectangularView) and float(np.diff(view.longitude_range_deg)[0]) >= 360 - 1e-6


def _subsampling(view: View, size: tuple[int, int], erp_width: int) -> int:
    """Reads per panorama pixel and axis. A view with smaller pixels than the panorama is averaged."""
    return int(np.clip(np.ceil(required_width((view,), size) / erp_width), 1, 4))


def _plan(view: View, size: tuple[int, int], erp_height: int, fine: int) -> _Places:
    erp = (erp_height * fine, 2 * erp_height * fine)
    padding = int(_is_full_turn(view))
    density = size[0] * size[1] / float(view.solid_angles(size).sum())
    found: list[tuple[ndarray, ndarray, ndarray]] = []
    for top in range(0, erp[0], _STRIP):
        centres = pixel_centres((min(_STRIP, erp[0] - top), erp[1]), top)
        xy, seen = view.rays_to_pixels(equirect_to_rays(centres, erp), size)
        xy, rows_columns = xy[seen], np.argwhere(seen)
        pixel = (rows_columns[:, 0] + top) // fine * (erp[1] // fine) + rows_columns[:, 1] // fine
        uv = np.abs(2 * xy / [size[1], size[0]] - 1)
        if isinstance(view, EquirectangularView):
            (low, high) = view.latitude_range_deg
            uv *= [not padding, low > -90 and high < 90]
        elif isinstance(view, FisheyeView):  # the weight decreases towards the circle
            uv = np.stack([np.hypot(uv[:, 0], uv[:, 1]), np.zeros(len(uv))], axis=1)
        elif padding:
            uv[:, 0] = 0
        weight = density * np.maximum(1 - uv, 1e-3).prod(axis=1)
        xy[:, 0] += padding
        grid = 2 * xy / [size[1] + 2 * padding, size[0]] - 1
        found.append((pixel, grid.astype(np.float32), weight.astype(np.float32)))
    pixel, grid, weight = (np.concatenate(column) for column in zip(*found, strict=True))
    return _Places(pixel, grid, weight)
