"""Parquet files and datasets on the Hub, read through `datasets`, so that their rows and images stay on disk."""

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panollava_hf._errors import TableError, boundary
from panollava_hf.data._rows import Nested

if TYPE_CHECKING:
    from datasets import Dataset

#: Rows that are taken from the disk at a time.
_BATCH = 1000
#: Seconds that the first request to the Hub may take.
_HUB_SECONDS = 8.0


class ArrowRows:
    """The rows of a `datasets.Dataset`, with numbers as texts and images as they are stored.

    Args:
        rows: The dataset.
    """

    def __init__(self, rows: "Dataset") -> None:
        self.rows = rows

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(self.rows.column_names)

    def __len__(self) -> int:
        return len(self.rows)

    def cell(self, row: int, column: str) -> Any:
        """One cell."""
        return self._cell(self.rows.select_columns([column])[row][column], column)

    def cells(self, column: str) -> Iterator[Any]:
        """All cells of a column; of embedded images only whether they are there."""
        part = self.rows.select_columns([column])
        if part._indices is None and holds_images(part.features.arrow_schema.field(column).type):
            yield from _embedded(part.data.column(column))
            return
        for start in range(0, len(part), _BATCH):
            for value in part[start : start + _BATCH][column]:
                yield self._cell(value, column)

    def place(self, row: int) -> str:
        """The number of a row."""
        return f"row {row + 1}"

    def _cell(self, value: Any, column: str) -> Any:
        feature = self.rows.features[column]
        return plain_cell(value, feature.int2str if hasattr(feature, "int2str") else None)


def plain_cell(value: Any, label: Callable[[int], str] | None = None) -> Any:
    """A value of Arrow as a cell: a text, None, a `Nested` text, or the bytes of an image.

    Args:
        value: The value.
        label: Gives the text of an integer that stands for one; None for other columns.
    """
    if isinstance(value, int) and label is not None:  # a ClassLabel; -1 is a missing label
        return label(value) if value >= 0 else None
    if isinstance(value, dict) and set(value) <= {"bytes", "path"}:  # an undecoded image of `datasets`
        return value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, dict)):
        return Nested(json.dumps(value, default=str))
    if value is None or value != value:  # NaN stands for a missing value in tables of pandas
        return None
    return value if isinstance(value, (str, bytes)) else str(value)


def holds_images(kind: Any) -> bool:
    """Whether an Arrow type is bytes, or the images of `datasets`."""
    from pyarrow import types

    if types.is_struct(kind):
        return {kind.field(index).name for index in range(kind.num_fields)} == {"bytes", "path"}
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _embedded(column: Any) -> Iterator[Any]:
    """Whether there is an image in each cell of an Arrow column, without reading the images."""
    from pyarrow import types

    for chunk in column.chunks:
        if not types.is_struct(chunk.type):
            yield from (b"" if there.as_py() else None for there in chunk.is_valid())
            continue
        for cell, stored, path in zip(
            chunk.is_valid(), chunk.field("bytes").is_valid(), chunk.field("path"), strict=True
        ):
            yield None if not cell.as_py() else b"" if stored.as_py() else path.as_py()


def read_parquet(path: Path) -> ArrowRows:
    """Read a Parquet file.

    Raises:
        TableError: `datasets` is not installed, or the file is not readable Parquet.
    """
    datasets = _datasets()
    with boundary(TableError, f"{path} cannot be read as parquet", "write it again, or check that it is complete"):
        from pyarrow import parquet, types

        with parquet.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
        if not count:
            raise TableError(f"{path} has no rows")
        categories = any(types.is_dictionary(field.type) for field in schema)  # of pandas; `datasets` refuses them
        rows = datasets.Dataset(_decoded_table(path)) if categories else _load_quietly(datasets, path)
        return ArrowRows(undecoded(datasets, rows))


def read_hub(name: str, split: str) -> ArrowRows:
    """Read a split of a dataset on the Hub; code of the repository is never run.

    Raises:
        TableError: `datasets` is not installed, or there is no such dataset, or it cannot be loaded.
    """
    datasets = _datasets()
    with boundary(TableError, f"{name}: no such file, folder or dataset", "check the name, the split and the network"):
        _ask_hub(datasets, name)
        # Versions before 4 would otherwise ask on stdin whether to run the repository's code.
        old = "trust_remote_code" in inspect.signature(datasets.load_dataset).parameters
        more = {"trust_remote_code": False} if old else {}
        return ArrowRows(undecoded(datasets, datasets.load_dataset(name, split=split, **more)))


def hub_splits(name: str) -> list[str]:
    """The splits of a dataset on the Hub.

    Raises:
        TableError: `datasets` is not installed, or there is no such dataset, or the Hub cannot be asked.
    """
    datasets = _datasets()
    remedy = "check the name and the network, or name a split with --split"
    with boundary(TableError, f"{name}: no such file, folder or dataset", remedy):
        _ask_hub(datasets, name)
        return list(datasets.get_dataset_split_names(name))


def _ask_hub(datasets: Any, name: str) -> None:
    """Ask the Hub for a dataset once; `datasets` repeats a failed request for half a minute.

    An error is raised only if the dataset is not in the local cache either.
    """
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return
    try:
        HfApi().dataset_info(name, timeout=_HUB_SECONDS)
    except Exception:
        if not (Path(datasets.config.HF_DATASETS_CACHE) / name.replace("/", "___")).is_dir():
            raise


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise TableError(
            "reading Parquet files and datasets needs the package datasets: pip install 'panollava-hf[train]'"
        ) from error
    return datasets


def _load_quietly(datasets: Any, path: Path) -> Any:
    """Load a local file without progress bars and log messages; a failure is raised with its real cause."""
    shown, verbosity = not datasets.are_progress_bars_disabled(), datasets.utils.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)
    try:
        return datasets.load_dataset("parquet", data_files=str(path), split="train")
    except datasets.exceptions.DatasetGenerationError as error:
        raise error.__cause__ or error from None
    finally:
        datasets.utils.logging.set_verbosity(verbosity)
        if shown:
            datasets.enable_progress_bars()


def _decoded_table(path: Path) -> Any:
    """The table of a file, with the values of dictionary columns instead of their numbers."""
    from pyarrow import parquet, types

    table = parquet.read_table(path)
    for index, field in enumerate(table.schema):
        if types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(field.type.value_type))
    return table


def undecoded(datasets: Any, rows: Any) -> Any:
    """Images as the bytes of their files; they are decoded when they are needed."""
    for column, feature in rows.features.items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(column, datasets.Image(decode=False))
    return rows
