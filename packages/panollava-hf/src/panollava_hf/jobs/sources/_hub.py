"""Datasets of the Hub and saved ones, memory-mapped by `datasets`."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from panollava_hf._errors import TableError, boundary
from panollava_hf._shown import shown
from panollava_hf.data._arrow import read_hub, undecoded
from panollava_hf.data._row_checks import ImageFolder
from panollava_hf.jobs.sources._arrow_rows import ArrowRows, needs
from panollava_hf.jobs.sources._names import shown_name

_BATCH = 1000


def open_hub(name: str, split: str, given: Mapping[str, str], limit: int | None = None) -> "DatasetSource":
    """A split of a dataset of the Hub; code of its repository is never run.

    Raises:
        TableError: `datasets` is not installed, there is no such dataset or split, or its rows cannot be used.
    """
    _datasets()
    rows = read_hub(name, split).rows
    return DatasetSource(name, rows, f"{name} {split}", given, limit, None)


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk` of `datasets`."""
    return (folder / "dataset_dict.json").is_file() or all(
        (folder / name).is_file() for name in ("state.json", "dataset_info.json")
    )


def open_saved(folder: Path, split: str, given: Mapping[str, str], limit: int | None = None) -> "DatasetSource":
    """A dataset that was written by `save_to_disk`.

    Raises:
        TableError: `datasets` is not installed, there is no such split, or the files or rows cannot be used.
    """
    datasets, name = _datasets(), shown_name(str(folder))
    path = folder / split if (folder / "dataset_dict.json").is_file() else folder
    if not path.is_dir():
        raise TableError(f"{name} has no split {shown(split)}; choose another one with --split")
    with boundary(TableError, f"{name} cannot be read as a saved dataset", "save it again"):
        rows = undecoded(datasets, datasets.load_from_disk(str(path.absolute())))
    return DatasetSource(name, rows, name, given, limit, path.absolute())


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise needs("datasets") from error
    return datasets


class DatasetSource:
    """The rows of a `datasets.Dataset`, which stay on the disk.

    Args:
        name: Its name in messages.
        rows: The dataset.
        identity: What distinguishes it from others, for its fingerprint.
        given: Columns that the user named, by what they hold.
        limit: Largest number of rows.
        folder: Where relative paths of images start; None for the Hub.

    Raises:
        TableError: There are no rows, no column with images, or two rows with the same id.
    """

    def __init__(
        self, name: str, rows: Any, identity: str, given: Mapping[str, str], limit: int | None, folder: Path | None
    ) -> None:
        self.name, self._folder = name, folder
        self._count = len(rows) if limit is None else min(limit, len(rows))
        if not self._count:
            raise TableError(f"{name}: the dataset has no rows")
        self._table = ArrowRows(rows.features.arrow_schema, given, name, folder)
        self.notes: tuple[str, ...] = self._table.notes
        self._light = rows.select_columns(self._table.light)
        self._rows = rows.select_columns(self._table.read)
        found = self._table.check(self._all_ids)
        # The fingerprint of `datasets` follows from the files and from how they were read.
        own = f"{identity} {rows._fingerprint} {self._count}"
        self._fingerprint = found or hashlib.sha256(own.encode()).hexdigest()

    def _all_ids(self) -> Iterator[str]:
        for start in range(0, self._count, _BATCH):
            yield from self.ids(start, start + _BATCH)

    def __len__(self) -> int:
        return self._count

    def fingerprint(self) -> str:
        """A hash of the ids in order; without a column of ids, of what `datasets` knows of the files."""
        return self._fingerprint

    def ids(self, start: int, stop: int) -> list[str]:
        """The ids of some rows."""
        stop = min(stop, self._count)
        rows = _dicts(self._light, start, stop) if self._table.light else [{}] * (stop - start)
        return [self._table.id(row, values) for row, values in enumerate(rows, start)]

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        """Some rows: `id`, `path`, `image` and the other columns; `error` in a row that cannot be used."""
        images = _CachedImages() if self._folder is None else ImageFolder(self._folder)
        ids = self.ids(start, stop)
        pairs = zip(ids, _dicts(self._rows, start, min(stop, self._count)), strict=True)
        return [self._table.row(row, identity, values, images) for row, (identity, values) in enumerate(pairs, start)]


def _dicts(rows: Any, start: int, stop: int) -> list[dict[str, Any]]:
    """Some rows of a dataset, one dictionary each."""
    if stop <= start:
        return []
    columns = rows[start:stop]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


class _CachedImages(ImageFolder):
    """Finds the images that a dataset of the Hub names: URLs, and files that were downloaded with it."""

    def __init__(self) -> None:
        from datasets import config
        from huggingface_hub import constants

        super().__init__(None)
        self._caches = [os.path.abspath(str(folder)) for folder in (constants.HF_HUB_CACHE, config.HF_DATASETS_CACHE)]

    def locate(self, name: str) -> str | Path:
        """The image with this name.

        Raises:
            TableError: It is a file outside the caches.
        """
        path = os.path.normpath(name)
        if any(path.startswith(folder + os.sep) for folder in self._caches) and os.path.isabs(name):
            return Path(path)
        return super().locate(name)
