"""Find the panoramas that show the same place as a query, and where to look in them."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from panollava_hf._errors import TableError
from panollava_hf.search._index import nearest, require_faiss
from panollava_hf.search._query import Query, unit, wrapped
from panollava_hf.search._scoring import Centre, score
from panollava_hf.search._table import Rows, VectorTable

#: Panoramas whose views are compared, at least.
CANDIDATES = 100


@dataclass(frozen=True)
class Hit:
    """A panorama that was found.

    Attributes:
        id: Its id in the table.
        path: Where its image came from; None if the table does not say.
        score: What orders the hits, at most 1 (the vectors of the query itself).
        similarity: Mean cosine of the views that meet; of the panoramas' vectors if they have no ring of views.
        yaw_deg: Yaw of the view that agrees best with a view of the query: where to look. None without views.
        pitch_deg: Its pitch.
        query_yaw_deg: Yaw of that view of the query.
        query_pitch_deg: Its pitch.
        heading_deg: Rotation: what the query shows at a yaw, this panorama shows at that yaw plus the heading. None if
            it is not known.
    """

    id: str
    path: str | None
    score: float
    similarity: float
    yaw_deg: float | None
    pitch_deg: float | None
    query_yaw_deg: float | None
    query_pitch_deg: float | None
    heading_deg: float | None


def search(
    table: VectorTable,
    query: Query | str,
    k: int = 10,
    *,
    view: int | None = None,
    exclude: str | None = None,
    candidates: int = CANDIDATES,
    index: str | Path | None = None,
) -> list[Hit]:
    """The panoramas of a table that resemble a query most, whatever their headings.

    FAISS finds candidates by the vectors of the panoramas; these are ordered by `score`, which turns the ring of views.

    Args:
        table: From `read_vectors`.
        query: From `QueryEmbedder.embed`, or the id of a panorama of the table.
        k: Number of hits at most.
        view: Search for what this view of the query shows, among all views of the table: the place of the view in
            `query.views`. All vectors of views are read.
        exclude: Id of a panorama that is left out, such as the query itself.
        candidates: Panoramas whose views are compared, at least; `10 * k` if that is more.
        index: File of an approximate index of FAISS, made if it does not exist. Default: all vectors are compared.

    Returns:
        Hits, best first. Equal scores are in the order of the table.

    Raises:
        TableError: There is no panorama with this id, or the vectors of query and table differ in length.

    Example:
        >>> import pyarrow as pa, pyarrow.parquet as pq, tempfile
        >>> from panollava_hf.search import read_vectors, search
        >>> ring = [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]], [[1, 0, 0]] * 3]
        >>> rows = [
        ...     {"id": name, "path": None, "vector": [float(sum(x)) for x in zip(*views)], "views": [
        ...         {"yaw_deg": yaw, "pitch_deg": 0.0, "vector": [float(x) for x in v]}
        ...         for yaw, v in zip((0.0, 120.0, -120.0), views)]}
        ...     for name, views in zip(("a", "a turned", "b"), ring)]
        >>> file = tempfile.mkdtemp() + "/vectors.parquet"
        >>> pq.write_table(pa.Table.from_pylist(rows), file)
        >>> [(hit.id, round(hit.score, 2), hit.heading_deg) for hit in search(read_vectors(file), "a", 2)]
        [('a', 1.0, 0.0), ('a turned', 1.0, -120.0)]
    """
    require_faiss()
    if k < 1:
        raise TableError(f"k is {k}, expected a number of hits of at least 1")
    asked = query_of(table, query) if isinstance(query, str) else query
    if asked.vector.shape[-1] != table.width:
        raise TableError(
            f"the vectors of the query have {asked.vector.shape[-1]} numbers, those of {table.path} {table.width}; "
            "embed the query with the model that embedded the table"
        )
    centre = centre_of(table)
    if view is not None:
        return _search_views(table, asked, view, k, exclude, centre)
    count = max(candidates, 10 * k) + (exclude is not None)
    places = nearest(table, asked.wholes, centre.vector, count, None if index is None else Path(index))
    hits: list[tuple[float, int, Hit]] = []
    for rows in table.take(places):
        hits += zip(*_hits(asked, rows, centre), strict=True)
    hits.sort(key=lambda hit: (-hit[0], hit[1]))
    return [hit for _, _, hit in hits if hit.id != exclude][:k]


def query_of(table: VectorTable, name: str) -> Query:
    """The vectors of a panorama of the table.

    Raises:
        TableError: There is no panorama with this id, or it has no vector.
    """
    place = table.find(name)
    if place is None:
        raise TableError(f"{table.path}: no panorama with the id {name!r} that has a vector")
    rows = next(table.take([place]))
    return Query(rows.vectors[0], rows.views[0], rows.directions)


@lru_cache(maxsize=8)
def _cached_centre(table: VectorTable, changed: tuple[int, ...]) -> Centre:
    sample = list(table.sampled())
    vectors = np.concatenate([rows.vectors for rows in sample])
    views = np.concatenate([rows.views.reshape(-1, table.width) for rows in sample])
    return Centre.of(vectors, views, len(table))


def centre_of(table: VectorTable) -> Centre:
    """What the panoramas of a table have in common, from a sample of them; computed once."""
    plain = replace(table, settings=None)  # a dictionary cannot be hashed
    return _cached_centre(plain, tuple(file.stat().st_mtime_ns for file in table.files))


def _hits(query: Query, rows: Rows, centre: Centre) -> tuple[list[float], list[int], list[Hit]]:
    found = score(query, rows.vectors, rows.views, rows.directions, centre)
    hits = []
    for n, name in enumerate(rows.ids):
        mine, theirs = (int(place) for place in found.best[n])
        seen = (query.directions[mine], rows.directions[theirs]) if mine >= 0 else ((None, None), (None, None))
        heading = None if np.isnan(found.headings_deg[n]) else float(found.headings_deg[n])
        if heading is not None and seen[0][0] is not None:  # the view of the query, as the heading turns it
            seen = seen[0], (wrapped(seen[0][0] + heading), seen[1][1])
        hits.append(_hit(name, rows.paths[n], found.scores[n], found.similarities[n], seen, heading))
    return found.scores.tolist(), rows.places.tolist(), hits


def _search_views(
    table: VectorTable, query: Query, view: int, k: int, exclude: str | None, centre: Centre
) -> list[Hit]:
    """The panoramas with the views that are nearest to one view; one hit per panorama."""
    wanted, plain = centre.query(query).views[view], query.views[view]
    yaw, pitch = query.directions[view]
    best: list[tuple[float, int, Hit]] = []
    for rows in table.all_rows():
        if not rows.directions:
            continue
        scores = unit(rows.views - centre.view) @ wanted
        places = scores.argmax(1)
        for n in np.argsort(-scores.max(1), kind="stable")[: k + 1]:
            place = int(places[n])
            seen = (yaw, pitch), rows.directions[place]
            value, heading = float(scores[n, place]), wrapped(rows.directions[place][0] - yaw)
            cosine = float(rows.views[n, place] @ plain)
            best.append((value, int(rows.places[n]), _hit(rows.ids[n], rows.paths[n], value, cosine, seen, heading)))
        best = sorted((hit for hit in best if hit[2].id != exclude), key=lambda hit: (-hit[0], hit[1]))[:k]
    if not best:
        raise TableError(f"{table.path}: its panoramas have no views with a direction; search without a view")
    return [hit for _, _, hit in best]


_Angles = tuple[float | None, float | None]


def _hit(
    name: str, path: str | None, value: float, cosine: float, seen: tuple[_Angles, _Angles], heading: float | None
) -> Hit:
    (query_yaw, query_pitch), (yaw, pitch) = seen
    return Hit(name, path, round(float(value), 6), round(float(cosine), 6), yaw, pitch, query_yaw, query_pitch, heading)
