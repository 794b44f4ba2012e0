"""The tables of a source, read as training and evaluation read them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from panollava_hf._errors import PanoLLaVaError, TableError
from panollava_hf._shown import shortened
from panollava_hf.checking._report import Level, Problems
from panollava_hf.data._arrow import hub_splits
from panollava_hf.data._csv import CsvTable
from panollava_hf.data._examples import READERS, Examples, find_table, read_examples
from panollava_hf.data._lines import encoding_of
from panollava_hf.data._tables import Fault, Table, check_csv
from panollava_hf.evaluation import read_questions
from panollava_hf.evaluation._choices import is_letter

#: Names of delimiters in messages.
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
#: Splits of which a folder with other tables has at least one.
USUAL = ("train", "validation", "val", "dev", "test")
#: Most broken rows of a CSV file of which the text is shown.
_SHOWN = 160


@dataclass(frozen=True)
class Found:
    """A table that was read.

    Attributes:
        name: The file, or the dataset with its split.
        split: The split; None for a single file.
        path: The file; None for a dataset on the Hub.
        examples: The rows that can be used.
        format: Kind of file, separator and encoding.
        multiple_choice: Number of multiple-choice questions.
    """

    name: str
    split: str | None
    path: Path | None
    examples: Examples
    format: str
    multiple_choice: int

    def where(self, index: int) -> str:
        """File and line, or dataset and row, of a row that can be used."""
        return placed(self.name, self.place(index))

    def place(self, index: int) -> str:
        """Line or row of a row that can be used."""
        return self.examples.rows.place(self.examples.row(index))


def placed(name: str, place: str) -> str:
    """A place in a file: "table.csv:4" or "table.parquet, row 3"."""
    return f"{name}:{place.removeprefix('line ')}" if place.startswith("line ") else f"{name}, {place}"


def splits_of(source: str, split: str | None) -> list[str | None]:
    """The splits to be checked: the given one, or all that a folder or dataset has; None stands for a single file.

    Raises:
        TableError: There is no such file, folder or dataset.
    """
    path = Path(source)
    if path.is_dir() and split is None:
        names = [file.stem for file in sorted(path.iterdir()) if file.suffix in READERS and file.is_file()]
        found = [name for name in dict.fromkeys(names) if not name.startswith(("scenes-", "."))]
        known = [name for name in USUAL if name in found]
        if not found:
            find_table(path, "train")  # says what is expected
        return [*known, *(name for name in found if name not in known)]
    if find_table(source, split or "train") is not None:
        return [split if path.is_dir() else None]
    if split is not None:
        return [split]
    return list(hub_splits(source))


def read_table(
    source: str, split: str | None, columns: Mapping[str, str], limit: int | None, problems: Problems, *, fix: bool
) -> tuple[Found | None, Table | None]:
    """Read a table, and add everything that training or evaluation would refuse to the problems.

    Args:
        source: File, folder or dataset.
        split: The split; None for a single file.
        columns: Names of columns by role.
        limit: Largest number of rows.
        problems: Problems are added here.
        fix: Whether broken rows that can be repaired are notes instead of errors.

    Returns:
        The table, None if no row can be used; and its rows as they would be repaired, for a CSV file with broken rows.

    Raises:
        TableError: The table cannot be read, or has other columns.
    """
    path = find_table(source, split or "train")
    name = f"{source} ({split})" if path is None else str(path)
    is_csv = path is not None and READERS.get(path.suffix.lower()) == "csv"
    repaired = None
    try:
        examples = read_examples(source, split or "train", columns, limit, skip_bad=True)
    except TableError as error:
        if path is None or not is_csv:
            raise
        repaired = check_csv(path, columns)
        if not repaired.faults and not repaired.unusable.count:
            raise TableError(str(error)) from error
        _add_faults(name, repaired, problems, fix=fix)
        return None, repaired
    assert path is None or path.exists()
    if path is not None and is_csv and (examples.unusable.count or fix):
        repaired = check_csv(path, columns)
    if repaired is not None and limit is None:
        _add_faults(name, repaired, problems, fix=fix)
    else:
        for place, reason in _reasons(examples.unusable.reasons):
            problems.add("error", "unusable row", placed(name, place), reason)
    for _ in range(examples.unusable.count - len(examples.unusable.reasons)):
        problems.counts["error", "unusable row"] += 1
    count = _check_choices(source, split, columns, limit, examples, name, problems)
    return Found(name, split, path, examples, _format(path, columns), count), repaired


def _reasons(reasons: list[str]) -> Iterator[tuple[str, str]]:
    for reason in reasons:
        place, _, text = reason.partition(": ")
        yield place, text


def _add_faults(name: str, table: Table, problems: Problems, *, fix: bool) -> None:
    """Add the broken rows of a CSV file, each with the row as it would be repaired."""
    for fault in table.faults:
        decided = fault.fields is not None or fault.is_header
        level: Level = "note" if fix and decided else "error"
        kind = "repeated header" if fault.is_header else "broken row"
        problems.add(level, kind, f"{name}:{fault.line}", f"{fault.reason}{_outcome(fault, fix=fix)}", _detail(fault))
    for place, reason in _reasons(table.unusable.reasons):
        problems.add("error", "unusable row", placed(name, place), reason)


def _outcome(fault: Fault, *, fix: bool) -> str:
    if fault.is_header:
        return " [left out]" if fix else " [--fix leaves it out]"
    if fault.fields is None:
        return " [cannot be decided]"
    return " [repaired]" if fix else " [--fix repairs it]"


def _detail(fault: Fault) -> str:
    texts = [fault.text] if fault.fields is None else fault.fields
    return " | ".join(shortened(text, _SHOWN) for text in texts)


def _check_choices(
    source: str,
    split: str | None,
    columns: Mapping[str, str],
    limit: int | None,
    examples: Examples,
    name: str,
    problems: Problems,
) -> int:
    """Add the multiple-choice questions, and the scenes, that evaluation would refuse; the number of such questions."""
    scenes = examples.folder is not None and (examples.folder / f"scenes-{split}.jsonl").is_file()
    answers = examples.cells(examples.columns["answer"])
    if not scenes and not examples.option_columns and not any(map(is_letter, answers)):
        return 0
    try:
        questions = read_questions(source, split=split or "train", columns=columns, limit=limit, skip_bad=True)
    except PanoLLaVaError as error:
        text = str(error).removeprefix(f"{examples.name}, ").removeprefix(f"{name}: ")
        problems.add("error", "refused by eval", name, f"eval: {text}")
        return 0
    for reason in questions.unusable.reasons[len(examples.unusable.reasons) :]:
        place, _, text = reason.removeprefix(f"{examples.name}, ").partition(": ")
        row = int(place.removeprefix("row "))
        problems.add("error", "unusable options", placed(name, examples.rows.place(row - 1)), f"eval: {text}")
    return sum(bool(question.options) for question in questions)


def _format(path: Path | None, columns: Mapping[str, str]) -> str:
    """Kind of file, separator and encoding."""
    if path is None:
        return "dataset on the Hub"
    kind = READERS[path.suffix.lower()]
    if kind == "parquet":
        return "Parquet"
    with path.open("rb") as stream:
        encoding = encoding_of(stream.read(4)).upper().removesuffix("-SIG").removesuffix("-LE").removesuffix("-BE")
    if kind == "json":
        return f"JSON, {encoding}"
    return f"CSV with {DELIMITERS.get(CsvTable(path, columns).delimiter, 'another separator')}, {encoding}"
