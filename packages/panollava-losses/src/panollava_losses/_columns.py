"""The fixed columns that the original PanoLLaVA compared, as correspondences."""

from collections.abc import Sequence
from types import SimpleNamespace

import torch

from panollava_losses._grouping import GroupedCorrespondences, group_correspondences


def column_correspondences(
    num_views: int, grid: Sequence[int], overlap_ratio: float, *, device: torch.device | str | None = None
) -> GroupedCorrespondences:
    """Pair the last columns of each view with the first columns of the next one, around the ring of views.

    With `k = max(1, int(W'·overlap_ratio))`, column `W' − k + i` of view `v` matches column `i` of view `v + 1`
    (mod `num_views`), row by row, at token centres and with equal weights, as in the original PanoLLaVA. This treats
    the overlap as a shift of the image plane, which is not exact for perspective views; `find_correspondences` of
    panollava-geometry is exact.

    Args:
        num_views: Number of views in the ring.
        grid: Rows and columns `(H', W')` of a view's token grid.
        overlap_ratio: Share of a view's width that its neighbour sees, above 0 and at most 1.
        device: Device of the tensors.

    Returns:
        Correspondences, already grouped.

    Raises:
        ValueError: If there is no overlap, only one view, or one token per pair.

    Example:
        >>> from panollava_losses import column_correspondences
        >>> pairs = column_correspondences(4, (2, 4), 0.5)
        >>> pairs.source_index[:4].tolist(), pairs.target_xy[:2].tolist()
        ([2, 3, 6, 7], [[0.5, 0.5], [1.5, 0.5]])
    """
    rows, columns = (int(side) for side in grid)
    if rows < 1 or columns < 1:
        raise ValueError(f"grid is {(rows, columns)}, expected positive rows and columns")
    if not 0 < overlap_ratio <= 1:
        raise ValueError(
            f"overlap_ratio is {overlap_ratio}, expected 0 < overlap_ratio <= 1: views without overlap have no loss"
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
