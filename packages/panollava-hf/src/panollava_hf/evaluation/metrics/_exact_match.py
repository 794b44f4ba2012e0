"""Exact match: the share of answers that equal the expected ones after normalisation, overall and by family."""

from collections.abc import Sequence
from dataclasses import dataclass

from panollava_hf.evaluation._questions import Prediction, Questions
from panollava_hf.evaluation._results import ALL, Column, MetricResult, percent


@dataclass(frozen=True)
class Share:
    """Exact match of some questions.

    Attributes:
        exact_match: Share of correct answers, in 0…1; None without questions.
        count: Number of questions.
    """

    exact_match: float | None
    count: int


@dataclass(frozen=True)
class ExactMatch(MetricResult):
    """Exact match overall and by family.

    Attributes:
        exact_match: Share of correct answers, in 0…1; None without questions.
        count: Number of questions.
        families: The same for each family.
    """

    exact_match: float | None
    count: int
    families: dict[str, Share]

    def table_columns(self) -> list[Column]:
        """The number of questions and the exact match."""
        rows = {ALL: Share(self.exact_match, self.count), **self.families}
        return [
            Column("questions", {name: str(share.count) for name, share in rows.items()}),
            Column("exact match", {name: percent(share.exact_match) for name, share in rows.items()}),
        ]


def exact_match(questions: Questions, predictions: Sequence[Prediction]) -> ExactMatch:
    """Exact match of all predictions except captions and multiple-choice questions."""
    families: dict[str, list[bool]] = {}
    for prediction in predictions:
        if prediction.correct is not None and not prediction.question.options:
            families.setdefault(prediction.question.family, []).append(prediction.correct)
    overall = _share([correct for outcomes in families.values() for correct in outcomes])
    by_family = {name: _share(families[name]) for name in sorted(families)}
    return ExactMatch(overall.exact_match, overall.count, by_family)


def _share(outcomes: Sequence[bool]) -> Share:
    return Share(sum(outcomes) / len(outcomes) if outcomes else None, len(outcomes))
