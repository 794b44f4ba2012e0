"""Columns of results that know their Arrow type.

`datasets` and Ray Data derive the type of a column from the first rows they write. Where those rows all failed, or none
of them, that is the type of null, which holds nothing else.
"""

from collections.abc import Mapping
from typing import Any


class TypedColumn(list[Any]):
    """A list whose Arrow type does not depend on its values."""

    arrow_type: Any = None

    def __arrow_array__(self, type: Any = None) -> Any:
        """The column as an Arrow array; called by `pyarrow.array`."""
        import pyarrow as pa

        return pa.array(list(self), type=type or self.arrow_type)


def typed_columns(columns: Mapping[str, list[Any]], schema: Any) -> dict[str, list[Any]]:
    """The same columns, with the types of a `pyarrow.Schema`."""
    import pyarrow as pa

    typed: dict[str, list[Any]] = {}
    for name, cells in columns.items():
        column = typed[name] = TypedColumn(cells)
        kind = schema.field(name).type
        # `datasets` makes lists of any length of arrays, so a column without any value gets that type, too.
        column.arrow_type = pa.list_(kind.value_type) if pa.types.is_fixed_size_list(kind) else kind
    return typed
