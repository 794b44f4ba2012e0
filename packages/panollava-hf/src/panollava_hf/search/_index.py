"""Candidates of a search: the panoramas whose vectors are nearest, found by FAISS."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panollava_hf._errors import TableError
from panollava_hf.search._index_file import REMEDY, IndexFile
from panollava_hf.search._query import Vectors, unit
from panollava_hf.search._table import VectorTable

#: Vectors from which FAISS computes the clusters, per cluster.
PER_CLUSTER = 64
#: Clusters whose vectors are compared: at least so many, and one of so many.
PROBES, SHARE = 8, 16


def nearest(
    table: VectorTable, queries: Vectors, centre: Vectors, count: int, index: Path | None = None
) -> npt.NDArray[np.int64]:
    """The places of the panoramas whose vectors are nearest to any of a few vectors of a query, best first.

    Without an index all vectors are compared, in pieces that are read from the table: exact, in memory that does not
    grow with it. With one, those of the nearest clusters are: approximate, and faster.

    Args:
        table: The table.
        queries: `[T, D]`, of unit length.
        centre: `[D]`, subtracted from the query and from the vectors.
        count: How many are returned at most.
        index: File of an index. It is made if it does not exist.

    Raises:
        TableError: The index is of another table, or FAISS is not installed.
    """
    faiss = require_faiss()
    wanted = unit(queries - centre)
    if index is None:
        pieces = ((places, unit(vectors - centre)) for places, vectors in table.vectors())
        return _best(faiss, wanted, pieces, count)
    opened = _opened(faiss, table, centre, index)
    scores = (opened.centres @ wanted.T).max(1)
    probed = np.argsort(-scores, kind="stable")[: max(PROBES, len(scores) // SHARE)]
    found = _best(faiss, wanted, (opened.vectors(int(cluster)) for cluster in probed), count)
    if ((found < 0) | (found >= table.rows)).any():
        raise TableError(f"{index}: this index is damaged; {REMEDY}")
    return found


def _best(faiss: Any, wanted: Vectors, pieces: Any, count: int) -> npt.NDArray[np.int64]:
    best = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for places, vectors in pieces:
        if not len(places):
            continue
        vectors = np.ascontiguousarray(vectors)
        scores, found = faiss.knn(wanted, vectors, min(count, len(places)), faiss.METRIC_INNER_PRODUCT)
        values = np.full(len(places), -np.inf, np.float32)
        np.maximum.at(values, found[found >= 0], scores[found >= 0])
        new = np.flatnonzero(values > -np.inf)
        both = np.concatenate([best[0], places[new]]), np.concatenate([best[1], values[new]])
        order = np.lexsort((both[0], -both[1]))[:count]
        best = both[0][order], both[1][order]
    return best[0]


def _opened(faiss: Any, table: VectorTable, centre: Vectors, path: Path) -> IndexFile:
    digest = digest_of(table)
    if not path.exists():
        _build(faiss, table, centre, path, digest)
    found = IndexFile.open(path)
    if found.table != digest or found.centres.shape[1] != table.width:
        raise TableError(f"{path}: this index is of another table than {table.path}, or of an older one; {REMEDY}")
    return found


def digest_of(table: VectorTable) -> str:
    """A digest of the sizes and the footers of a table's files: another one if the vectors are others."""
    digest = hashlib.sha256()
    for file in table.files:
        with file.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(size - 8)
            length = min(int.from_bytes(stream.read(4), "little"), size - 8)
            stream.seek(size - 8 - length)
            digest.update(size.to_bytes(8, "little") + hashlib.sha256(stream.read(length)).digest())
    return digest.hexdigest()


def _build(faiss: Any, table: VectorTable, centre: Vectors, path: Path, digest: str) -> None:
    """Write an index of 8-bit vectors in clusters: about a quarter of the size of the vectors, read from the disk."""
    clusters = max(1, min(4096, round(len(table) ** 0.5)))
    step = max(1, len(table) // (clusters * PER_CLUSTER))
    sample = np.concatenate([unit(vectors - centre)[places % step == 0] for places, vectors in table.vectors()])
    clusters = min(clusters, len(sample))
    quantizer = faiss.Kmeans(table.width, clusters, spherical=True, seed=1, min_points_per_centroid=1)
    quantizer.train(sample)
    centres = np.asarray(quantizer.centroids, np.float32).reshape(clusters, table.width)
    owners, places, low, high = [], [], sample.min(0), sample.max(0)
    for numbers, vectors in table.vectors():
        if len(numbers):
            shifted = unit(vectors - centre)
            owners.append(faiss.knn(shifted, centres, 1, faiss.METRIC_INNER_PRODUCT)[1][:, 0])
            places.append(numbers)
            low, high = np.minimum(low, shifted.min(0)), np.maximum(high, shifted.max(0))
    owner, place = np.concatenate(owners), np.concatenate(places)
    order = np.argsort(owner, kind="stable")
    slots = np.empty(len(order), np.int64)
    slots[order] = np.arange(len(order))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made = IndexFile.create(scratch, digest, table.width, len(place), clusters)
        made.centres[:], made.low[:], made.high[:] = centres, low, high
        made.starts[1:] = np.cumsum(np.bincount(owner, minlength=clusters))
        made.places[:] = place[order]
        done = 0
        for numbers, vectors in table.vectors():
            made.codes[slots[done : done + len(numbers)]] = made.code(unit(vectors - centre))
            done += len(numbers)
        made.codes.flush()
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def require_faiss() -> Any:
    """The module faiss.

    Raises:
        TableError: It is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        if error.name != "faiss":
            raise
        raise TableError("search needs the package faiss-cpu: pip install 'panollava-hf[search]'") from error
    return faiss
