"""A job: a batch of panoramas in, a batch of results out, one row each; made from plain settings, so that it pickles.

`datasets.Dataset.map(batched=True)`, Ray Data's `map_batches`, a plain loop and the engines of this package call the
same object. The model is loaded in the process that uses it, at the first batch.
"""

import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from panollava_hf._child_processes import allow_forks
from panollava_hf._errors import TableError
from panollava_hf.jobs._warned import reading

#: Columns that may hold the panorama, in the order in which they are looked for.
IMAGE_COLUMNS = ("image", "bytes", "path")

Batch = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Item:
    """One row of a batch.

    Attributes:
        id: Its name in the results.
        path: Where its image came from; None if only the image itself is known.
        image: The panorama: a path, a URL, the bytes of a file, or an image.
        fields: The other cells of the row, such as `question`.
    """

    id: str
    path: str | None
    image: Any
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Prepared:
    """A batch whose images were read.

    Attributes:
        items: The rows.
        inputs: What the model needs of each row; None where it failed.
        errors: Why a row failed; None where it did not.
    """

    items: list[Item]
    inputs: list[Any]
    errors: list[str | None]


class Job(ABC):
    """A callable that turns a batch of rows into a batch of results.

    A row that fails has a text in `error` and None in all other columns but `id` and `path`; the others are unaffected.
    Errors of the whole job, such as a model that does not exist, are raised.
    """

    #: Columns of the results between `path` and `error`.
    columns: tuple[str, ...] = ()
    #: The column that is empty where the model does not know the answer; `note` says why there. None: there is none.
    answer_column: str | None = None
    #: Rows that the model works on together, unless the caller of the engine sets it.
    batch_size: int = 16
    #: Rows whose results are one file. A killed run repeats the parts in work only.
    part_rows: int = 256
    #: GPUs of each worker on a Ray cluster, perhaps a fraction; None for one if the cluster has any.
    gpus_per_worker: float | None = None

    def __init__(self) -> None:
        self._model: Any = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_model", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._model, self._lock = None, threading.Lock()

    @property
    def model(self) -> Any:
        """What `load` returned, loaded once per process."""
        allow_forks()
        with self._lock:
            if self._model is None:
                self._model = self.load()
        return self._model

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What determines the results, as JSON values; a job is resumed only with equal settings."""

    @abstractmethod
    def load(self) -> Any:
        """Load the model.

        Raises:
            ModelError: There is no such model.
        """

    @abstractmethod
    def read(self, item: Item) -> Any:
        """Decode and cut one panorama; called in threads, while the model works on other rows.

        Raises:
            PanoramaError: It cannot be read. Also OSError, ValueError and PanoLLaVaError become the row's error.
        """

    @abstractmethod
    def compute(self, items: Sequence[Item], inputs: Sequence[Any]) -> list[Mapping[str, Any] | Exception]:
        """Run the model on what `read` returned; for each row the values of `columns`, or why it failed."""

    def schema(self) -> Any:
        """The `pyarrow.Schema` of the results; needs the model for the width of vectors."""
        import pyarrow as pa

        return pa.schema([(name, pa.string()) for name in ("id", "path", *self.columns, "error")])

    def prepare(self, batch: Batch) -> Prepared:
        """Read the images of a batch, one after another; engines call this in threads.

        A row that has a text in `error`, such as a line of a table that could not be read, fails with it unread.
        """
        from panollava_geometry import PanoramaError

        from panollava_hf._errors import PanoLLaVaError, one_line

        items = items_of(batch)
        prepared = Prepared(items, [None] * len(items), [None] * len(items))
        _ = self.model
        given = batch.get("error", [None] * len(items))
        for index, item in enumerate(items):
            if isinstance(given[index], str) and given[index]:
                prepared.errors[index] = given[index]
                continue
            try:
                with reading(item.path, item.id):
                    prepared.inputs[index] = self.read(item)
            except (PanoramaError, PanoLLaVaError, OSError, ValueError) as error:
                prepared.errors[index] = one_line(error)
        return prepared

    def finish(self, prepared: Prepared) -> dict[str, list[Any]]:
        """Run the model on a prepared batch, and put the rows together."""
        good = [index for index, error in enumerate(prepared.errors) if error is None]
        found = self.compute([prepared.items[i] for i in good], [prepared.inputs[i] for i in good]) if good else []
        results: dict[int, Mapping[str, Any]] = {}
        for index, result in zip(good, found, strict=True):
            if isinstance(result, Exception):
                prepared.errors[index] = str(result)
            else:
                results[index] = result
        rows = range(len(prepared.items))
        batch: dict[str, list[Any]] = {"id": [item.id for item in prepared.items]}
        batch["path"] = [item.path for item in prepared.items]
        for name in self.columns:
            batch[name] = [results[i].get(name) if i in results else None for i in rows]
        batch["error"] = list(prepared.errors)
        return batch

    def __call__(self, batch: Any) -> Any:
        """A batch of results.

        Args:
            batch: Columns of equal length: the panorama in `image`, `bytes` or `path` (a path, a URL, the bytes of a
                file, an image, or the `{"bytes", "path"}` of `datasets`), perhaps an `id`, and what else the job reads.
                A dict of lists or arrays, a pandas DataFrame, or a `pyarrow.Table`.

        Returns:
            `id`, `path`, the columns of the job, and `error`: lists, or for a `pyarrow.Table` another one.
        """
        from panollava_hf.jobs._typed_column import typed_columns

        if hasattr(batch, "to_pydict"):
            import pyarrow as pa

            return pa.Table.from_pydict(self.finish(self.prepare(batch.to_pydict())), schema=self.schema())
        if hasattr(batch, "iloc"):  # a DataFrame: its index may be any, and it has NaN for what is missing
            batch = {name: cells.astype(object).where(cells.notna(), None).tolist() for name, cells in batch.items()}
        rows = self.finish(self.prepare(batch))
        # `datasets` imports pyarrow; a plain loop does not need it.
        return typed_columns(rows, self.schema()) if "pyarrow" in sys.modules else rows


def items_of(batch: Batch) -> list[Item]:
    """The rows of a batch.

    Raises:
        TableError: It has no column with panoramas.
    """
    column = next((name for name in IMAGE_COLUMNS if name in batch), None)
    if column is None:
        raise TableError(
            f"a batch with the columns {', '.join(map(str, batch)) or '(none)'} has no panoramas; expected one of the "
            f"columns {', '.join(IMAGE_COLUMNS)}"
        )
    names = [name for name in batch if name not in ("id", "path", "error", column)]
    items = []
    for row, cell in enumerate(batch[column]):
        image, path = _image_of(cell)
        given = batch["path"][row] if "path" in batch else None
        path = str(given) if given is not None else path
        name = batch["id"][row] if "id" in batch else None
        name = path if name is None else name
        items.append(
            Item(str(row if name is None else name), path, image, {field: batch[field][row] for field in names})
        )
    return items


def _image_of(cell: Any) -> tuple[Any, str | None]:
    """An image and its path, of a cell."""
    if isinstance(cell, Mapping):  # an undecoded image of `datasets`
        data, path = cell.get("bytes"), cell.get("path")
        return (path if data is None else bytes(data)), path
    if isinstance(cell, str):
        return cell, cell
    return cell, getattr(cell, "filename", None) or None
