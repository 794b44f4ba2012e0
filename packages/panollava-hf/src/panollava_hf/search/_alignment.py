"""How similar two panoramas are whatever their headings: the best cyclic shift of the ring of views."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from panollava_hf.search._query import Direction, Vectors, wrapped

#: Directions that differ by less are the same; rows store them as float32.
SAME_DEG = 1e-3
#: Parts of the way to a neighbouring heading at which a heading may be; beyond the middle the neighbour is nearer.
PARTS = np.linspace(0.0, 0.5, 51)
#: Similarity falls off with this power of the angle from the true heading: a ridge, sharper than a roof.
FALL = 0.6


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


def between(alignment: Alignment, query: Vectors, scores: Vectors, places: npt.NDArray[np.int64]) -> list[float]:
    """The headings of panoramas, between those that were compared.

    How fast similarity falls off on both sides of the true heading depends on the image, and the sides differ. The
    query shows it: its own ring at one heading is compared with itself at the neighbours. The heading whose expected
    similarities at the best heading and its two neighbours are most nearly proportional to those found is returned.
    Where the panorama equals the query at a heading, this is that heading.

    Args:
        alignment: Of the query and the panoramas.
        query: `[Vq, D]`, unit vectors of the query's views.
        scores: `[N, H]`, what `Alignment.scores` returned.
        places: `[N]`, the place of each panorama's best heading.
    """
    headings, count = alignment.headings_deg, len(alignment.headings_deg)
    if count < 3:
        return [wrapped(float(headings[place])) for place in places]
    rings = np.einsum("hqv,qd->hvd", alignment.pairs, query, optimize=True)
    own = np.einsum("avd,bvd->ab", rings, rings, optimize=True)
    own = own / max(float(own.diagonal().max()), 1e-12)
    found = []
    for line, place in zip(scores, places, strict=True):
        left, right = (place - 1) % count, (place + 1) % count
        sides = [_expected(own, place, side, other) for side, other in ((left, right), (right, left))]
        seen = [line[[place, left, right]], line[[place, right, left]]]
        fits = [_fit(expected, one.astype(np.float64)) for expected, one in zip(sides, seen, strict=True)]
        side, fit = (left, fits[0]) if fits[0].max() > fits[1].max() else (right, fits[1])
        gap = (headings[side] - headings[place] + 180) % 360 - 180
        found.append(wrapped(float(headings[place] + gap * PARTS[int(fit.argmax())])))
    return found


def _expected(own: Vectors, place: int, side: int, other: int) -> Vectors:
    """Similarities with the headings `place`, `side`, `other` of a query at `PARTS` of the way from place to side."""
    fall = 1 - own[place, side]
    ahead = own[place, other] + (own[side, other] - own[place, other]) * PARTS
    return np.stack([1 - fall * PARTS**FALL, 1 - fall * (1 - PARTS) ** FALL, ahead], 1)


def _fit(expected: Vectors, seen: Vectors) -> Vectors:
    """Cosine of what is expected at each part of the way and what was seen."""
    lengths = np.linalg.norm(expected, axis=1) * max(float(np.linalg.norm(seen)), 1e-12)
    return np.asarray(np.round(expected @ seen / lengths, 9))
