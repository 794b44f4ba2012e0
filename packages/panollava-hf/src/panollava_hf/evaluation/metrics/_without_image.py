"""Exact match without the right image: the answer prior, and the probe that asks about another scene's image."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._questions import Pass, Prediction, Predictions, Question, Questions
from panollava_hf.evaluation._results import ALL, Column, MetricResult, percent
from panollava_hf.evaluation.metrics._choices import Choices, choices
from panollava_hf.evaluation.metrics._exact_match import ExactMatch, exact_match
from panollava_hf.panoshapes._scene import WORDS

#: Name of the probe's pass, and of its result in `results.json`.
SHUFFLED = "shuffled_images"


@dataclass(frozen=True)
class AnswerPrior(MetricResult):
    """Exact match of the best answers that need no image.

    Attributes:
        exact_match: Overall, in 0…1; None if it means nothing: without questions, or if fewer than half of them share
            their template with another one. A rule that is chosen on a single question answers it.
        families: For each family.
    """

    exact_match: float | None
    families: dict[str, float | None]

    def table_columns(self) -> list[Column]:
        """The answer prior of each family; no column if it means nothing everywhere."""
        shares = {ALL: self.exact_match, **self.families}
        if all(share is None for share in shares.values()):
            return []
        return [Column("answer prior", {name: percent(share) for name, share in shares.items()})]

    def section(self, name: str) -> list[str]:
        """None: what means nothing is not shown."""
        return []


@dataclass(frozen=True)
class ShuffledImages(ExactMatch):
    """Exact match of questions about another scene's image.

    Attributes:
        answer_prior: Overall answer prior, to which a model that uses the image falls.
        choices: Choice accuracy of the multiple-choice questions, which falls to `always_same`; None without any.
    """

    answer_prior: float | None
    choices: Choices | None = None

    def to_json(self) -> dict[str, Any]:
        """The figures; `choices` only if there are multiple-choice questions."""
        figures = super().to_json()
        return figures if self.choices is not None else {k: v for k, v in figures.items() if k != "choices"}

    def table_columns(self) -> list[Column]:
        """The exact match with another scene's image."""
        (_, column) = super().table_columns()
        return [replace(column, title="another's image")]

    def section(self, name: str) -> list[str]:
        """A table of the multiple-choice questions, if there are some."""
        if self.choices is None:
            return []
        _, *lines = self.choices.section(name)
        return ["## Multiple choice, another's image", *lines]


@dataclass
class _Answers:
    """Expected answers to the questions of one template."""

    count: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    copied: Counter[int] = field(default_factory=Counter)  #: position in the question that holds the answer

    def best(self) -> int:
        """Correct answers of the best constant answer, or of the best position to copy from."""
        return max([0, *self.answers.values(), *self.copied.values()])


class Template:
    """Replaces the names of things in a question, so that questions of the same form become equal.

    Args:
        words: Names of colours, shapes and directions.

    Example:
        >>> Template(["red", "cube", "left", "back left"]).split("Where is the red cube?")
        ('where is * *', ['red', 'cube'])
    """

    def __init__(self, words: Sequence[str]) -> None:
        longest_first = sorted(map(re.escape, words), key=len, reverse=True)
        self._word = re.compile(rf"\b({'|'.join(longest_first)})(?:e?s)?\b") if words else None

    def split(self, text: str) -> tuple[str, list[str]]:
        """The template of a question, and the words that it replaces."""
        plain = normalise(text)
        return (plain, []) if self._word is None else (self._word.sub("*", plain), self._word.findall(plain))


def answer_prior(questions: Questions, predictions: Sequence[Prediction], words: Sequence[str] = WORDS) -> AnswerPrior:
    """Exact match of the best answers that need no image, on the questions that have predictions.

    For each template of questions it is the better of two rules: always give the most frequent answer, or always copy
    the words at one position of the question ("Which is nearer, the red cube or the blue cone?" is answered half of the
    time by naming the first). Both are chosen on the questions themselves, so this is the best such a rule can reach.

    Args:
        questions: All questions.
        predictions: The predictions; captions and multiple-choice questions are left out.
        words: The words that templates replace, see `Template`.
    """
    template = Template(words)
    groups: dict[tuple[str, str], _Answers] = {}
    for question in (prediction.question for prediction in predictions):
        if question.is_caption or question.options:
            continue
        form, named = template.split(question.question)
        group = groups.setdefault((question.family, form), _Answers())
        answer = normalise(question.answer)
        group.count += 1
        group.answers[answer] += 1
        length = len(template.split(answer)[1])
        group.copied.update(
            i for i in range(len(named) - length + 1) if length and " ".join(named[i : i + length]) == answer
        )
    by_family: dict[str, list[_Answers]] = {}
    for (family, _), group in groups.items():
        by_family.setdefault(family, []).append(group)
    families = {family: _share(by_family[family]) for family in sorted(by_family)}
    return AnswerPrior(_share(list(groups.values())), families)


def _share(groups: Sequence[_Answers]) -> float | None:
    """Share of questions that the best rule of each template answers; None if it means nothing."""
    count = sum(group.count for group in groups)
    shared = sum(group.count for group in groups if group.count > 1)
    return sum(group.best() for group in groups) / count if groups and 2 * shared >= count else None


def shuffled(questions: Questions, seed: int) -> Pass:
    """Ask every question about another panorama than its own; the questions of one panorama stay together.

    Args:
        questions: The questions, about at least two panoramas.
        seed: Seed of the permutation of panoramas.
    """
    images = {question.key: question.image for question in questions}
    keys = list(images)
    order = np.random.default_rng(seed).permutation(len(keys))
    # Each panorama gets the next one in a circle, so none keeps its own.
    other = {keys[this]: keys[following] for this, following in zip(order, np.roll(order, -1), strict=True)}
    asked: list[Question] = [replace(q, key=other[q.key], image=images[other[q.key]]) for q in questions]
    return Pass(SHUFFLED, "predictions-shuffled.jsonl", tuple(asked), _shuffled_images)


def _shuffled_images(questions: Questions, predictions: Predictions) -> ShuffledImages:
    found = exact_match(questions, predictions.probes[SHUFFLED])
    prior = answer_prior(questions, predictions).exact_match
    choice = choices(questions, predictions.probes[SHUFFLED])
    return ShuffledImages(found.exact_match, found.count, found.families, prior, choice)
