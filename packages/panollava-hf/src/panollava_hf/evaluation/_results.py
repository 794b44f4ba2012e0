"""The results of an evaluation as records, and their two files: `results.json` and `results.md`."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from panollava_geometry.addresses import source_name
from panollava_geometry.cli import printable

from panollava_hf._files import write_whole
from panollava_hf.data._row_checks import Unusable
from panollava_hf.outside._json_file import json_text

#: How to install the libraries that some metrics need.
EXTRA = "pip install 'panollava-hf[eval]'"
#: Settings that a PanoLLaVA checkpoint does not have.
ASKING = ("strategy", "view_size", "labels", "system", "base_url")
#: Metrics that version 0.1 did not have: they come after its own, and are left out where the data has nothing for them.
LATER_METRICS = ("choices", "free_answers", "unknown")
#: The row of a table that covers all families.
ALL = "**all**"


@dataclass(frozen=True)
class Options:
    """How to evaluate.

    Attributes:
        batch_size: Number of questions answered together; None is 64 for PanoLLaVA checkpoints, and twice as many as an
            endpoint or another model answers at a time.
        max_new_tokens: Maximum length of an answer, in tokens.
        skip_bad: Whether unreadable panoramas are left out and counted; otherwise they are an error.
        seed: Seed of the shuffled images and random yaws.
        shuffle_images: Whether all questions are also asked about another scene's image.
        rotate: Yaw in degrees, or "random": all questions are also asked about panoramas rotated by it.
        private_redirects: Whether URLs of images can redirect from a public address to a private one.
    """

    batch_size: int | None = None
    max_new_tokens: int = 64
    skip_bad: bool = False
    seed: int = 0
    shuffle_images: bool = False
    rotate: str | None = None
    private_redirects: bool = False


@dataclass(frozen=True)
class Settings(Options):
    """Options, and how the model ran.

    Attributes:
        dtype: Floating-point type of the model.
        device: Device of the model.
        strategy: How a panorama is shown; this and the following are None for a PanoLLaVA checkpoint.
        view_size: Height and width of a view in pixels.
        labels: Where the direction of a view is written.
        system: The system prompt.
        base_url: Address of the endpoint, without what may be secret in it.
    """

    dtype: str = "float32"
    device: str = "cpu"
    strategy: str | None = None
    view_size: int | None = None
    labels: str | None = None
    system: str | None = None
    base_url: str | None = None


@dataclass(frozen=True)
class ModelInfo:
    """The evaluated model.

    Attributes:
        name: Folder or Hub id.
        fingerprint: Digest of its files, or its commit on the Hub.
        trained: Whether its connector has been trained.
    """

    name: str
    fingerprint: str
    trained: bool


@dataclass(frozen=True)
class DataInfo:
    """The questions of the evaluation.

    Attributes:
        source: Folder, file or dataset id.
        split: Its split; None for a single file.
        fingerprint: Digest of the questions.
        rows: Number of questions.
        images: Number of panoramas.
    """

    source: str
    split: str | None
    fingerprint: str
    rows: int
    images: int


@dataclass(frozen=True)
class Column:
    """A column of the first table in `results.md`.

    Attributes:
        title: Its title.
        cells: The text of each row: by family, and `ALL`.
    """

    title: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class MetricResult:
    """Base class for the result of a metric: a frozen dataclass whose fields are its figures.

    By default all fields are written to `results.json`, and the numbers among them to a table in `results.md`. Override
    a method for another layout.
    """

    def to_json(self) -> dict[str, Any]:
        """The figures for `results.json`."""
        return asdict(self)

    def table_columns(self) -> list[Column]:
        """Columns for the first table of `results.md`, which has a row for each family."""
        return []

    def section(self, name: str) -> list[str]:
        """Lines of the metric's own section in `results.md`; none if it has columns.

        Args:
            name: The name under which the metric is registered.
        """
        if self.table_columns():
            return []
        numbers = {key: value for key, value in self.to_json().items() if isinstance(value, (int, float))}
        rows = [[key, str(value) if isinstance(value, int) else f"{value:.3f}"] for key, value in numbers.items()]
        return [f"## {name.replace('_', ' ').capitalize()}", "", *table(["figure", "value"], rows)]

    def files(self, subject: str) -> dict[str, bytes]:
        """Further files for the folder of results, by name.

        Args:
            subject: Model and data, for a title.
        """
        return {}

    def notes(self) -> list[str]:
        """What could not be computed or drawn because a library is missing, one line each."""
        return []


@dataclass(frozen=True)
class Results:
    """All results of an evaluation: what `results.json` and `results.md` show.

    Attributes:
        metrics: The result of each metric, by name; None where the data has nothing for it.
        unreadable: Panoramas that could not be read, with the reason.
        left_out: Number of questions about these panoramas.
        model: The model.
        data: The questions.
        settings: Options, and how the model ran.
        versions: Versions of the packages; None for one that is not installed.
        answered_before: Number of predictions that an earlier run had written.
        seconds: Duration of this run.
        unusable: Rows of the table that were left out because they cannot be used.
        errors: For each pass in which the model failed to answer questions, the reasons and how often each came.
    """

    metrics: Mapping[str, MetricResult | None]
    unreadable: Mapping[str, str]
    left_out: int
    model: ModelInfo
    data: DataInfo
    settings: Settings
    versions: Mapping[str, str | None]
    answered_before: int
    seconds: float
    unusable: Unusable = field(default_factory=Unusable)
    errors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        """Deprecated: `evaluate` used to return a dictionary."""
        message = f"results[{key!r}] is deprecated; use results.to_json()[{key!r}] or the attributes of Results"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.to_json()[key]

    def to_json(self) -> dict[str, Any]:
        """The content of `results.json`. Exact match is at the top level, every other metric under its name."""
        figures = {
            name: None if result is None else result.to_json()
            for name, result in sorted(self.metrics.items(), key=lambda pair: pair[0] in LATER_METRICS)
            if result is not None or name not in LATER_METRICS
        }
        skipped: dict[str, Any] = {"rows": self.left_out + self.unusable.count, "images": dict(self.unreadable)}
        if self.unusable.count:
            skipped["unusable_rows"] = self.unusable.reasons
        settings = asdict(self.settings)
        if not self.settings.private_redirects:  # the layout of version 0.1
            del settings["private_redirects"]
        for name in ASKING:
            if settings[name] is None:
                del settings[name]
        errors = {name: {"count": sum(found.values()), "reasons": dict(found)} for name, found in self.errors.items()}
        return {
            **(figures.pop("exact_match", None) or {}),
            **figures,
            "skipped": skipped,
            **({"errors": errors} if errors else {}),
            "model": asdict(self.model),
            "data": asdict(self.data),
            "settings": settings,
            "versions": dict(self.versions),
            "answered_before": self.answered_before,
            "seconds": self.seconds,
        }

    def markdown(self) -> str:
        """The content of `results.md`."""
        split = f" ({self.data.split})" if self.data.split else ""
        summary = (
            f"{_count(self.data.rows, 'question')} about {_count(self.data.images, 'panorama')}; exact match in %, "
            "after normalisation."
        )
        if self.left_out:
            left_out = (
                f"{_count(self.left_out, 'question')} about {_count(len(self.unreadable), 'unreadable panorama')}"
            )
            summary += f" {left_out} {'was' if self.left_out == 1 else 'were'} left out."
        if self.unusable.count:
            summary += f" {self.unusable.count} rows of the table cannot be used and were left out."
        for name, found in self.errors.items():
            summary += f" {_not_answered(name, found).capitalize()}; the figures cover the others."
        results = {name: result for name, result in self.metrics.items() if result is not None}
        columns = [column for result in results.values() for column in result.table_columns()]
        names = dict.fromkeys(name for column in columns for name in column.cells)  # a set in order
        rows = [[name, *(column.cells.get(name, percent(None)) for column in columns)] for name in names]
        title = f"# {self.model.name} on {source_name(self.data.source)}{split}"
        lines = [" ".join(title.split()), "", summary]
        if any(cell not in ("0", percent(None)) for row in rows for cell in row[1:]):
            lines += ["", *table(["family", *(column.title for column in columns)], rows)]
        for name, result in results.items():
            section = result.section(name)
            lines += ["", *section] if section else []
        return printable("\n".join(lines) + "\n")

    def notes(self) -> list[str]:
        """Questions without an answer, and what could not be computed or drawn because a library is missing."""
        failed = [
            f"{_not_answered(name, found)}: {next(iter(found))}; run the same command again to ask them again"
            for name, found in self.errors.items()
        ]
        return failed + [note for result in self.metrics.values() if result is not None for note in result.notes()]

    def write(self, folder: Path) -> None:
        """Write the files of the metrics, then `results.md`, then `results.json`."""
        subject = f"model: {Path(self.model.name).name}, data: {Path(self.data.source).name}"
        for result in self.metrics.values():
            for name, content in ({} if result is None else result.files(subject)).items():
                write_whole(folder / name, content)
        write_whole(folder / "results.md", self.markdown())
        write_whole(folder / "results.json", json_text(self.to_json(), indent=2))


def _not_answered(name: str, reasons: Mapping[str, int]) -> str:
    count = sum(reasons.values())
    where = "" if name == "questions" else f" ({name.replace('_', ' ')})"
    return f"the model failed to answer {_count(count, 'question')}{where}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; all columns but the first are aligned to the right."""
    aligned = "|".join(["---", *["---:"] * (len(header) - 1)])
    return [f"| {' | '.join(header)} |", f"|{aligned}|", *(f"| {' | '.join(map(_cell, row))} |" for row in rows)]


def _cell(text: str) -> str:
    """A text in one line, without bars that would begin another cell."""
    return " ".join(text.split()).replace("|", "\\|")


def percent(share: float | None) -> str:
    """A share in per cent, or a dash."""
    return "–" if share is None else f"{100 * share:.1f}"
