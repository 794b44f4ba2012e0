"""Which token of one view sees the same direction as which position in another view, exactly, on the sphere."""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from panollava_geometry._arrays._sizes import Size, check_result, size_pair
from panollava_geometry._errors import PanoramaError
from panollava_geometry._planning._neighbours import Pairs, view_pairs
from panollava_geometry._planning._plan import Views, as_plan


@dataclass(frozen=True)
class Correspondences:
    """Pairs of a token and the position in another view that sees the token's direction.

    The pairs are flat, grouped by pair of views.

    Args:
        source_view: Index of the token's view.
        target_view: Index of the view with the position.
        source_index: Index of the token in its view, row-major.
        target_xy: Position in the target's token grid. The centre of token (row r, column c) is at (c + ½, r + ½). The
            position is always between token centres, so that a bilinear read needs no value from outside the view.
        weight: Solid angle of the source token, normalised to sum to 1 over each pair of views.
        grid: Rows and columns of tokens per view that the pairs are for. None if it is not known.
    """

    source_view: Int[Tensor, " pairs"]
    target_view: Int[Tensor, " pairs"]
    source_index: Int[Tensor, " pairs"]
    target_xy: Float[Tensor, "pairs 2"]
    weight: Float[Tensor, " pairs"]
    grid: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.source_view)

    def to(self, device: torch.device | str) -> "Correspondences":
        """The same pairs on another device."""
        names = (field.name for field in fields(self) if field.name != "grid")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def find_correspondences(plan: Views, grid: Size, pairs: Pairs = "adjacent") -> Correspondences:
    """Find which tokens of a plan's views see the same directions.

    Args:
        plan: The views: a plan or a list of views.
        grid: Rows and columns of tokens per view, or one number for both.
        pairs: `adjacent` pairs every tile with the next one to the right in its closed ring, and with the nearest one
            in the ring below. Windows of the panorama are paired likewise. The global view has no neighbours. `all`
            pairs every view with every other view that overlaps it, in both orders, the global view included. A list
            of (source, target) view indices is also accepted.

    Returns:
        The correspondences, as CPU tensors (int64, int64, int64, float32, float32).

    Raises:
        PanoramaError: No token of any pair is seen by both views, `pairs` is neither a known name nor valid indices, or
            the grid is too large.

    Example:
        >>> from panollava_geometry import find_correspondences, plan_views
        >>> found = find_correspondences(plan_views("e2p", num_views=6), 8)
        >>> sorted(set(zip(found.source_view.tolist(), found.target_view.tolist())))
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)]
    """
    plan, size = as_plan(plan), size_pair(grid, "grid")
    check_result(len(plan), size, 3, 8, "grid")
    rays = [view.rays(size).reshape(-1, 3) for view in plan]
    weights = [view.solid_angles(size).reshape(-1) for view in plan]
    limit = np.array([size[1] - 0.5, size[0] - 0.5]) + 1e-9
    found: list[tuple[np.ndarray, ...]] = []
    for source, target in view_pairs(plan, pairs):
        xy, seen = plan[target].rays_to_pixels(rays[source], size)
        between = seen & (np.where(seen[:, None], xy, -1) >= 0.5 - 1e-9).all(axis=1)
        between &= (np.where(seen[:, None], xy, np.inf) <= limit).all(axis=1)
        if (visible := plan[source].visible(size)) is not None:
            between &= visible.reshape(-1)
        index = np.flatnonzero(between)
        if len(index):
            weight = weights[source][index]
            views = (np.full(len(index), source), np.full(len(index), target))
            found.append((*views, index, xy[index], weight / weight.sum()))
    if not found:
        raise PanoramaError(
            f"no token of a {size[0]}x{size[1]} grid is seen by both views of any pair: increase fov_deg or "
            "overlap_ratio, or use a finer grid"
        )
    columns = [torch.from_numpy(np.concatenate(column)) for column in zip(*found, strict=True)]
    return Correspondences(columns[0], columns[1], columns[2], columns[3].float(), columns[4].float(), grid=size)
