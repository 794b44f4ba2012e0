"""The columns of a file of vectors: whether they are as expected, and their values as arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from panollava_hf._errors import TableError, boundary
from panollava_hf._shown import listed, shortened

#: Rows that are decoded together.
BATCH = 512
#: Columns of a file of vectors; `error` may be missing.
NEEDED = ("id", "path", "vector", "views")
REMEDY = "write vectors with 'panollava embed SOURCE -o vectors.parquet'"


def check_columns(file: Path, parquet: Any, width: int) -> tuple[int, int]:
    """Width of the vectors of a file, and its rows without one."""
    import pyarrow as pa

    schema = parquet.schema_arrow
    missing = [name for name in NEEDED if name not in schema.names]
    if missing:
        raise TableError(
            f"{file}: not a table of vectors: it has no column {', '.join(missing)} (columns: "
            f"{shortened(listed(schema.names, 8), 200)}); {REMEDY}"
        )
    views = schema.field("views").type
    if not _is_list(views) or not pa.types.is_struct(views.value_type):
        raise TableError(
            f"{file}: the column views is {shortened(str(views), 80)}, expected lists of structs; {REMEDY}"
        )
    names = {field.name for field in views.value_type}
    if not {"yaw_deg", "pitch_deg", "vector"} <= names:
        raise TableError(
            f"{file}: views have the fields {shortened(listed(sorted(names), 8), 120)}, expected yaw_deg, pitch_deg "
            f"and vector; {REMEDY}"
        )
    for name, kind in (
        ("vector", schema.field("vector").type),
        ("views.vector", views.value_type.field("vector").type),
    ):
        if not _is_list(kind) or not pa.types.is_floating(kind.value_type):
            raise TableError(f"{file}: {name} is {shortened(str(kind), 80)}, expected lists of float32; {REMEDY}")
    kind = schema.field("vector").type
    found = kind.list_size if pa.types.is_fixed_size_list(kind) else 0
    errors, column = 0, "error" if "error" in schema.names else "vector"
    with boundary(TableError, f"{file}: cannot be read", REMEDY):
        for batch in parquet.iter_batches(BATCH, columns=[column], use_threads=False):
            cells = batch.column(column)
            errors += len(cells) - cells.null_count if column == "error" else cells.null_count
        for batch in () if found else parquet.iter_batches(BATCH, columns=["vector"], use_threads=False):
            lengths = batch.column("vector").drop_null().value_lengths()
            if len(lengths):
                found = lengths[0].as_py()
                break
    if found and width and found != width:
        raise TableError(
            f"{file}: vectors of {found} numbers after vectors of {width}; one table has vectors of one model"
        )
    return found, errors


def rows_with_vectors(column: Any) -> npt.NDArray[np.bool_]:
    """Which rows have a vector of finite numbers."""
    valid: npt.NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False).copy()
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    valid &= lengths > 0
    values = column.filter(_mask(valid)).flatten()
    numbers = values.fill_null(float("nan")).to_numpy(zero_copy_only=False)
    if len(numbers) and not np.isfinite(numbers).all():
        owner = np.repeat(np.flatnonzero(valid), lengths[valid])
        valid[np.unique(owner[~np.isfinite(numbers)])] = False
    return valid


def _mask(valid: npt.NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.array(valid)


def matrix_of(column: Any, width: int, path: Path) -> npt.NDArray[Any]:
    """A column of lists as `[rows, width]`; zeros where there is no list."""
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    values = column.filter(_mask(valid)).flatten().to_numpy(zero_copy_only=False)
    if len(values) != int(valid.sum()) * width:
        raise TableError(f"{path}: the vectors do not all have {width} numbers; {REMEDY}")
    matrix = np.zeros((len(valid), width), np.float32)
    matrix[valid] = values.reshape(-1, width)
    return matrix


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
