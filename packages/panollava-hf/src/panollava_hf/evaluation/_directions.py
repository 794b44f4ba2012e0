"""Which directions are taken for which: confusion counts, and their picture."""

import io
from collections.abc import Sequence
from typing import Any

from panollava_hf.evaluation._normalise import normalise
from panollava_hf.panoshapes import DIRECTIONS

#: Column of predictions that are no direction.
OTHER = "other"
WHERE = "where"


def confusion(answers: Sequence[str], predictions: Sequence[str]) -> dict[str, Any] | None:
    """Counts of expected and predicted directions, or None without any.

    Returns:
        `labels` (the directions, then others that are expected), `columns` (labels and "other"), and `counts`, one row
        for each label expected and one number for each column predicted.
    """
    if not answers:
        return None
    expected, predicted = [normalise(text) for text in answers], [normalise(text) for text in predictions]
    labels = [*DIRECTIONS, *sorted(set(expected) - set(DIRECTIONS))]
    place = {label: index for index, label in enumerate(labels)}
    counts = [[0] * (len(labels) + 1) for _ in labels]
    for answer, prediction in zip(expected, predicted, strict=True):
        counts[place[answer]][place.get(prediction, len(labels))] += 1
    return {"labels": labels, "columns": [*labels, OTHER], "counts": counts}


def draw(found: dict[str, Any], title: str) -> bytes:
    """A PNG of confusion counts: shares of a row as colour, counts as numbers."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no pyplot: it would look for a display
    from matplotlib.figure import Figure

    labels, columns, counts = found["labels"], found["columns"], found["counts"]
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
    axes.set_title(title, fontsize=10, wrap=True)
    figure.colorbar(image, ax=axes, label="% of the expected direction")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150, metadata={"Software": None})
    return stream.getvalue()
