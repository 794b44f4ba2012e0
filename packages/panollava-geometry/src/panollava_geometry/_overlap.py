"""Which token of one view sees the same direction as which place of another: exactly, on the sphere."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from panollava_geometry._errors import PanoramaError
from panollava_geometry._plan import ViewPlan
from panollava_geometry._sizes import Size, size_pair
from panollava_geometry._sphere import Degrees
from panollava_geometry._views import EquirectangularView, PerspectiveView, View

Pairs = Literal["adjacent", "all"] | Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Correspondences:
    """Pairs of a token and the place of another view that sees the token's direction; flat, grouped by pair of views.

    Args:
        source_view: View of the token.
        target_view: View that holds the place.
        source_index: Token, row-major in its view.
        target_xy: Place in the target's token grid; the centre of token (row r, column c) is at (c + ½, r + ½). It lies
            between token centres, so that a bilinear read needs no value from outside the view.
        weight: Solid angle of the source token, adding up to 1 over each pair of views.
    """

    source_view: Int[Tensor, " pairs"]
    target_view: Int[Tensor, " pairs"]
    source_index: Int[Tensor, " pairs"]
    target_xy: Float[Tensor, "pairs 2"]
    weight: Float[Tensor, " pairs"]

    def __len__(self) -> int:
        return len(self.source_view)

    def to(self, device: torch.device | str) -> "Correspondences":
        """The same pairs on another device."""
        return Correspondences(*(getattr(self, field.name).to(device) for field in fields(self)))


def find_correspondences(plan: ViewPlan, grid: Size, pairs: Pairs = "adjacent") -> Correspondences:
    """Find which tokens of the views of a plan see the same directions.

    Args:
        plan: The views.
        grid: Rows and columns of tokens per view, or one number for both.
        pairs: `adjacent`: every tile with the next one to the right in its closed ring, and with the nearest one of the
            ring below; windows of the ERP likewise; the global view has no neighbour. `all`: every ordered pair of
            views that overlap, the global view included. Or a list of (source, target) view indices.

    Returns:
        The correspondences, as CPU tensors (int64, int64, int64, float32, float32).

    Raises:
        PanoramaError: No token of any pair is seen by both views, or `pairs` is neither a known name nor valid indices.

    Example:
        >>> from panollava_geometry import find_correspondences, plan_views
        >>> found = find_correspondences(plan_views("e2p", num_views=6), 8)
        >>> sorted(set(zip(found.source_view.tolist(), found.target_view.tolist())))
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)]
    """
    size = size_pair(grid, "grid")
    rays = [view.rays(size).reshape(-1, 3) for view in plan]
    weights = [view.solid_angles(size).reshape(-1) for view in plan]
    limit = np.array([size[1] - 0.5, size[0] - 0.5]) + 1e-9
    found: list[tuple[np.ndarray, ...]] = []
    for source, target in _view_pairs(plan, pairs):
        xy, seen = plan[target].rays_to_pixels(rays[source], size)
        between = seen & (np.where(seen[:, None], xy, -1) >= 0.5 - 1e-9).all(axis=1)
        between &= (np.where(seen[:, None], xy, np.inf) <= limit).all(axis=1)
        index = np.flatnonzero(between)
        if len(index):
            weight = weights[source][index]
            views = (np.full(len(index), source), np.full(len(index), target))
            found.append((*views, index, xy[index], weight / weight.sum()))
    if not found:
        raise PanoramaError(
            f"no token of a {size[0]}x{size[1]} grid is seen by two of the views asked for: raise fov_deg or "
            "overlap_ratio, or use a finer grid"
        )
    columns = [torch.from_numpy(np.concatenate(column)) for column in zip(*found, strict=True)]
    return Correspondences(*columns[:3], *(column.float() for column in columns[3:]))


def _view_pairs(plan: ViewPlan, pairs: Pairs) -> Iterable[tuple[int, int]]:
    count = len(plan)
    if isinstance(pairs, str):
        if pairs == "all":
            return [(i, j) for i in range(count) for j in range(count) if i != j]
        if pairs == "adjacent":
            return _adjacent(plan)
        raise PanoramaError(f"pairs must be 'adjacent', 'all' or a list of view indices, got {pairs!r}")
    for i, j in pairs:
        if not (0 <= i < count and 0 <= j < count and i != j):
            raise PanoramaError(f"pair {(i, j)} must be two different views of 0..{count - 1}")
    return pairs


def _ring(view: View) -> tuple[object, ...] | None:
    """What the views of one ring share; None for a view that is no part of a ring."""
    if isinstance(view, PerspectiveView):
        return (-view.pitch_deg, view.roll_deg, *view.fov_deg)
    left, right = view.longitude_range_deg
    return None if right - left >= 360 else (view.latitude_range_deg, right - left)


def _centre_yaw(view: View) -> Degrees:
    yaw = sum(view.longitude_range_deg) / 2 if isinstance(view, EquirectangularView) else view.yaw_deg
    return yaw % 360


def _adjacent(plan: ViewPlan) -> list[tuple[int, int]]:
    rings: dict[tuple[object, ...], list[int]] = {}
    for index, view in enumerate(plan):
        ring = _ring(view)
        if ring is not None:
            rings.setdefault(ring, []).append(index)
    pairs: list[tuple[int, int]] = []
    for members in rings.values():
        if len(members) > 1:
            members.sort(key=lambda index: _centre_yaw(plan[index]))
            start = members.index(min(members))
            ordered = members[start:] + members[:start]
            pairs += zip(ordered, ordered[1:] + ordered[:1], strict=True)
    levels = [
        rings[ring] for ring in sorted((r for r in rings if isinstance(plan[rings[r][0]], PerspectiveView)), key=repr)
    ]
    levels.sort(key=lambda members: -_pitch(plan[members[0]]))
    for upper, lower in itertools.pairwise(levels):
        axes = np.concatenate([plan[index].rays((1, 1))[0] for index in lower])
        for index in upper:
            nearest = int(np.argmax(axes @ plan[index].rays((1, 1))[0, 0]))
            pairs.append((index, lower[nearest]))
    return pairs


def _pitch(view: View) -> Degrees:
    return view.pitch_deg if isinstance(view, PerspectiveView) else 0.0
