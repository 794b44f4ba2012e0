"""Which direction is predicted for which expected one: counts, and a figure of them."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from panollava_geometry.cli import printable

from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._questions import Prediction, Questions
from panollava_hf.evaluation._results import EXTRA, MetricResult
from panollava_hf.panoshapes import DIRECTIONS

#: Column of predictions that are not a direction.
OTHER = "other"
#: The family of questions whose answers are directions.
WHERE = "where"
#: Most expected answers, other than directions, that have a row; questions with rarer ones are not counted.
MAX_LABELS = 20


@dataclass(frozen=True)
class Directions(MetricResult):
    """Counts of expected and predicted directions.

    Attributes:
        labels: The directions, then the most frequent other expected answers.
        columns: The labels, and "other" for all other predictions.
        counts: One row for each expected label, with one number for each column.
    """

    labels: list[str]
    columns: list[str]
    counts: list[list[int]]

    def section(self, name: str) -> list[str]:
        """No section: the figure shows the counts."""
        return []

    def files(self, subject: str) -> dict[str, bytes]:
        """The figure, if matplotlib is installed."""
        return {"directions.png": draw(self, f"Directions: {subject}")} if can_draw() else {}

    def notes(self) -> list[str]:
        """Whether the figure could not be drawn."""
        return [] if can_draw() else [f"directions.png is not drawn: it needs matplotlib: {EXTRA}"]


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def directions(questions: Questions, predictions: Sequence[Prediction]) -> Directions | None:
    """Counts of expected and predicted directions over the family `where`; None if there are no such questions."""
    where = [one for one in predictions if one.question.family == WHERE and not one.question.options]
    if not where:
        return None
    pairs = [(normalise(prediction.question.answer), normalise(prediction.text)) for prediction in where]
    others = Counter(sorted(expected for expected, _ in pairs if expected not in DIRECTIONS))
    labels = [*DIRECTIONS, *sorted(label for label, _ in others.most_common(MAX_LABELS))]
    place = {label: index for index, label in enumerate(labels)}
    counts = [[0] * (len(labels) + 1) for _ in labels]
    for expected, predicted in (pair for pair in pairs if pair[0] in place):
        counts[place[expected]][place.get(predicted, len(labels))] += 1
    return Directions(labels, [*labels, OTHER], counts)


def _drawable(text: str, length: int = 30) -> str:
    """A text for matplotlib: short, in one line, without the dollar signs that begin a formula."""
    line = " ".join(printable(text).split())
    return (line if len(line) <= length else line[: length - 1] + "…").replace("$", r"\$")


def draw(found: Directions, title: str) -> bytes:
    """A PNG of the counts: colour is the share of a row, numbers are counts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # pyplot would look for a display
    from matplotlib.figure import Figure

    labels, columns, counts = [*map(_drawable, found.labels)], [*map(_drawable, found.columns)], found.counts
    totals = [max(sum(row), 1) for row in counts]
    shares = [[100.0 * n / total for n in row] for row, total in zip(counts, totals, strict=True)]
    figure = Figure(figsize=(1.8 + 0.62 * len(columns), 1.6 + 0.55 * len(labels)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    names = [f"{label} ({sum(row)})" for label, row in zip(labels, counts, strict=True)]
    axes.set_yticks(range(len(labels)), names)
    axes.axvline(len(labels) - 0.5, color="black", linewidth=0.8)
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                colour = "white" if shares[y][x] > 55 else "black"
                axes.text(x, y, str(count), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xlabel("predicted")
    axes.set_ylabel("expected (questions)")
    axes.set_title(_drawable(title, 200), fontsize=10, wrap=True)
    figure.colorbar(image, ax=axes, label="% of the expected direction")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150, metadata={"Software": None})
    return stream.getvalue()
