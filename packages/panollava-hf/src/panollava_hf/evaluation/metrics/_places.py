"""Exact match by where the object asked about is: at the back seam of the image, near a pole, or elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from panollava_hf.evaluation._questions import Prediction, Questions
from panollava_hf.evaluation._results import MetricResult, percent, table
from panollava_hf.evaluation.metrics._exact_match import ExactMatch, Share, exact_match
from panollava_hf.panoshapes import Place
from panollava_hf.panoshapes import Question as ShapesQuestion


@dataclass(frozen=True)
class Places(MetricResult):
    """Exact match by place.

    Attributes:
        places: For each place, the exact match overall and by family.
        elsewhere_alike: For the back seam and the poles: the exact match elsewhere on the same mixture of families, so
            that difficult families do not look like difficult places.
    """

    places: dict[str, ExactMatch]
    elsewhere_alike: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """The figures of each place under its name."""
        found = {place: scores.to_json() for place, scores in self.places.items()}
        for place, share in self.elsewhere_alike.items():
            found[place]["elsewhere_alike"] = share
        return found

    def section(self, name: str) -> list[str]:
        """A table with one row per place."""
        rows = [
            [place, str(found.count), percent(found.exact_match), percent(self.elsewhere_alike.get(place))]
            for place, found in self.places.items()
        ]
        header = ["place", "questions", "exact match", "elsewhere, same families"]
        return ["## Where the object asked about is", "", *table(header, rows)]


def places(questions: Questions, predictions: Sequence[Prediction]) -> Places | None:
    """Exact match by place; None if the data has no scenes."""
    if questions.scenes is None:
        return None
    groups: dict[Place, list[Prediction]] = {place: [] for place in Place}
    for prediction in predictions:
        question = prediction.question
        if question.is_caption or question.options or question.scene is None or question.program is None:
            continue
        asked = ShapesQuestion(question.family, dict(question.program), question.question, question.answer)
        place = Place.of(asked, question.scene)
        if place is not None:
            groups[place].append(prediction)
    scores = {place.value: exact_match(questions, group) for place, group in groups.items()}
    elsewhere = scores.pop(Place.ELSEWHERE.value)
    alike = {place: mixture(found.families, elsewhere.families) for place, found in scores.items()}
    return Places({**scores, Place.ELSEWHERE.value: elsewhere}, alike)


def mixture(families: Mapping[str, Share], elsewhere: Mapping[str, Share]) -> float | None:
    """Exact match elsewhere, with as many questions of each family as here; None without a common family."""
    shares = {name: found.exact_match for name, found in elsewhere.items() if found.exact_match is not None}
    common = [(found.count, shares[name]) for name, found in families.items() if name in shares]
    total = sum(count for count, _ in common)
    return sum(count * share for count, share in common) / total if total else None
