"""Predictions on disk, a line each, so that a run that was killed goes on where it stopped."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from panollava_hf._errors import EvaluationError
from panollava_hf._files import write_whole

#: What a folder of results belongs to.
SETTINGS = "settings.json"
#: How things were called, which decides nothing: their fingerprints do.
NAMES = ("name", "source")
PARTS = {"model": "weights", "data": "data", "settings": "settings"}


def claim(folder: Path, belongs: dict[str, Any]) -> None:
    """Make a folder of results, or check that it belongs to the same model, data and settings.

    Raises:
        EvaluationError: It belongs to others, or holds something else.
    """
    file = folder / SETTINGS
    if folder.exists() and not folder.is_dir():
        raise EvaluationError(f"--output {folder} is a file: name a folder")
    if not file.exists():
        if folder.is_dir() and any(not path.name.startswith(f".{SETTINGS}.") for path in folder.iterdir()):
            raise EvaluationError(f"--output {folder} holds other things than an evaluation: name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(belongs, indent=2) + "\n")
        return
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise EvaluationError(f"{file} is no JSON ({error}): name a new --output, or delete the folder") from error
    for part in ("model", "data", "settings"):
        mine, theirs = belongs[part], found.get(part, {}) if isinstance(found, dict) else {}
        other = [name for name in mine if name not in NAMES and mine[name] != theirs.get(name)]
        if not other:
            continue
        if part == "settings":
            told = ", ".join(f"{name} {theirs.get(name)}, not {mine[name]}" for name in other)
        else:
            (ours,), (was,) = ([side[name] for name in NAMES if name in side] or ["?"] for side in (mine, theirs))
            told = f"{was}, not {ours}" if was != ours else f"{was} as it was then; it has changed"
        raise EvaluationError(
            f"--output {folder} belongs to an evaluation with other {PARTS[part]} ({told}): "
            "name a new folder, or delete this one to start again"
        )


class Predictions:
    """A file of predictions, by row.

    A batch is appended in one piece. A last line that was cut short is dropped when the file is opened again.

    Args:
        path: The file; it need not exist.
        rows: How many rows there are.
    """

    def __init__(self, path: Path, rows: int) -> None:
        self.path = path
        self.by_row: dict[int, dict[str, Any]] = {}
        if path.exists():
            self._read(rows)

    def _read(self, rows: int) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self.path, whole)
        for number, line in enumerate(content[:whole].decode("utf-8", errors="replace").splitlines(), 1):
            try:
                entry = json.loads(line)
                index = entry["row"]
                sound = isinstance(index, int) and 0 <= index < rows and isinstance(entry["prediction"], str)
            except (json.JSONDecodeError, KeyError, TypeError):
                sound = False
            if not sound:
                raise EvaluationError(f"{self.path}, line {number} is no prediction: delete the file to start again")
            self.by_row[index] = entry

    def append(self, entries: Iterable[dict[str, Any]]) -> None:
        """Add the predictions of a batch."""
        entries = list(entries)
        text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        with self.path.open("ab") as stream:
            stream.write(text.encode("utf-8"))
        self.by_row.update((entry["row"], entry) for entry in entries)

    def finish(self) -> None:
        """Put the file into the order of the rows, one line for each."""
        lines = (json.dumps(self.by_row[index], ensure_ascii=False) + "\n" for index in sorted(self.by_row))
        write_whole(self.path, "".join(lines))
