"""What a check found: figures of each table, and problems with their lines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from panollava_hf._shown import shortened

#: Most problems of one kind that are kept; the others are counted.
KEPT = 1000

Level = Literal["error", "note"]


@dataclass(frozen=True)
class Problem:
    """Something in a table.

    Attributes:
        level: `error` if training or evaluation would refuse the table or end; `note` for what may be intended.
        kind: What it is, in two or three words.
        where: File and line, or file and row.
        text: The problem in one line.
        detail: The row as written, or as it is repaired; may be empty.
    """

    level: Level
    kind: str
    where: str
    text: str
    detail: str = ""


class Problems:
    """Collects problems; of each kind the first `KEPT` are kept and all are counted."""

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.counts: Counter[tuple[Level, str]] = Counter()

    def add(self, level: Level, kind: str, where: str, text: str, detail: str = "") -> None:
        """Add a problem."""
        self.counts[level, kind] += 1
        if self.counts[level, kind] <= KEPT:
            self.kept.append(Problem(level, kind, where, shortened(text, 400), detail))

    def count(self, level: Level) -> int:
        """The number of problems of a level."""
        return sum(count for (found, _), count in self.counts.items() if found == level)


@dataclass(frozen=True)
class Numbers:
    """The distribution of a figure of each row or panorama.

    Attributes:
        least: Smallest value.
        median: Median.
        mean: Mean.
        most: Largest value.
        bins: Histogram: lower and upper bound (inclusive) and number of values.
    """

    least: int
    median: float
    mean: float
    most: int
    bins: tuple[tuple[int, int, int], ...]

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.least:,}"
        return f"{self.least:,} to {self.most:,}, median {self.median:,.4g}"


def numbers(values: "np.ndarray | Sequence[int]", most_bins: int = 24) -> Numbers | None:
    """The distribution of whole numbers, in bins of equal width; the last one holds the longest tail.

    Example:
        >>> numbers([1, 2, 2, 5]).bins
        ((1, 1, 1), (2, 2, 2), (3, 3, 0), (4, 4, 0), (5, 5, 1))
    """
    found = np.asarray(values, dtype=np.int64)
    if not len(found):
        return None
    least, most = int(found.min()), int(found.max())
    # A few outliers would leave all others in the first bin.
    usual = int(np.quantile(found, 0.99)) if most > 4 * np.quantile(found, 0.99) else most
    width = max(1, -(-(usual - least + 1) // most_bins))
    count = (usual - least) // width + 1
    places = np.minimum((found - least) // width, count - 1)
    totals = np.bincount(places, minlength=count)
    ends = [least + (index + 1) * width - 1 for index in range(count)]
    ends[-1] = most
    bins = tuple((least + index * width, ends[index], int(total)) for index, total in enumerate(totals))
    return Numbers(least, float(np.median(found)), float(found.mean()), most, bins)


@dataclass(frozen=True)
class Panoramas:
    """The panoramas of a table.

    Attributes:
        count: Number of different panoramas.
        files: Of these, paths.
        urls: Of these, URLs.
        embedded: Of these, images in the table itself.
        missing: Of these, names without an image.
        widths: Widths in pixels of those whose header was read.
        questions: Number of questions about each panorama.
    """

    count: int
    files: int
    urls: int
    embedded: int
    missing: int
    widths: Numbers | None
    questions: Numbers | None


@dataclass(frozen=True)
class Texts:
    """The questions or the answers of a table.

    Attributes:
        different: Number of different texts.
        lengths: Their lengths.
        unit: What lengths count: `tokens` or `words`.
        kinds: How many are numbers, yes or no, or other texts.
        common: The most frequent texts, with their numbers.
    """

    different: int
    lengths: Numbers | None
    unit: str
    kinds: Mapping[str, int]
    common: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Sample:
    """A panorama with some of its questions.

    Attributes:
        name: The panorama.
        image: A JPEG thumbnail; None if it was not read.
        turns: Questions with their answers.
    """

    name: str
    image: bytes | None
    turns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TableReport:
    """What was found about one table.

    Attributes:
        name: The file, or the dataset with its split.
        split: The split; None for a single file.
        format: Kind of file, separator and encoding.
        rows: Number of rows that can be used.
        unusable: Number of the others.
        columns: The columns of image, question and answer, and of the optional ones, by what they hold.
        others: The other columns.
        multiple_choice: Number of multiple-choice questions.
        panoramas: Its panoramas.
        questions: Its questions.
        answers: Its answers.
        samples: Some panoramas with questions.
    """

    name: str
    split: str | None
    format: str
    rows: int
    unusable: int
    columns: Mapping[str, str]
    others: tuple[str, ...]
    multiple_choice: int
    panoramas: Panoramas
    questions: Texts
    answers: Texts
    samples: tuple[Sample, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Report:
    """Everything that a check found.

    Attributes:
        source: What was checked.
        tables: Its tables.
        problems: The problems, at most 1,000 of each kind.
        counts: The number of problems by level and kind.
    """

    source: str
    tables: tuple[TableReport, ...]
    problems: tuple[Problem, ...]
    counts: Mapping[tuple[Level, str], int]

    def count(self, level: Level) -> int:
        """The number of errors, or of notes."""
        return sum(count for (found, _), count in self.counts.items() if found == level)

    def to_json(self) -> dict[str, Any]:
        """The report without samples, for `--json`."""
        tables = []
        for table in self.tables:
            content = asdict(table)
            del content["samples"]
            tables.append(content)
        return {
            "source": self.source,
            "errors": self.count("error"),
            "notes": self.count("note"),
            "counts": [{"level": level, "kind": kind, "count": n} for (level, kind), n in self.counts.items()],
            "problems": [asdict(problem) for problem in self.problems],
            "tables": tables,
        }
