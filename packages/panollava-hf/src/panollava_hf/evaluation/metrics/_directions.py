"""Which direction is predicted for which expected one: counts, and a figure of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._questions import Prediction, Questions
from panollava_hf.evaluation._results import MetricResult
from panollava_hf.evaluation.metrics._directions_figure import draw_directions
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
        """The figure."""
        return {"directions.png": draw_directions(self.labels, self.counts, subject)}


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
