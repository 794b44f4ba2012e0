"""Questions that the model reported as unknown: a word, or this kind of image, that it was never trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

from panollava_hf.evaluation._questions import Prediction, Questions
from panollava_hf.evaluation._results import ALL, Column, MetricResult, percent


@dataclass(frozen=True)
class Unknown(MetricResult):
    """Questions that were reported as unknown. They count as wrong in the other figures.

    Attributes:
        share: Share of all questions, in 0…1.
        families: The same for each family.
    """

    share: float
    families: dict[str, float]

    def table_columns(self) -> list[Column]:
        """The share."""
        rows = {ALL: self.share, **self.families}
        return [Column("reported as unknown", {name: percent(share) for name, share in rows.items()})]


def unknown(questions: Questions, predictions: Sequence[Prediction]) -> Unknown | None:
    """The share of questions that were reported as unknown; None if none was."""
    families: dict[str, list[bool]] = {}
    for prediction in predictions:
        families.setdefault(prediction.question.family, []).append(bool(prediction.unknown))
    reported = [one for found in families.values() for one in found]
    if not any(reported):
        return None
    return Unknown(
        sum(reported) / len(reported), {name: sum(families[name]) / len(families[name]) for name in sorted(families)}
    )
