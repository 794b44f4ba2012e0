"""Rows of Arrow, from Parquet files and from datasets, as rows of a job."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from panollava_hf._errors import TableError
from panollava_hf._shown import listed
from panollava_hf.data._arrow import holds_images, plain_cell
from panollava_hf.data._row_checks import ImageFolder
from panollava_hf.jobs.sources._cells import broken_row, choose_columns, id_of, row_of
from panollava_hf.jobs.sources._unique import Ids

#: The cells of a row, or why it cannot be read.
ArrowRow = Mapping[str, Any] | str


class ArrowRows:
    """What the rows of an Arrow table mean.

    Columns of vectors, and images other than the panorama, are not read.

    Args:
        schema: The `pyarrow.Schema`.
        given: Columns that the user named, by what they hold.
        name: The table, for messages.
        folder: Where relative paths start; None if the table must not name files.

    Attributes:
        columns: Its columns.
        read: Columns that are read for rows.
        light: Columns that are read for ids.
        notes: Lines for the user.
    """

    def __init__(self, schema: Any, given: Mapping[str, str], name: str, folder: Path | None) -> None:
        self.name, self.folder = name, folder
        columns = choose_columns(schema.names, given, name)
        vectors = [field.name for field in schema if field.name in columns.fields and _is_vector(field.type)]
        stored = {field.name for field in schema if holds_images(field.type)}
        left_out = {*vectors, *stored}
        fields = {column: target for column, target in columns.fields.items() if column not in left_out}
        self.columns = type(columns)(columns.image, columns.id, fields)
        self.read = [field.name for field in schema if field.name in {columns.image, columns.id, *fields}]
        self.light = [columns.id] if columns.id is not None else [n for n in self.read if n not in stored]
        self.notes = (f"columns of numbers are not passed along: {listed(vectors, 6)}",) if vectors else ()
        self._labels = _labels(schema)

    def _cells(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: plain_cell(value, self._label(name)) for name, value in values.items()}

    def _label(self, column: str) -> Callable[[int], str] | None:
        names = self._labels.get(column)
        return None if names is None else lambda number: names[number] if number < len(names) else str(number)

    def id(self, row: int, values: ArrowRow) -> str:
        """The id of a row, of the values of the columns `light`."""
        if isinstance(values, str):
            return id_of(row + 1, None, values)
        cells = self._cells({name: values[name] for name in self.light})
        return id_of(row + 1, cells.get(self.columns.id) if self.columns.id is not None else None, cells)

    def row(self, row: int, identity: str, values: ArrowRow, images: ImageFolder) -> dict[str, Any]:
        """A row, of the values of the columns `read`."""
        place = f"row {row + 1}"
        if isinstance(values, str):
            return broken_row(identity, f"{place}: {values}", self.columns)
        image = values[self.columns.image]
        path = image.get("path") if isinstance(image, Mapping) else None
        return row_of(identity, place, self._cells(values), self.columns, images, path)

    def check(self, ids: Callable[[], Iterable[str]]) -> str | None:
        """Check the column of ids; their hash, or None if there is no such column.

        Raises:
            TableError: Two rows have the same id.
        """
        if self.columns.id is None:
            return None
        seen = Ids()
        for identity in ids():
            seen.add(identity)
        seen.check(self.name, lambda: ((identity, f"row {row}") for row, identity in enumerate(ids(), 1)))
        return seen.fingerprint()


def _is_vector(kind: Any) -> bool:
    """Whether a type is a list of numbers with a fraction, or contains one."""
    from pyarrow import types

    if types.is_struct(kind):
        return any(_is_vector(kind.field(index).type) for index in range(kind.num_fields))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return bool(types.is_floating(kind.value_type)) or _is_vector(kind.value_type)
    return False


def _labels(schema: Any) -> dict[str, list[str]]:
    """The names of classes by column, as `datasets` stores them in the schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: list(map(str, one["names"])) for name, one in features.items() if one.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):  # no metadata of `datasets`, or of another version
        return {}


def needs(package: str) -> TableError:
    """The error for a source whose package is not installed."""
    return TableError(f"this source needs the package {package}: pip install 'panollava-hf[jobs]'")
