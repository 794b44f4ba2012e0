"""Which column of a table holds what, found by its name."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice

from panollava_hf._errors import TableError
from panollava_hf._shown import listed, shortened
from panollava_hf.data._options import OPTIONS_COLUMNS, single_columns

#: Names that a column can have, the most likely first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "image": ("image", "panorama", "url", "image_path", "path", "file_name"),
    "question": ("question", "query", "instruction", "prompt"),
    "answer": ("answer", "annotation", "response", "output", "caption"),
}
#: Optional columns: the kind of question, the scene it belongs to, and the question in a form for programs.
OPTIONAL = ("family", "scene", "program", "wordings")
#: The layouts of the original code's tables: image, question, answer. Their texts were often written without quotes.
LAYOUTS = (("url", "query", "annotation"), ("url", "instruction", "response"))
#: What surrounds a name in files that editors and spreadsheets wrote: marks, invisible characters, quotes.
_AROUND = "\ufeff\u200b\u200e\u200f\"'“”„‘’"
#: Most columns that a message lists.
_SHOWN = 20


def plain_name(name: str) -> str:
    """A column's name without the byte order mark, quotes and blanks around it."""
    return name.strip().strip(_AROUND).strip()


def normalised(name: str) -> str:
    """A name as it is compared: Unicode form, case, blanks and quotes around it do not count.

    Example:
        >>> normalised("\ufeff Image\u00a0Path ")
        'image_path'
    """
    return re.sub(r"[\s_-]+", "_", plain_name(unicodedata.normalize("NFKC", name)).casefold())


def find_column(names: Sequence[str], wanted: str) -> str | None:
    """The column with this name, or with another spelling of it; None where there is none.

    Raises:
        TableError: Several columns have this name.
    """
    for found in (
        [name for name in names if name == wanted],
        [name for name in names if normalised(name) == normalised(wanted)],
    ):
        if len(found) > 1:
            raise TableError(f"several columns are named {wanted!r}: keep one of them")
        if found:
            return found[0]
    return None


def choose_columns(names: Sequence[str], given: Mapping[str, str], source: str) -> dict[str, str]:
    """The columns of image, question and answer, and the optional ones that exist.

    Args:
        names: The columns of the table.
        given: Columns that the user named, by role.
        source: The table, for messages.

    Raises:
        TableError: A role is unknown, or no column or several columns can hold it; the message lists the columns.
    """
    unknown = set(given) - set(COLUMNS)
    if unknown:
        near = get_close_matches(min(unknown)[:100], COLUMNS, 1)
        raise TableError(
            f"unknown role {', '.join(sorted(unknown))} in columns; the roles are {', '.join(COLUMNS)}, e.g. "
            "columns: {image: panorama_file}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    chosen = {}
    try:
        for role, candidates in COLUMNS.items():
            wanted = (given[role],) if role in given else candidates
            found = next(filter(None, (find_column(names, name) for name in wanted)), None)
            if found is None:
                raise TableError(
                    f"has the columns {column_names(names)}; expected one of {', '.join(wanted)} for the {role}"
                    f" (set columns.{role}, or --column {role}=NAME, to the name of another column)"
                )
            chosen[role] = found
        optional = {name: column for name in OPTIONAL if (column := find_column(names, name)) is not None}
    except TableError as error:
        raise TableError(f"{source} {error}") from None
    return {**chosen, **{name: column for name, column in optional.items() if column not in chosen.values()}}


def find_options(names: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """The column with the options of multiple-choice questions, or the columns with one option each; else none.

    Args:
        names: The columns of the table.
        taken: Columns that hold something else.

    Example:
        >>> find_options(["image", "question", "Options", "answer"]), find_options(["image", "A", "B", "answer"])
        (['Options'], ['A', 'B'])
    """
    free = {normalised(name): name for name in reversed(names) if name not in taken}
    whole = next((free[name] for name in OPTIONS_COLUMNS if name in free), None)
    return [free[name] for name in single_columns(list(free))] if whole is None else [whole]


def column_names(names: Collection[str]) -> str:
    """Names of columns for a message, of bounded length."""
    return listed([shortened(name, 40) for name in islice(names, _SHOWN)], _SHOWN, total=len(names)) or "none"


def is_header(image: str, question: str, answer: str, columns: Mapping[str, str]) -> bool:
    """Whether a row consists of names of columns, as in a table that was appended to another one.

    Args:
        image: The row's image.
        question: Its question.
        answer: Its answer.
        columns: The names of their columns.
    """
    if ("." in image and "." not in columns["image"]) or len(image) > 80:  # most images: names of files
        return False
    return all(
        normalised(cell) in {*COLUMNS[role], normalised(columns[role])}
        for role, cell in zip(COLUMNS, (image, question, answer), strict=True)
    )
