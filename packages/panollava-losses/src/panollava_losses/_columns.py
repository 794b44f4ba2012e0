"""The fixed columns that the original PanoLLaVA compared, as correspondences."""

from collections.abc import Sequence
from types import SimpleNamespace

import torch

from panollava_losses._grouping import GroupedCorrespondences, group_correspondences


def column_correspondences(
    num_views: int, grid: Sequence[int], overlap_ratio: float, *, device: torch.device | str | None = None
) -> GroupedCorrespondences:
    """Pair the last columns of every view with the first columns of the next one, round the ring.

    With `k = max(1, int(W'·overlap_ratio))`, column `W' − k + i` of view `v` meets column `i` of view `v + 1`
    (mod `num_views`), row by row, at token centres and with equal weights: the loss of the original PanoLLaVA. The
    pairing takes overlap for a shift of the image plane, which a perspective view is not; `find_correspondences` of
    panollava-geometry gives the exact one.

    Args:
        num_views: Views in the ring.
        grid: Rows and columns `(H', W')` of a view's token grid.
        overlap_ratio: Share of a view's width that its neighbour sees, above 0 and at most 1.
        device: Where the tensors go.

    Returns:
        Correspondences, already grouped.

    Raises:
        ValueError: If there is no overlap, one view only, or a single token per pair.

    Example:
        >>> pairs = column_correspondences(4, (2, 4), 0.5)
        >>> pairs.source_index[:4].tolist(), pairs.target_xy[:2].tolist()
        ([2, 3, 6, 7], [[0.5, 0.5], [1.5, 0.5]])
    """
    rows, columns = (int(side) for side in grid)
    if rows < 1 or columns < 1:
        raise ValueError(f"grid is {(rows, columns)}, expected positive rows and columns")
    if not 0 < overlap_ratio <= 1:
        raise ValueError(
            f"overlap_ratio is {overlap_ratio}: views without overlap have no loss; use 0 < overlap_ratio <= 1"
        )
    k = max(1, int(columns * overlap_ratio))
    view = torch.arange(num_views, device=device).repeat_interleave(rows * k)
    row = torch.arange(rows, device=device).repeat_interleave(k).repeat(num_views)
    column = torch.arange(k, device=device).repeat(num_views * rows)
    flat = SimpleNamespace(
        source_view=view,
        target_view=(view + 1) % max(num_views, 1),
        source_index=row * columns + (columns - k) + column,
        target_xy=torch.stack([column, row], dim=1).to(torch.float32) + 0.5,
        weight=torch.ones(view.shape[0], device=device),
    )
    return group_correspondences(flat, num_views, (rows, columns))
