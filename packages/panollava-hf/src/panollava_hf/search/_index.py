"""Candidates of a search: the panoramas whose vectors are nearest, found by FAISS."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panollava_hf._errors import TableError, boundary
from panollava_hf.search._query import Vectors, unit
from panollava_hf.search._table import VectorTable

#: Vectors whose clusters FAISS computes, per cluster.
PER_CLUSTER = 64


def nearest(
    table: VectorTable, query: Vectors, centre: Vectors, count: int, index: Path | None = None
) -> npt.NDArray[np.int64]:
    """The places of the panoramas whose vectors are nearest to that of a query, best first.

    Without an index all vectors are compared, in pieces that are read from the table: exact, in memory that does not
    grow with it. With one, FAISS compares those of the nearest clusters: approximate, and faster.

    Args:
        table: The table.
        query: `[D]`, of unit length.
        centre: `[D]`, subtracted from the query and from the vectors.
        count: How many are returned at most.
        index: File of an index. It is made if it does not exist.

    Raises:
        TableError: The index is of another table, or FAISS is not installed.
    """
    faiss = require_faiss()
    wanted = unit(query - centre)[None]
    if index is not None:
        return _from_index(faiss, table, wanted, centre, count, index)
    best = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for places, vectors in table.vectors():
        if not len(places):
            continue
        scores, found = faiss.knn(wanted, unit(vectors - centre), min(count, len(places)), faiss.METRIC_INNER_PRODUCT)
        both = np.concatenate([best[0], places[found[0]]]), np.concatenate([best[1], scores[0]])
        order = np.argsort(-both[1], kind="stable")[:count]
        best = both[0][order], both[1][order]
    return best[0]


def _from_index(
    faiss: Any, table: VectorTable, wanted: Vectors, centre: Vectors, count: int, path: Path
) -> npt.NDArray[np.int64]:
    if not path.exists():
        _build(faiss, table, centre, path)
    with boundary(TableError, f"{path}: not an index of FAISS", "remove the file, and it is made again"):
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    if (index.d, index.ntotal) != (table.width, len(table)) or path.stat().st_mtime < max(
        file.stat().st_mtime for file in table.files
    ):
        raise TableError(
            f"{path}: this index is older than {table.path} or of another table ({index.ntotal:,} vectors of {index.d} "
            f"numbers; the table has {len(table):,} of {table.width}); remove the file, and it is made again"
        )
    faiss.ParameterSpace().set_index_parameter(index, "nprobe", max(8, index.nlist // 16))
    _, found = index.search(wanted, min(count, len(table)))
    return np.asarray(found[0][found[0] >= 0], np.int64)


def _build(faiss: Any, table: VectorTable, centre: Vectors, path: Path) -> None:
    """Write an index of 8-bit vectors in clusters: about a quarter of the size of the vectors, read from the disk."""
    clusters = max(1, min(4096, round(len(table) ** 0.5)))
    index = faiss.index_factory(table.width, f"IVF{clusters},SQ8", faiss.METRIC_INNER_PRODUCT)
    step = max(1, len(table) // (clusters * PER_CLUSTER))
    index.train(np.concatenate([unit(vectors - centre)[places % step == 0] for places, vectors in table.vectors()]))
    for places, vectors in table.vectors():
        if len(places):
            index.add_with_ids(unit(vectors - centre), places)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        faiss.write_index(index, str(scratch))
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
