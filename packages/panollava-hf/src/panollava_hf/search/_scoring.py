"""The score that orders panoramas: their vectors and the best cyclic shift of their views, without what all share."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from panollava_hf.search._alignment import align, between
from panollava_hf.search._query import Direction, Query, Vectors, unit


@dataclass(frozen=True)
class Centre:
    """What the vectors of a table have in common; it is subtracted before vectors are compared.

    The views of all panoramas resemble each other: the cosine of two different places is about 0.9. Without the mean of
    the table, the differences count. With N panoramas, (N - 1) / N of the mean is subtracted, so that a table of one
    panorama can be searched, too.

    Attributes:
        vector: `[D]`, for vectors of panoramas.
        view: `[D]`, for those of views.
    """

    vector: Vectors
    view: Vectors

    @classmethod
    def of(cls, vectors: Vectors, views: Vectors, rows: int) -> "Centre":
        """The centre of a sample.

        Args:
            vectors: `[N, D]`, unit vectors of panoramas.
            views: `[M, D]`, unit vectors of their views.
            rows: Number of panoramas in the table.
        """
        share, zero = (rows - 1) / max(rows, 1), np.zeros(vectors.shape[1:], np.float32)
        means = (
            x.mean(0, dtype=np.float64).astype(np.float32) * np.float32(share) if len(x) else zero
            for x in (vectors, views)
        )
        return cls(*means)

    def query(self, query: Query) -> Query:
        """A query without the centre."""
        turns = None if query.turns is None else unit(query.turns - self.vector)
        return Query(unit(query.vector - self.vector), unit(query.views - self.view), query.directions, turns)


@dataclass(frozen=True)
class Scored:
    """How well panoramas agree with a query.

    Attributes:
        scores: `[N]`, at most 1.
        headings_deg: `[N]`, rotation between the query and each panorama; NaN if they have no ring of views.
        best: `[N, 2]`, the view of the query and the view of the panorama that agree best at this heading; -1 without.
        similarities: `[N]`, mean cosine of the views that meet, the centre not subtracted.
    """

    scores: npt.NDArray[np.float64]
    headings_deg: npt.NDArray[np.float64]
    best: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float64]


def score(query: Query, vectors: Vectors, views: Vectors, directions: tuple[Direction, ...], centre: Centre) -> Scored:
    """Compare a query with panoramas whose views have the same directions.

    The score is the mean of two cosines, both without the centre of the table: that of the panoramas' vectors, and the
    mean over the views, at the best cyclic shift. Without a ring it is the first alone.

    Args:
        query: The query.
        vectors: `[N, D]`, unit vectors of the panoramas.
        views: `[N, V, D]`, unit vectors of their views.
        directions: Yaw and pitch of the V views.
        centre: What is subtracted.
    """
    alignment = align(query.directions, directions)
    centred, count = centre.query(query), len(vectors)
    whole = (unit(vectors - centre.vector) @ centred.wholes.T).astype(np.float64)
    if not len(alignment.headings_deg):
        nothing = np.full(count, np.nan)
        return Scored(whole.max(1), nothing, np.full((count, 2), -1), (vectors @ query.wholes.T).max(1).astype(float))
    rows = unit(views - centre.view)
    shifts = alignment.scores(centred.views, rows)
    # The panorama's vector at the turn whose views meet those of the row; mixed if views of several turns do.
    turns = alignment.pairs.sum(2).reshape(len(alignment.headings_deg), len(centred.wholes), -1).sum(2)
    both = (whole @ turns.T + shifts) / 2
    places = both.argmax(1)
    headings = np.array(between(alignment, centred.views, shifts, places))
    plain = alignment.scores(query.views, views)[np.arange(count), places]
    cosines = np.einsum("qd,nvd->nqv", centred.views, rows, optimize=True)
    met = np.where(alignment.pairs[places] > 0, cosines, -np.inf).reshape(count, -1).argmax(1)
    best = np.stack(np.unravel_index(met, cosines.shape[1:]), 1)
    return Scored(both.max(1), headings, best, plain.astype(np.float64))
