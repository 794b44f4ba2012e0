"""Stitch the token grids of a panorama's views to one sequence, and compute its length."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

#: How the columns of overlapping views become one sequence.
StitchingMode = Literal["concat", "stride_views", "drop_overlap", "resample"]
#: Interpolation between columns, for `resample`.
Interpolation = Literal["linear", "nearest"]


def check_stitching(stitching_mode: str, overlap_ratio: float | int, stitch_interp: str = "linear") -> None:
    """Raise ValueError if an option is unknown or out of range."""
    if stitching_mode not in get_args(StitchingMode):
        raise ValueError(
            f"unknown stitching_mode {stitching_mode!r}; expected one of {', '.join(get_args(StitchingMode))}"
        )
    if stitch_interp not in get_args(Interpolation):
        raise ValueError(f"unknown stitch_interp {stitch_interp!r}; expected 'linear' or 'nearest'")
    if not 0 <= overlap_ratio < 1:
        raise ValueError(f"overlap_ratio must be in [0, 1), got {overlap_ratio}")


def num_image_tokens(
    num_views: int,
    grid: tuple[int, int],
    stitching_mode: StitchingMode = "concat",
    *,
    overlap_ratio: float | int = 0.3,
    stitch_target_to_view_width: bool = False,
) -> int:
    """Return the number of language-model tokens of a panorama, the T of `PanoramaProjector`.

    Args:
        num_views: V.
        grid: the (rows, columns) of the latent tokens of a view, see `resampler_output_grid`.
        stitching_mode: as in `PanoramaProjector`, like the following options.
        overlap_ratio: the part of a view that its neighbour also sees, in [0, 1).
        stitch_target_to_view_width: `resample` to the width of one view.

    Raises:
        ValueError: the mode is unknown, a number is out of range, or the overlap removes all columns of a view.

    Example:
        >>> from panollava_core import num_image_tokens
        >>> num_image_tokens(8, (8, 8)), num_image_tokens(8, (8, 8), "drop_overlap", overlap_ratio=0.5)
        (512, 288)
    """
    check_stitching(stitching_mode, overlap_ratio)
    return grid[0] * _columns(num_views, grid, stitching_mode, overlap_ratio, stitch_target_to_view_width)


def _columns(num_views: int, grid: tuple[int, int], mode: str, overlap_ratio: float | int, to_view_width: bool) -> int:
    rows, width = grid
    if num_views < 1 or rows < 1 or width < 1:
        raise ValueError(f"expected at least one view, row and column, got {num_views} views of {rows}x{width} tokens")
    if mode == "concat":
        return num_views * width
    shared = shared_columns(width, overlap_ratio)
    if num_views > 1 and shared >= width:
        raise ValueError(
            f"overlap_ratio={overlap_ratio} removes all {width} columns of every view after the first; "
            "use a smaller overlap_ratio or stitching_mode='concat'"
        )
    if mode == "resample" and to_view_width:
        return width
    return num_views * width - (num_views - 1) * shared


def shared_columns(width: int, overlap_ratio: float | int) -> int:
    """Return the number of columns that a view shares with its neighbour."""
    return round(width * overlap_ratio)


def stitch_columns(
    views: Float[Tensor, "batch views rows columns features"], mode: StitchingMode, overlap_ratio: float | int
) -> Float[Tensor, "batch tokens features"]:
    """Put the views side by side and read them row by row; all modes but `concat` drop shared columns.

    `stride_views` and `drop_overlap` do the same; the configs of the original PanoLLaVA use both names.
    """
    _, num_views, rows, width, _ = views.shape
    _columns(num_views, (rows, width), mode, overlap_ratio, False)
    if mode == "concat":
        return views.transpose(1, 2).flatten(1, 3)
    shared = shared_columns(width, overlap_ratio)
    rest = views[:, 1:, :, shared:].transpose(1, 2).flatten(2, 3)
    return torch.cat([views[:, 0], rest], dim=2).flatten(1, 2)


def stitch_resampled(
    views: Float[Tensor, "batch views rows columns features"],
    overlap_ratio: float | int,
    *,
    to_view_width: bool,
    interpolation: Interpolation,
) -> Float[Tensor, "batch tokens features"]:
    """Resample the columns of all views to even spacing, blending views where they overlap; read them row by row."""
    _, num_views, rows, width, _ = views.shape
    target = _columns(num_views, (rows, width), "resample", overlap_ratio, to_view_width)
    weights = blending_weights(
        num_views, width, target, shared_columns(width, overlap_ratio), interpolation, device=views.device
    )
    mosaic = views.transpose(1, 2).flatten(2, 3)
    return torch.matmul(weights.to(views.dtype), mosaic).flatten(1, 2)


def blending_weights(
    num_views: int, width: int, target: int, shared: int, interpolation: Interpolation, *, device: torch.device
) -> Float[Tensor, "target views_columns"]:
    """Return the weight of each column of each view in each resampled column.

    `target` positions are spaced evenly over the `V·W' − (V−1)·shared` columns of the panorama. Each view is sampled at
    these positions, zero outside of it, and the samples are averaged with the views' interpolation weights.
    """
    unique = num_views * width - (num_views - 1) * shared
    position = torch.linspace(0, unique - 1, target, device=device, dtype=torch.float32)
    first = torch.arange(num_views, device=device, dtype=torch.float32) * (width - shared)
    local = position[None] - first[:, None]
    if width == 1:  # grid_sample would extend a single column over the whole axis
        return (local.round() == 0).to(position.dtype).T
    # Sampling unit columns gives the weights that grid_sample itself uses, including how it rounds ties.
    across = local / (width - 1) * 2 - 1
    locations = torch.stack([across, torch.zeros_like(across)], dim=-1)[:, None]
    unit = torch.eye(width, device=device)[None, :, None].expand(num_views, -1, -1, -1)
    mode = "bilinear" if interpolation == "linear" else "nearest"
    sampled = grid_sample(unit, locations, mode=mode, padding_mode="zeros", align_corners=True)[:, :, 0]
    weight = sampled.sum(dim=1, keepdim=True)
    blended = sampled * weight / weight.sum(dim=0, keepdim=True).clamp_min(1e-6)
    return blended.permute(2, 0, 1).flatten(1)
