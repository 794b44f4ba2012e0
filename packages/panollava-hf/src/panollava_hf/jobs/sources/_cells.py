"""From the cells of a table to the rows of a job: which column is the image, which the id, and what is passed along."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panollava_hf._errors import TableError, UsageError
from panollava_hf.data._columns import COLUMNS, column_names, find_column, normalised
from panollava_hf.data._row_checks import REPEATED_HEADER, ImageFolder
from panollava_hf.data._rows import Nested
from panollava_hf.jobs.sources._names import text_of

#: Names that the column of the image can have, the most likely first.
IMAGE_COLUMNS = (
    *COLUMNS["image"],
    *("file", "filename", "image_url", "image_file", "img", "img_path", "panorama_path", "panorama_url"),
    *("panorama_file", "filepath", "file_path", "uri", "pano"),
)
#: Keys of a row that no column of a table can set. `error` is what an earlier job wrote.
OWN_KEYS = ("id", "path", "image", "bytes", "error")


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    Attributes:
        image: The column of the image.
        id: The column of the id; None if ids are made from the rows.
        fields: The other columns, and their names in rows.
    """

    image: str
    id: str | None
    fields: Mapping[str, str]


def choose_columns(names: Sequence[str], given: Mapping[str, str], source: str) -> Columns:
    """Find the image, the id and the question among the columns of a table.

    Args:
        names: The columns of the table.
        given: Columns that the user named, by what they hold: `image`, `id`, `question`, or any other key of a row.
        source: The table, for messages.

    Raises:
        TableError: A column does not exist, or no column or several columns can hold the image.
    """
    try:
        image = _find(names, (given["image"],) if "image" in given else IMAGE_COLUMNS)
        if image is None:
            wanted = given["image"] if "image" in given else ", ".join(IMAGE_COLUMNS[:6])
            raise TableError(
                f"has the columns {column_names(names)}; expected one of {wanted} for the image (name another column "
                "with --columns image=NAME)"
            )
        chosen = {role: find_column(names, column) for role, column in given.items()}
        missing = next((role for role, column in chosen.items() if column is None), None)
        if missing is not None:
            raise TableError(f"has no column {given[missing]!r} for {missing}; its columns are {column_names(names)}")
        identity = chosen["id"] if "id" in chosen else find_column(names, "id")
        if "question" not in chosen and (question := _find(names, COLUMNS["question"])) is not None:
            chosen["question"] = question
    except TableError as error:
        raise TableError(f"{source} {error}") from None
    targets = {column: role for role, column in chosen.items() if role not in ("image", "id")}
    fields: dict[str, str] = {}
    for name in names:
        target = targets.get(name, name)
        if (
            name not in (image, identity)
            and target not in OWN_KEYS
            and (name in targets or target not in targets.values())
        ):
            fields.setdefault(name, target)
    return Columns(image, identity, fields)


def _find(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    return next(filter(None, (find_column(names, name) for name in wanted)), None)


def check_roles(given: Mapping[str, str]) -> None:
    """Refuse columns that would replace what a row is.

    Raises:
        UsageError: A key is `path`, `bytes` or `error`.
    """
    wrong = next((role for role in given if role in ("path", "bytes", "error")), None)
    if wrong is not None:
        raise UsageError(
            f"columns: {wrong!r} cannot be set; the panorama's column is `image`, e.g. image=panorama_file"
        )


def id_of(number: int, cell: Any, cells: Mapping[str, Any] | str) -> str:
    """The id of a row: its cell, or its number and a hash of what is in it.

    With the hash, a row that was changed or moved is another row when a job is resumed.

    Args:
        number: Its number, from 1.
        cell: What the column of the id holds; None if there is none.
        cells: Its cells, or what is wrong with it.
    """
    if cell is not None and str(cell).strip():
        return str(cell).strip()
    text = cells if isinstance(cells, str) else "\x1e".join(f"{name}\x1f{value}" for name, value in cells.items())
    return f"{number}-{hashlib.blake2b(text.encode('utf-8', 'replace'), digest_size=4).hexdigest()}"


def broken_row(identity: str, problem: str, columns: Columns | None = None, path: str | None = None) -> dict[str, Any]:
    """A row that cannot be used, with the reason in `error`."""
    fields = {} if columns is None else dict.fromkeys(columns.fields.values())
    return {"id": identity, "path": path, "image": None, **fields, "error": problem}


def row_of(
    identity: str, place: str, cells: Mapping[str, Any], columns: Columns, images: ImageFolder, path: str | None = None
) -> dict[str, Any]:
    """A row of a job.

    Args:
        identity: Its id.
        place: Its line or number, for the message of a row that cannot be used.
        cells: Its cells, by column.
        columns: The columns of the table.
        images: Finds the images that the table names.
        path: The name of an image that is stored in the table.
    """
    image = cells.get(columns.image)
    if image is None or (isinstance(image, str) and not image.strip()):
        return broken_row(identity, f"{place}: the image is blank", columns)
    if isinstance(image, Nested) or not isinstance(image, str | bytes):
        return broken_row(identity, f"{place}: the image is not a path, a URL or a file", columns)
    fields = {target: cells.get(name) for name, target in columns.fields.items()}
    if isinstance(image, str):
        if _is_header(cells):
            return broken_row(identity, f"{place}: {REPEATED_HEADER}", columns)
        try:
            located = images.locate(image)
        except TableError as error:
            return broken_row(identity, f"{place}: {error}", columns, image)
        image = str(located) if isinstance(located, Path) else located
        path = text_of(image)
    return {"id": identity, "path": path, "image": image, **fields}


def _is_header(cells: Mapping[str, Any]) -> bool:
    """Whether all cells repeat the names of their columns."""
    filled = [(name, cell) for name, cell in cells.items() if cell is not None]
    return len(filled) > 1 and all(
        isinstance(cell, str) and normalised(cell) == normalised(name) for name, cell in filled
    )
