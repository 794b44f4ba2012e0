"""Datasets of the Hub, memory-mapped from the cache of `datasets`."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from panollava_hf._errors import TableError
from panollava_hf.data._arrow import read_hub
from panollava_hf.data._row_checks import ImageFolder
from panollava_hf.jobs.sources._arrow_rows import ArrowRows, needs

_BATCH = 1000


class HubSource:
    """The rows of a split of a dataset; code of its repository is never run.

    Args:
        name: Its name, `owner/name`.
        split: The split.
        given: Columns that the user named, by what they hold.
        limit: Largest number of rows.

    Raises:
        TableError: `datasets` is not installed; there is no such dataset or split; there are no rows, no column with
            images, or two rows with the same id.
    """

    def __init__(self, name: str, split: str, given: Mapping[str, str], limit: int | None = None) -> None:
        try:
            import datasets
        except ImportError as error:
            raise needs("datasets") from error
        del datasets
        self.name = name
        rows = read_hub(name, split).rows
        self._count = len(rows) if limit is None else min(limit, len(rows))
        if not self._count:
            raise TableError(f"{name}, split {split}: the dataset has no rows")
        self._table = ArrowRows(rows.features.arrow_schema, given, name, None)
        self.notes: tuple[str, ...] = self._table.notes
        self._light = rows.select_columns(self._table.light)
        self._rows = rows.select_columns(self._table.read)
        found = self._table.check(self._all_ids)
        # The fingerprint of `datasets` follows from the files and from how they were read.
        own = f"{name} {split} {rows._fingerprint} {self._count}"
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
        rows = _dicts(self._light, start, min(stop, self._count))
        return [self._table.id(row, values) for row, values in enumerate(rows, start)]

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        """Some rows: `id`, `path`, `image` and the other columns; `error` in a row that cannot be used."""
        images = _CachedImages()
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
