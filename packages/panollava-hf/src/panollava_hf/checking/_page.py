"""A report as one HTML page, which asks nothing of the network."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from panollava_hf._errors import TableError, reason
from panollava_hf._files import write_whole
from panollava_hf.checking._lines import PRINTED, panoramas_text, summary, texts_text
from panollava_hf.checking._report import Numbers, Problem, Report, TableReport

TEMPLATE = "page.html.jinja"
#: Width and height of a histogram, and of the space for its labels, in units of its drawing.
_WIDTH, _HEIGHT, _FOOT, _HEAD = 420, 150, 38, 20
#: Largest width of a bar.
_WIDEST = 60


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram.

    Attributes:
        x: Left edge.
        y: Upper edge.
        width: Width.
        height: Height.
        label: What it counts, for a reader who points at it.
    """

    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True)
class Histogram:
    """A histogram as shapes.

    Attributes:
        title: What is counted.
        unit: Unit of the values.
        bars: Its bars.
        ticks: Values below the axis with their places.
        most: Number of values in the highest bar.
        middle: Place and value of the median.
    """

    title: str
    unit: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str, str], ...]
    most: int
    middle: tuple[float, str]


def histogram(title: str, unit: str, found: Numbers) -> Histogram:
    """A histogram of a distribution."""
    most = max(count for _, _, count in found.bins)
    step = _WIDTH / len(found.bins)
    bars, place = [], 0.0
    for index, (low, high, count) in enumerate(found.bins):
        height = (_HEIGHT - _HEAD - _FOOT) * count / most
        span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        width = min(max(step - 2, 1.0), _WIDEST)
        left = index * step + (step - width) / 2
        bars.append(Bar(left, _HEIGHT - _FOOT - height, width, height, f"{span} {unit}: {count:,}"))
        if low <= found.median:
            share = min(1.0, (found.median - low + 0.5) / (high - low + 1))
            place = (index + share) * step
    last = found.bins[-1]
    ticks = ((0.0, "start", f"{found.least:,}"), (float(_WIDTH), "end", f"{last[1]:,}"))
    return Histogram(title, unit, tuple(bars), ticks, most, (place, f"{found.median:,.4g}"))


def histograms(table: TableReport) -> list[Histogram]:
    """The histograms of a table."""
    unit = table.questions.unit
    wanted = (
        ("Width of panoramas", "pixels", table.panoramas.widths),
        ("Questions per panorama", "", table.panoramas.questions),
        ("Length of questions", unit, table.questions.lengths),
        ("Length of answers", unit, table.answers.lengths),
    )
    return [histogram(title, name, found) for title, name, found in wanted if found is not None]


def page(report: Report) -> str:
    """The page of a report. Everything from the table is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("panollava_hf.checking").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    problems = {level: _grouped([one for one in report.problems if one.level == level]) for level in ("error", "note")}
    return template.render(
        report=report,
        summary=summary(report),
        problems=problems,
        histograms=[histograms(table) for table in report.tables],
        size=(_WIDTH, _HEIGHT, _FOOT),
        data_url=lambda data: "data:image/jpeg;base64," + base64.b64encode(data).decode(),
        printed=PRINTED,
        short=lambda where: where.removeprefix(f"{str(report.source).rstrip('/')}/"),
        panoramas_text=panoramas_text,
        texts_text=texts_text,
    )


def write_page(report: Report, path: Path) -> None:
    """Write the page of a report; the file appears whole or not at all.

    Raises:
        TableError: The file cannot be written.
    """
    try:
        write_whole(path, page(report).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise TableError(f"--report {path} cannot be written: {reason(error)}") from error


def _grouped(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    found: dict[str, list[Problem]] = {}
    for problem in problems:
        found.setdefault(problem.kind, []).append(problem)
    return found
