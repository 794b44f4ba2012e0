"""Token F1, ROUGE-L and the share of answers that contain the expected one: softer than exact match."""

from collections.abc import Sequence
from dataclasses import dataclass

from panollava_hf._text_scores import contains, rouge_l, token_f1
from panollava_hf.evaluation._questions import Prediction, Questions
from panollava_hf.evaluation._results import ALL, Column, MetricResult, percent


@dataclass(frozen=True)
class Scores:
    """Scores of some free answers, each the mean over the questions, in 0…1.

    Attributes:
        token_f1: F1 of the tokens shared with the best reference.
        rouge_l: ROUGE-L F1 against the best reference.
        contains: Share of answers in which the tokens of a reference stand one after another.
        count: Number of questions.
    """

    token_f1: float
    rouge_l: float
    contains: float
    count: int


@dataclass(frozen=True)
class FreeAnswers(MetricResult):
    """Scores of free answers overall and by family, see `Scores`."""

    token_f1: float
    rouge_l: float
    contains: float
    count: int
    families: dict[str, Scores]

    def table_columns(self) -> list[Column]:
        """Token F1, ROUGE-L and contains."""
        rows: dict[str, Scores | FreeAnswers] = {ALL: self, **self.families}
        titles = {"token_f1": "token F1", "rouge_l": "ROUGE-L", "contains": "contains"}
        return [
            Column(title, {row: percent(getattr(scores, name)) for row, scores in rows.items()})
            for name, title in titles.items()
        ]


def free_answers(questions: Questions, predictions: Sequence[Prediction]) -> FreeAnswers | None:
    """Scores of all predictions except captions and multiple-choice questions; None if there are no others."""
    families: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        if prediction.correct is not None and not prediction.question.options:
            families.setdefault(prediction.question.family, []).append(prediction)
    if not families:
        return None
    by_family = {name: _scores(families[name]) for name in sorted(families)}
    count = sum(scores.count for scores in by_family.values())

    def overall(name: str) -> float:
        return float(sum(getattr(scores, name) * scores.count for scores in by_family.values()) / count)

    return FreeAnswers(overall("token_f1"), overall("rouge_l"), overall("contains"), count, by_family)


def _scores(group: Sequence[Prediction]) -> Scores:
    count = len(group)
    pairs = [(prediction.text, prediction.question.references) for prediction in group]
    return Scores(
        token_f1=sum(token_f1(*pair) for pair in pairs) / count,
        rouge_l=sum(rouge_l(*pair) for pair in pairs) / count,
        contains=sum(contains(*pair) for pair in pairs) / count,
        count=count,
    )
