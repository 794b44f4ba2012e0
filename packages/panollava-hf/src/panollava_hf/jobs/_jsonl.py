"""Results as JSON objects, one per line."""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from panollava_hf._files import write_whole
from panollava_hf.jobs._sink import Columns, Found, clean


class JsonlSink:
    """UTF-8, one object per line. Floats are written exactly; a number that JSON does not have is written as null."""

    suffix = ".jsonl"

    def write(self, path: Path, columns: Columns, schema: Callable[[], Any]) -> None:
        """Write a part."""
        names = list(columns)
        rows = zip(*(columns[name] for name in names), strict=True)
        write_whole(path, "".join(_line(dict(zip(names, row, strict=True))) for row in rows))

    def find(self, path: Path, answer: str | None = None) -> Iterator[Found]:
        """The rows of a file; their places are offsets and lengths in bytes."""
        offset = 0
        with open(path, "rb") as stream:
            for line in stream:
                row = json.loads(line)
                if not line.endswith(b"\n"):
                    raise ValueError(f"the line at byte {offset} is not complete")
                unknown = row["note"] if answer and row["error"] is None and row[answer] is None else None
                yield Found(row["id"], row["path"], row["error"], unknown, (offset, len(line)))
                offset += len(line)

    def take(self, path: Path, places: Sequence[tuple[int, int]]) -> Iterator[Mapping[str, Any]]:
        """Some rows."""
        with open(path, "rb") as stream:
            for offset, length in places:
                stream.seek(offset)
                yield json.loads(stream.read(length))

    def schema(self, path: Path) -> Any:
        """JSON Lines have none."""
        return None

    def merge(self, parts: Iterable[Path], target: Path, schema: Callable[[], Any]) -> None:
        """Join the lines."""
        with open(target, "wb") as stream:
            for part in parts:
                stream.write(part.read_bytes())
            stream.flush()
            os.fsync(stream.fileno())


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(_json(row), ensure_ascii=False, allow_nan=False) + "\n"


def _json(value: Any) -> Any:
    """A value with JSON's types only."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _json(cell) for name, cell in value.items()}
    if isinstance(value, list | tuple):
        return [_json(cell) for cell in value]
    if hasattr(value, "tolist"):  # numpy and torch
        return _json(value.tolist())
    return str(value)
