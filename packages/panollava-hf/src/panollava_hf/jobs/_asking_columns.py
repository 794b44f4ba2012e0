"""Columns of the jobs that ask a model: those that they read, and those of their results."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from panollava_hf._errors import TableError
from panollava_hf._shown import listed, shortened
from panollava_hf.jobs._job import Batch

if TYPE_CHECKING:
    from panollava_hf.asking import Answer

#: What an answer cost: columns of results.
FIGURES = ("calls", "image_tokens", "prompt_tokens", "new_tokens")


def figures(found: "Sequence[Answer]") -> dict[str, Any]:
    """The strategy of some answers and what they cost together; None where that is not known."""
    from panollava_hf.asking._chat import total

    values = {name: total(getattr(answer, name) for answer in found) for name in FIGURES}
    notes = dict.fromkeys(answer.note for answer in found if answer.note)
    return {"strategy": found[0].strategy, **values, "note": "; ".join(notes) or None}


def schema_of(columns: Mapping[str, Any]) -> Any:
    """The `pyarrow.Schema` of results with these columns, whose type is text where it is None."""
    import pyarrow as pa

    kinds = {"id": None, "path": None, **columns, "error": None}
    return pa.schema([(name, pa.string() if kind is None else kind) for name, kind in kinds.items()])


def figure_types() -> dict[str, Any]:
    """The types of the columns of `figures`."""
    import pyarrow as pa

    return {"strategy": None, **dict.fromkeys(FIGURES, pa.int64()), "note": None}


def renamed(batch: Batch, names: Mapping[str, str]) -> Batch:
    """A batch whose columns have the names that jobs read.

    Raises:
        TableError: It has no such column.
    """
    found = dict(batch)
    for field, name in names.items():
        if name not in batch and field not in batch:
            raise TableError(
                f"a batch has no column {shortened(name, 80)!r} for {field}; its columns are "
                f"{listed([shortened(str(one), 40) for one in batch], 12)}"
            )
        if name in batch:
            found.pop(name, None)
            found[field] = batch[name]
    return found
