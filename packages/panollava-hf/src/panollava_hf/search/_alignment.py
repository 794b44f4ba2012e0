"""How similar two panoramas are whatever their headings: the best cyclic shift of the ring of views."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from panollava_hf.search._query import Direction, Vectors, wrapped

#: Directions that differ by less are the same; rows store them as float32.
SAME_DEG = 1e-3


@dataclass(frozen=True)
class Alignment:
    """Which views of a query and of a panorama show the same direction, at each heading.

    Attributes:
        headings_deg: `[H]`, rotations: what the query shows at a yaw, the panorama shows at this yaw plus the heading.
        pairs: `[H, Vq, V]`, 1 / (number of pairs) where a view of the query meets one of the panorama, else 0.
    """

    headings_deg: npt.NDArray[np.float64]
    pairs: Vectors

    def scores(self, query: Vectors, rows: Vectors) -> Vectors:
        """Mean cosine of the views that meet, at each heading.

        Args:
            query: `[Vq, D]`, unit vectors.
            rows: `[N, V, D]`, unit vectors.

        Returns:
            `[N, H]`.
        """
        cosines = np.einsum("qd,nvd->nqv", query, rows, optimize=True)
        met: Vectors = np.einsum("nqv,hqv->nh", cosines, self.pairs, optimize=True)
        return met


@lru_cache(maxsize=64)
def align(query: tuple[Direction, ...], panorama: tuple[Direction, ...]) -> Alignment:
    """The headings at which the rings of a query and of a panorama meet.

    A heading counts if it pairs as many views as the best one does. Views at a pitch that has only one view, such as
    straight up, turn with the heading and are left out.

    Args:
        query: Directions of the query's views.
        panorama: Directions of the panorama's views.
    """
    rings = [(place, view) for place, view in enumerate(panorama) if _is_in_ring(view, panorama)]
    found: dict[float, list[tuple[int, int]]] = {}
    for i, (yaw, pitch) in enumerate(query):
        for j, (other_yaw, other_pitch) in rings:
            if abs(pitch - other_pitch) < SAME_DEG:
                heading = wrapped(round((other_yaw - yaw) / SAME_DEG) * SAME_DEG)
                found.setdefault(heading, []).append((i, j))
    most = max(map(len, found.values()), default=0)
    headings = sorted(heading for heading, pairs in found.items() if len(pairs) == most)
    pairs = np.zeros((len(headings), len(query), len(panorama)), np.float32)
    for h, heading in enumerate(headings):
        for i, j in found[heading]:
            pairs[h, i, j] = 1 / most
    return Alignment(np.array(headings), pairs)


def _is_in_ring(view: Direction, panorama: Sequence[Direction]) -> bool:
    return sum(abs(view[1] - pitch) < SAME_DEG for _, pitch in panorama) > 1


def peak(headings_deg: npt.NDArray[np.float64], scores: Vectors) -> tuple[float, float]:
    """The heading of the highest score, between the headings that were compared, and that score.

    Similarity falls off on both sides of the true heading nearly like a roof, so the place of the ridge follows from
    the neighbours of the highest score. The score is that of the heading that was compared.

    Args:
        headings_deg: `[H]`, ascending.
        scores: `[H]`.
    """
    best, count = int(scores.argmax()), len(scores)
    heading = float(headings_deg[best])
    if count < 3:
        return wrapped(heading), float(scores[best])
    left, right = (best - 1) % count, (best + 1) % count
    higher, lower = max(scores[left], scores[right]), min(scores[left], scores[right])
    fall = float(scores[best] - lower)
    if fall > 0:
        towards = right if scores[right] >= scores[left] else left
        step = wrapped(float(headings_deg[towards] - heading))
        heading += step / 2 * float(higher - lower) / fall
    return wrapped(heading), float(scores[best])
