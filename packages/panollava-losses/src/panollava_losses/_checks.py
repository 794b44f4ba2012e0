"""Checks of arguments. Each error says what is wrong, which value came, what is expected and what to change."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from panollava_losses._protocols import FIELDS, Correspondences

#: Rounding that a target place outside its grid may have, in tokens.
TOLERANCE = 1e-3


def check_features(x: Tensor, y: Tensor) -> None:
    """Both sides are floating tensors of one shape, dtype and device, at least `[tokens, features]`."""
    for name, z in (("x", x), ("y", y)):
        if not z.is_floating_point():
            raise ValueError(f"{name} has dtype {z.dtype}, expected a floating dtype: convert the features first")
    if x.ndim < 2 or x.shape != y.shape:
        raise ValueError(
            f"x and y have shapes {tuple(x.shape)} and {tuple(y.shape)}, expected one shape [pairs, tokens, features]"
        )
    if x.dtype != y.dtype or x.device != y.device:
        raise ValueError(
            f"x is {x.dtype} on {x.device} and y is {y.dtype} on {y.device}: convert both to one dtype and device"
        )
    if x.shape[-2] < 2:
        raise ValueError(
            f"x has {x.shape[-2]} token per pair (shape {tuple(x.shape)}), but variances need at least 2: raise the "
            "overlap_ratio or the token grid. Embeddings without tokens, [N, D], are one pair of N tokens"
        )
    if x.numel() == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}, expected at least one pair and one feature")


def check_weight(weight: Tensor, x: Tensor) -> None:
    """Weights are finite, not negative, and leave two tokens in each pair."""
    if weight.shape != x.shape[:-1]:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}, expected one weight per token: {tuple(x.shape[:-1])}"
        )
    if weight.device != x.device:
        raise ValueError(f"weight is on {weight.device}, but x is on {x.device}: move weight there")
    if weight.requires_grad:
        raise ValueError("weight requires grad, but the loss has no gradient by it: pass weight.detach()")
    if torch.compiler.is_compiling() or weight.device.type == "meta":
        return  # a check of values would break the graph
    if not bool((weight.isfinite() & (weight >= 0)).all()):
        raise ValueError("weight has negative or non-finite values: use weights >= 0, and 0 to mask a token")
    fewest = int((weight > 0).sum(dim=-1).min())
    if fewest < 2:
        raise ValueError(
            f"weight leaves a pair with {fewest} token, but variances need at least 2: leave that pair out, or raise "
            "the overlap_ratio or the token grid"
        )


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """An option has one of its valid values."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(map(repr, choices))}")


def check_temperature(temperature: float) -> None:
    """Exponentials of similarities between −1/temperature and 1/temperature fit into float64."""
    if not 0.003 <= temperature < float("inf"):
        raise ValueError(f"temperature is {temperature}, expected at least 0.003; usual values are 0.05 to 0.5")


def check_view_features(features: Tensor) -> None:
    """Features are floating `[batch, views, height, width, features]` with two views or more."""
    if features.ndim != 5 or features.numel() == 0:
        raise ValueError(
            f"features have shape {tuple(features.shape)}, expected [batch, views, height, width, features] and no 0"
        )
    if not features.is_floating_point():
        raise ValueError(f"features have dtype {features.dtype}, expected a floating dtype")
    if features.shape[1] < 2:
        raise ValueError(
            f"features have {features.shape[1]} view (shape {tuple(features.shape)}), but an overlap needs at least 2: "
            "raise num_views"
        )


def known_grid(correspondences: Correspondences) -> tuple[int, int] | None:
    """Rows and columns that correspondences were made for; None if they do not say."""
    grid = getattr(correspondences, "grid", None)
    return (int(grid[0]), int(grid[1])) if isinstance(grid, Sequence) and len(grid) == 2 else None


def check_layout(correspondences: Correspondences, shape: torch.Size) -> None:
    """Refuse features `[batch, views, features, height, width]`, as convolutions return them."""
    grid = known_grid(correspondences)
    if grid is not None and tuple(shape[2:4]) != grid and tuple(shape[3:]) == grid:
        raise ValueError(
            f"features have shape {tuple(shape)}, which is [batch, views, features, height, width] for the "
            f"correspondences' grid of {grid[0]}x{grid[1]} tokens, expected [batch, views, height, width, features]: "
            "pass features.permute(0, 1, 3, 4, 2)"
        )


def checked_correspondences(
    correspondences: Correspondences, num_views: int, grid: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The five fields as int64 and floating tensors that fit the views and the grid, without pairs of weight 0."""
    source, target, index, xy, weight = (getattr(correspondences, name) for name in FIELDS)
    count = source.shape[0]
    for name, value in zip(FIELDS, (source, target, index, xy, weight), strict=True):
        shape = (count, 2) if name == "target_xy" else (count,)
        if tuple(value.shape) != shape:
            raise ValueError(f"correspondences.{name} has shape {tuple(value.shape)}, expected {shape}")
    if not bool((weight.isfinite() & (weight >= 0)).all()):
        raise ValueError("correspondences.weight has negative or non-finite values: use weights >= 0")
    keep = weight > 0
    if not bool(keep.any()):
        raise ValueError(
            f"no overlap: none of {count} correspondences has a positive weight. Raise the plan's overlap_ratio, "
            "fov_deg or num_views so that neighbouring views share tokens"
        )
    dtype = torch.promote_types(xy.dtype, torch.float32)
    source, target, index = (t[keep].to(torch.int64) for t in (source, target, index))
    xy, weight = xy[keep].to(dtype), weight[keep].to(dtype)
    for name, value, limit, parameter in (
        ("source_view", source, num_views, "num_views"),
        ("target_view", target, num_views, "num_views"),
        ("source_index", index, math.prod(grid), "grid"),
    ):
        if int(value.min()) < 0 or int(value.max()) >= limit:
            raise ValueError(
                f"correspondences.{name} spans {int(value.min())}..{int(value.max())}, but the features have "
                f"{num_views} views of {grid} tokens: find the correspondences with that {parameter}"
            )
    size = xy.new_tensor([grid[1], grid[0]])
    if not bool(((xy >= -TOLERANCE) & (xy <= size + TOLERANCE)).all()):
        raise ValueError(
            f"correspondences.target_xy spans x {float(xy[:, 0].min()):.3f}..{float(xy[:, 0].max()):.3f} and "
            f"y {float(xy[:, 1].min()):.3f}..{float(xy[:, 1].max()):.3f}, but the features' grid is {grid[0]} rows "
            f"by {grid[1]} columns: find the correspondences with that grid"
        )
    if bool((source == target).any()):
        raise ValueError("correspondences pair a view with itself: leave those pairs out")
    return source, target, index, xy, weight
