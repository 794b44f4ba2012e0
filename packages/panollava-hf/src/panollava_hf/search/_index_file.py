"""The file of an approximate index: clusters of 8-bit vectors, read from the disk.

An index may come from anybody, and FAISS reads its own files without checking them: a damaged one ends the process. In
this file the lengths of all arrays follow from the first line, and everything read from it is checked before it is
used.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panollava_hf._errors import TableError
from panollava_hf.search._query import Vectors

MAGIC = b"panollava index 1\n"
#: Bytes of the head: the magic line and a line of JSON, filled up with spaces.
HEAD = 512
#: The numbers in the head, and the largest value of each.
LIMITS = {"width": 2**16, "rows": 2**40, "clusters": 2**16}
REMEDY = "remove the file, and it is made again"


@dataclass(frozen=True)
class IndexFile:
    """The arrays of an index, mapped into memory.

    Attributes:
        table: Digest of the table.
        centres: `[C, D]`, of the clusters.
        low: `[D]`, smallest value of each dimension.
        high: `[D]`, largest value.
        starts: `[C + 1]`, where the vectors of each cluster begin.
        places: `[N]`, places of the vectors in the table.
        codes: `[N, D]`, the vectors in 256 steps from `low` to `high`.
    """

    table: str
    centres: Any
    low: Any
    high: Any
    starts: Any
    places: Any
    codes: Any

    @classmethod
    def create(cls, path: Path, table: str, width: int, rows: int, clusters: int) -> "IndexFile":
        """A new file, whose arrays are zeros."""
        fields = {"table": table, "width": width, "rows": rows, "clusters": clusters}
        with path.open("wb") as stream:
            stream.write((MAGIC + json.dumps(fields).encode()).ljust(HEAD - 1) + b"\n")
            stream.truncate(HEAD + sum(_bytes(kind, shape) for _, kind, shape in _layout(width, rows, clusters)))
        return cls(table, **_arrays(path, width, rows, clusters, "r+"))

    @classmethod
    def open(cls, path: Path) -> "IndexFile":
        """Read a file, and check it.

        Raises:
            TableError: It is not an index, or damaged.
        """
        with path.open("rb") as stream:
            head, size = stream.read(HEAD), os.fstat(stream.fileno()).st_size
        if not head.startswith(MAGIC):
            raise TableError(f"{path}: not an index of 'panollava search'; name another file")
        try:
            fields = json.loads(head[len(MAGIC) :])
            table, counts = fields["table"], [fields[name] for name in LIMITS]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TableError(f"{path}: the head of this index is damaged; {REMEDY}") from error
        if not all(type(n) is int and 0 < n <= most for n, most in zip(counts, LIMITS.values(), strict=True)):
            raise TableError(f"{path}: the head of this index has impossible numbers; {REMEDY}")
        expected = HEAD + sum(_bytes(kind, shape) for _, kind, shape in _layout(*counts))
        if size != expected:
            raise TableError(f"{path}: this index has {size:,} bytes, expected {expected:,}; {REMEDY}")
        found = cls(str(table), **_arrays(path, counts[0], counts[1], counts[2], "r"))
        steps = np.diff(found.starts)
        is_whole = found.starts[0] == 0 and found.starts[-1] == counts[1] and (steps >= 0).all()
        if not (is_whole and all(np.isfinite(array).all() for array in (found.centres, found.low, found.high))):
            raise TableError(f"{path}: this index is damaged; {REMEDY}")
        return found

    def vectors(self, cluster: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Places and vectors of a cluster."""
        span = slice(int(self.starts[cluster]), int(self.starts[cluster + 1]))
        step = (self.high - self.low) / np.float32(255)
        return np.array(self.places[span]), np.asarray(self.codes[span], np.float32) * step + self.low

    def code(self, vectors: Vectors) -> npt.NDArray[np.uint8]:
        """Vectors in 256 steps."""
        span = np.maximum(self.high - self.low, np.float32(1e-12))
        return np.asarray(np.clip(np.round((vectors - self.low) / span * 255), 0, 255), np.uint8)


def _layout(width: int, rows: int, clusters: int) -> list[tuple[str, type, tuple[int, ...]]]:
    """Name, type and shape of the arrays, in the order of the file."""
    return [
        ("starts", np.int64, (clusters + 1,)),
        ("places", np.int64, (rows,)),
        ("centres", np.float32, (clusters, width)),
        ("low", np.float32, (width,)),
        ("high", np.float32, (width,)),
        ("codes", np.uint8, (rows, width)),
    ]


def _bytes(kind: type, shape: tuple[int, ...]) -> int:
    count = np.dtype(kind).itemsize
    for side in shape:
        count *= side
    return count


def _arrays(path: Path, width: int, rows: int, clusters: int, mode: Any) -> dict[str, Any]:
    arrays, start = {}, HEAD
    for name, kind, shape in _layout(width, rows, clusters):
        arrays[name] = np.memmap(path, kind, mode, start, shape)
        start += _bytes(kind, shape)
    return arrays
