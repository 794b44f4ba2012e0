"""Which views of a plan are paired: the neighbours in closed rings, all views, or given pairs."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from panollava_geometry._errors import PanoramaError
from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._perspective_view import PerspectiveView
from panollava_geometry._views._sphere import Degrees
from panollava_geometry._views._views import View

Pairs = Literal["adjacent", "all"] | Sequence[tuple[int, int]]


def view_pairs(plan: ViewPlan, pairs: Pairs) -> Iterable[tuple[int, int]]:
    """Pairs (source, target) of view indices.

    Args:
        plan: The views.
        pairs: As in `find_correspondences`.

    Raises:
        PanoramaError: `pairs` is neither a known name nor valid indices.
    """
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


def _adjacent(plan: ViewPlan) -> list[tuple[int, int]]:
    """Every view with the next one in its ring, then every view with the nearest one in the ring below."""
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
        rings[ring]
        for ring in sorted((r for r in rings if not isinstance(plan[rings[r][0]], EquirectangularView)), key=repr)
    ]
    levels.sort(key=lambda members: -_pitch(plan[members[0]]))
    for upper, lower in itertools.pairwise(levels):
        axes = np.concatenate([plan[index].rays((1, 1))[0] for index in lower])
        for index in upper:
            nearest = int(np.argmax(axes @ plan[index].rays((1, 1))[0, 0]))
            pairs.append((index, lower[nearest]))
    return pairs


def _ring(view: View) -> tuple[object, ...] | None:
    """A key that the views of one ring share. None for a view that belongs to no ring."""
    if isinstance(view, PerspectiveView):
        return (-view.pitch_deg, view.roll_deg, *view.fov_deg)
    if not isinstance(view, EquirectangularView):
        return None if view.hfov_deg >= 360 else (-view.pitch_deg, view.roll_deg, view.kind, *view.fov_deg)
    left, right = view.longitude_range_deg
    return None if right - left >= 360 else (view.latitude_range_deg, right - left)


def _centre_yaw(view: View) -> Degrees:
    yaw = sum(view.longitude_range_deg) / 2 if isinstance(view, EquirectangularView) else view.yaw_deg
    return yaw % 360


def _pitch(view: View) -> Degrees:
    return 0.0 if isinstance(view, EquirectangularView) else view.pitch_deg
