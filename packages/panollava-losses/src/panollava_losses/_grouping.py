"""From flat correspondences to a plan: tokens grouped by pair of views, padded, with sparse sampling matrices.

Grouping looks at values (how many tokens has each pair?), so it is done once, outside of any compiled graph, and kept.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from panollava_losses._protocols import Correspondences
from panollava_losses._sampling import SparseRows, bilinear_taps, sparse_rows

#: How far outside its grid, in tokens, a target may lie by rounding.
TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class GroupedCorrespondences:
    """Correspondences sorted by pair of views, ready for features of one grid; itself a `Correspondences`.

    Attributes:
        source_view: View of each source token.
        target_view: View that sees the same direction.
        source_index: Row-major index of the source token in its view.
        target_xy: Place in the target view in token units.
        weight: Weight of each token pair; those of weight 0 are gone.
        num_views: Views that the features must have.
        grid: Rows and columns of a view's token grid.
        lengths: Token pairs of every pair of views, in order.
    """

    source_view: Int[Tensor, " n"]
    target_view: Int[Tensor, " n"]
    source_index: Int[Tensor, " n"]
    target_xy: Float[Tensor, "n 2"]
    weight: Float[Tensor, " n"]
    num_views: int
    grid: tuple[int, int]
    lengths: tuple[int, ...]
    source_rows: SparseRows = field(repr=False)
    target_rows: SparseRows = field(repr=False)
    row_weight: Float[Tensor, "pairs tokens"] | None = field(repr=False)

    def to(self, device: torch.device | str) -> "GroupedCorrespondences":
        """The same plan on another device."""
        return replace(
            self,
            source_view=self.source_view.to(device),
            target_view=self.target_view.to(device),
            source_index=self.source_index.to(device),
            target_xy=self.target_xy.to(device),
            weight=self.weight.to(device),
            source_rows=SparseRows(*(t.to(device) for t in self.source_rows)),
            target_rows=SparseRows(*(t.to(device) for t in self.target_rows)),
            row_weight=None if self.row_weight is None else self.row_weight.to(device),
        )


def group_correspondences(
    correspondences: Correspondences, num_views: int, grid: Sequence[int]
) -> GroupedCorrespondences:
    """Check correspondences against the features they are for, and sort them by pair of views.

    The overlap losses do this themselves and keep the last result; call it to compile a loss without graph breaks.

    Args:
        correspondences: Any object with the five fields of `Correspondences`.
        num_views: Views of the features.
        grid: Rows and columns of a view's token grid.

    Returns:
        A plan that the overlap losses take in place of `correspondences`.

    Raises:
        ValueError: If there is one view only, no correspondence, a pair of views with fewer than two tokens, or a
            field that does not fit the number of views or the grid.

    Example:
        >>> from panollava_losses import column_correspondences
        >>> group_correspondences(column_correspondences(4, (8, 8), 0.5), 4, (8, 8)).lengths
        (32, 32, 32, 32)
    """
    rows, columns = (int(side) for side in grid)
    if num_views < 2:
        raise ValueError(f"num_views is {num_views} and an overlap needs at least 2 views: raise num_views")
    if isinstance(correspondences, GroupedCorrespondences):
        if (correspondences.num_views, correspondences.grid) != (num_views, (rows, columns)):
            raise ValueError(
                f"correspondences are for {correspondences.num_views} views of {correspondences.grid} tokens, but the "
                f"features have {num_views} views of {(rows, columns)}: make them with that num_views and grid"
            )
        return correspondences
    source, target, index, xy, weight = _checked(correspondences, num_views, (rows, columns))
    pair = source * num_views + target
    order = torch.argsort(pair, stable=True)
    source, target, index, xy, weight = (t[order] for t in (source, target, index, xy, weight))
    _, counts = torch.unique_consecutive(pair[order], return_counts=True)
    lengths = tuple(counts.tolist())
    if min(lengths) < 2:
        at = sum(lengths[: lengths.index(min(lengths))])
        raise ValueError(
            f"views {int(source[at])} and {int(target[at])} share {min(lengths)} token, and variances need at least 2: "
            "raise the plan's overlap_ratio or fov_deg, take a finer grid, or leave that pair out"
        )
    longest, per_view = max(lengths), rows * columns
    starts = counts.cumsum(0) - counts
    slot = torch.repeat_interleave(torch.arange(len(lengths), device=pair.device) * longest - starts, counts)
    slot = slot + torch.arange(len(source), device=pair.device)
    taps, tap_weight = bilinear_taps(xy, (rows, columns))
    used = tap_weight > 0
    size = (len(lengths) * longest, num_views * per_view)
    even = min(lengths) == longest and bool((weight == weight[0]).all())
    padded = weight.new_zeros(size[0]).index_copy(0, slot, weight).view(-1, longest)
    return GroupedCorrespondences(
        source_view=source,
        target_view=target,
        source_index=index,
        target_xy=xy,
        weight=weight,
        num_views=num_views,
        grid=(rows, columns),
        lengths=lengths,
        source_rows=sparse_rows(slot, source * per_view + index, torch.ones_like(weight), *size),
        target_rows=sparse_rows(slot.expand(4, -1)[used], (target * per_view + taps)[used], tap_weight[used], *size),
        row_weight=None if even else padded,
    )


def _checked(
    c: Correspondences, num_views: int, grid: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The five fields as int64 and floating tensors, without the pairs of weight 0."""
    source, target, index = (getattr(c, name) for name in ("source_view", "target_view", "source_index"))
    xy, weight = c.target_xy, c.weight
    count = source.shape[0]
    for name, value, shape in (
        ("source_view", source, (count,)),
        ("target_view", target, (count,)),
        ("source_index", index, (count,)),
        ("target_xy", xy, (count, 2)),
        ("weight", weight, (count,)),
    ):
        if tuple(value.shape) != shape:
            raise ValueError(f"correspondences.{name} has shape {tuple(value.shape)}, expected {shape}")
    if not bool((weight.isfinite() & (weight >= 0)).all()):
        raise ValueError("correspondences.weight holds negative or non-finite values: use weights >= 0")
    keep = weight > 0
    if not bool(keep.any()):
        raise ValueError(
            f"no overlap: {count} correspondences, none of positive weight; raise the plan's overlap_ratio, fov_deg "
            "or num_views so that neighbouring views share tokens"
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
