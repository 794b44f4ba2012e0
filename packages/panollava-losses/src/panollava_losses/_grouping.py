"""From flat correspondences to a plan: tokens grouped by pair of views and padded, with sparse sampling matrices.

Grouping depends on values (how many tokens has each pair of views?), so it happens once, outside of any compiled
graph, and the result is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from panollava_losses._checks import check_layout, check_view_features, checked_correspondences, known_grid
from panollava_losses._protocols import FIELDS, Correspondences
from panollava_losses._sampling import SparseRows, bilinear_taps, sparse_rows


@dataclass(frozen=True, eq=False)
class GroupedCorrespondences:
    """Correspondences sorted by pair of views, ready for features of one grid; itself a `Correspondences`.

    Attributes:
        source_view: View of each source token.
        target_view: View that sees the same direction.
        source_index: Row-major index of the source token in its view.
        target_xy: Place in the target view in token units.
        weight: Weight of each token pair; pairs of weight 0 are removed.
        num_views: Number of views that the features must have.
        grid: Rows and columns of a view's token grid.
        lengths: Number of token pairs of each pair of views, in order.
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
        return replace(self, **{f.name: _moved(getattr(self, f.name), device) for f in fields(self)})


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    return SparseRows(*(t.to(device) for t in value)) if isinstance(value, SparseRows) else value


def group_correspondences(
    correspondences: Correspondences, num_views: int, grid: Sequence[int]
) -> GroupedCorrespondences:
    """Check correspondences against the features they are for, and sort them by pair of views.

    The overlap losses do this themselves and keep the last result. Call it to compile a loss without graph breaks.

    Args:
        correspondences: Any object with the five fields of `Correspondences`. If it also has `grid`, that must be the
            grid of the features.
        num_views: Number of views of the features.
        grid: Rows and columns of a view's token grid.

    Returns:
        A plan that the overlap losses take in place of `correspondences`.

    Raises:
        ValueError: If there is only one view, no correspondence, a pair of views with fewer than two tokens, or a
            field that does not fit the number of views or the grid.

    Example:
        >>> from panollava_losses import column_correspondences, group_correspondences
        >>> group_correspondences(column_correspondences(4, (8, 8), 0.5), 4, (8, 8)).lengths
        (32, 32, 32, 32)
    """
    rows, columns = (int(side) for side in grid)
    if num_views < 2:
        raise ValueError(f"num_views is {num_views}, but an overlap needs at least 2 views: raise num_views")
    if isinstance(correspondences, GroupedCorrespondences):
        if (correspondences.num_views, correspondences.grid) != (num_views, (rows, columns)):
            raise ValueError(
                f"correspondences are for {correspondences.num_views} views of {correspondences.grid} tokens, but the "
                f"features have {num_views} views of {(rows, columns)}: make them with that num_views and grid"
            )
        return correspondences
    if known_grid(correspondences) not in (None, (rows, columns)):
        raise ValueError(
            f"correspondences are for a grid of {known_grid(correspondences)} tokens, but the features have "
            f"{(rows, columns)}: find the correspondences with that grid"
        )
    source, target, index, xy, weight = checked_correspondences(correspondences, num_views, (rows, columns))
    pair = source * num_views + target
    order = torch.argsort(pair, stable=True)
    source, target, index, xy, weight = (t[order] for t in (source, target, index, xy, weight))
    _, counts = torch.unique_consecutive(pair[order], return_counts=True)
    lengths = tuple(counts.tolist())
    if min(lengths) < 2:
        at = sum(lengths[: lengths.index(min(lengths))])
        raise ValueError(
            f"views {int(source[at])} and {int(target[at])} share {min(lengths)} token, but variances need at least "
            "2: raise the plan's overlap_ratio or fov_deg, use a finer grid, or leave that pair out"
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
        *(source, target, index, xy, weight),
        num_views=num_views,
        grid=(rows, columns),
        lengths=lengths,
        source_rows=sparse_rows(slot, source * per_view + index, torch.ones_like(weight), *size),
        target_rows=sparse_rows(slot.expand(4, -1)[used], (target * per_view + taps)[used], tap_weight[used], *size),
        row_weight=None if even else padded,
    )


class Grouper:
    """Groups correspondences, and keeps the last plan while the same tensors come with features of the same kind."""

    def __init__(self) -> None:
        self.tensors: tuple[Tensor, ...] = ()
        self.key: tuple[object, ...] = ()
        self.plan: GroupedCorrespondences | None = None

    def __call__(
        self, features: Float[Tensor, "batch views height width features"], correspondences: Correspondences
    ) -> GroupedCorrespondences:
        """The plan for these features, on their device."""
        check_view_features(features)
        views, grid, device = features.shape[1], (features.shape[2], features.shape[3]), features.device
        check_layout(correspondences, features.shape)
        if isinstance(correspondences, GroupedCorrespondences) and correspondences.weight.device == device:
            return group_correspondences(correspondences, views, grid)
        if torch.compiler.is_compiling():  # a graph break, and with fullgraph=True an error that shows this message
            raise ValueError(
                "grouping depends on the values of the correspondences, so it cannot be compiled: pass a plan made "
                "once by group_correspondences(…).to(device)"
            )
        # Keeping the tensors prevents that a new one gets the same id; the version counts changes in place.
        tensors = tuple(getattr(correspondences, name) for name in FIELDS)
        key = (views, grid, device, known_grid(correspondences), *((id(t), t._version) for t in tensors))
        if self.plan is None or self.key != key:
            self.plan = group_correspondences(correspondences, views, grid).to(device)
            self.tensors, self.key = tensors, key
        return self.plan
