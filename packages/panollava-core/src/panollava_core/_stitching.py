"""From the token grids of a panorama's views to one sequence, and how long that sequence is."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

StitchingMode = Literal["concat", "stride_views", "drop_overlap", "resample"]
Interpolation = Literal["linear", "nearest"]


def check_stitching(stitching_mode: str, overlap_ratio: float | int, stitch_interp: str = "linear") -> None:
    """Refuse options that no mode knows."""
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
    """How many language-model tokens a panorama becomes: the T of `PanoramaProjector`, from the config alone.

    Args:
        num_views: V.
        grid: the (rows, columns) of a view's latent tokens, see `resampler_output_grid`.
        stitching_mode: as given to the projector, like the rest.
        overlap_ratio: the part of a view that its neighbour also sees.
        stitch_target_to_view_width: `resample` to the width of a single view.

    Raises:
        ValueError: an unknown mode, or the overlap leaves a view no columns.

    Example:
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
            f"overlap_ratio {overlap_ratio} takes all {width} columns of every view after the first; "
            "use a smaller overlap or stitching_mode='concat'"
        )
    if mode == "resample" and to_view_width:
        return width
    return num_views * width - (num_views - 1) * shared


def shared_columns(width: int, overlap_ratio: float | int) -> int:
    """The whole columns of a view that its neighbour repeats."""
    return round(width * overlap_ratio)


def stitch_columns(
    views: Float[Tensor, "batch views rows columns features"], mode: StitchingMode, overlap_ratio: float | int
) -> Float[Tensor, "batch tokens features"]:
    """Lay views side by side and read the mosaic row by row; all modes but `concat` drop repeated columns.

    `stride_views` and `drop_overlap` are one rule under two names that the original's configs use.
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
    """Resample the mosaic's columns evenly, views blended where they overlap, and read it row by row."""
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
    """What each column of each view gives to each resampled column.

    `target` places stand evenly on the mosaic of `V·W' − (V−1)·shared` columns. Each view is sampled there, zero
    outside; samples are averaged with the interpolation weight each view has at that place.
    """
    unique = num_views * width - (num_views - 1) * shared
    place = torch.linspace(0, unique - 1, target, device=device, dtype=torch.float32)
    first = torch.arange(num_views, device=device, dtype=torch.float32) * (width - shared)
    local = place[None] - first[:, None]
    if width == 1:  # grid_sample would take a lone column for endless
        return (local.round() == 0).to(place.dtype).T
    # Sampling unit columns with grid_sample yields its own weights, rounding of ties included.
    across = local / (width - 1) * 2 - 1
    locations = torch.stack([across, torch.zeros_like(across)], dim=-1)[:, None]
    unit = torch.eye(width, device=device)[None, :, None].expand(num_views, -1, -1, -1)
    mode = "bilinear" if interpolation == "linear" else "nearest"
    sampled = grid_sample(unit, locations, mode=mode, padding_mode="zeros", align_corners=True)[:, :, 0]
    weight = sampled.sum(dim=1, keepdim=True)
    blended = sampled * weight / weight.sum(dim=0, keepdim=True).clamp_min(1e-6)
    return blended.permute(2, 0, 1).flatten(1)
