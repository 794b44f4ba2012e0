"""`extract_views`: the views of a panorama."""

import functools
import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from panollava_geometry._errors import PanoramaError
from panollava_geometry._plan import ViewPlan
from panollava_geometry._sphere import rays_to_equirect

Backend = Literal["auto", "torch", "opencv", "py360convert"]


def size_pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a size given as one number or a pair."""
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise PanoramaError(f"size must be a positive int or (height, width), got {size!r}")
    return int(height), int(width)


@functools.lru_cache(maxsize=8)
def _grid(plan: ViewPlan, size: tuple[int, int], erp: tuple[int, int], factor: int, align_corners: bool) -> Tensor:
    fine = size if align_corners else (size[0] * factor, size[1] * factor)
    xy = np.stack([rays_to_equirect(view.rays(fine, align_corners=align_corners), erp) for view in plan])
    return torch.from_numpy(xy)


def _sample(erp: Tensor, xy: Tensor) -> Tensor:
    """Bilinear samples [..., C, *grid] of an ERP at pixel coordinates; longitude wraps, latitude goes over the pole."""
    height, width = erp.shape[-2:]
    x, y = xy[..., 0] - 0.5, xy[..., 1] - 0.5
    left, top = x.floor(), y.floor()
    total = torch.zeros((), dtype=erp.dtype, device=erp.device)
    for row, wy in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, wx in ((left, 1 - (x - left)), (left + 1, x - left)):
            r, c = row.long(), column.long()
            over = (r < 0) | (r >= height)
            r = torch.where(r < 0, -1 - r, torch.where(r >= height, 2 * height - 1 - r, r))
            c = torch.where(over, c + width // 2, c) % width
            total = total + erp.flatten(-2)[..., r * width + c] * (wy * wx).to(erp.dtype)
    return total


def extract_views(
    erp: Shaped[Tensor, "*batch channels height width"],
    plan: ViewPlan,
    size: int | tuple[int, int],
    *,
    antialias: bool = True,
    align_corners: bool = False,
    backend: Backend = "auto",
) -> Shaped[Tensor, "*batch views channels view_height view_width"]:
    """Extract the views of a plan from full equirectangular panoramas.

    Args:
        erp: Panoramas, uint8 or floating point; the width is twice the height.
        plan: The views.
        size: Height and width of every view, or one number for both.
        antialias: Low-pass by the local minification.
        align_corners: The field of view spans the centres of the outer pixels (py360convert's grid).
        backend: Who samples.

    Returns:
        The views, of the dtype and on the device of `erp`.

    Raises:
        PanoramaError: The panorama is not 2:1, or an option is unknown.
    """
    size = size_pair(size)
    height, width = erp.shape[-2:]
    if width != 2 * height:
        raise PanoramaError(f"a panorama must be twice as wide as high, got {width}x{height}")
    factor = 1
    if antialias and not align_corners:
        factor = min(8, max(1, math.ceil(width / 4 / max(size))))
    xy = _grid(plan, size, (height, width), factor, align_corners)
    image = erp.float() if erp.dtype == torch.uint8 else erp
    views = torch.stack([_sample(image, view.to(erp.device, torch.float32)) for view in xy], dim=-4)
    if factor > 1:
        views = torch.nn.functional.avg_pool2d(views.flatten(0, -4), factor).unflatten(0, views.shape[:-3])
    return views.round().clamp(0, 255).to(torch.uint8) if erp.dtype == torch.uint8 else views


def view_rays(plan: ViewPlan, grid: int | tuple[int, int]) -> Shaped[Tensor, "views rows columns 3"]:
    """Unit directions of the token centres of every view.

    Args:
        plan: The views.
        grid: Rows and columns of tokens, or one number for both.

    Returns:
        float32 rays [V, H', W', 3]: x right, y up, z forward.
    """
    rows_columns = size_pair(grid)
    return torch.from_numpy(np.stack([view.rays(rows_columns) for view in plan])).float()
