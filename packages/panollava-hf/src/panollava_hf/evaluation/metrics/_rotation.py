"""The rotation probe: the same questions about rotated panoramas, and how consistently the answers follow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from panollava_hf._errors import EvaluationError
from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._questions import Pass, Predictions, Question, Questions
from panollava_hf.evaluation._results import ALL, MetricResult, percent, table
from panollava_hf.panoshapes import DIRECTIONS, rotate_question
from panollava_hf.panoshapes import Question as ShapesQuestion

#: Name of the probe's pass, and of its result in `results.json`.
ROTATED = "rotated"
#: The eight horizontal directions, clockwise.
SECTORS = DIRECTIONS[:8]
#: Random yaws are multiples of this: a panorama whose width is a multiple of 256 is then rotated by whole pixels.
YAW_STEP_DEG = 360.0 / 256.0


@dataclass(frozen=True)
class Consistency(MetricResult):
    """How well the answers to some questions follow a rotation.

    Attributes:
        exact_match: Share of answers that are correct after the rotation; None without questions.
        consistency: Share of answers that change, or stay, as they should given the answer before the rotation.
        count: Number of questions.
    """

    exact_match: float | None
    consistency: float | None
    count: int


@dataclass(frozen=True)
class Rotated(MetricResult):
    """How well answers follow a rotation.

    Attributes:
        yaw_deg: The rotation: a yaw in degrees, or "random".
        exact_match: Share of answers that are correct after the rotation; None without questions.
        consistency: Share of answers that change, or stay, as they should given the answer before the rotation.
        count: Number of questions.
        families: The same for each family.
        changing: The same for the questions whose expected answer the rotation changes.
        unanswerable: Number of questions that are ambiguous after the rotation and were left out.
    """

    yaw_deg: str
    exact_match: float | None
    consistency: float | None
    count: int
    families: dict[str, Consistency]
    changing: Consistency
    unanswerable: int

    def section(self, name: str) -> list[str]:
        """A table with one row per family, and one for the answers that change."""
        overall = Consistency(self.exact_match, self.consistency, self.count)
        rows = [
            [row, str(found.count), percent(found.exact_match), percent(found.consistency)]
            for row, found in {ALL: overall, "answers that change": self.changing, **self.families}.items()
        ]
        return ["## Rotated panoramas", "", *table(["family", "questions", "exact match", "consistent"], rows)]


def rotated(questions: Questions, rotate: str, seed: int) -> Pass:
    """Ask about rotated panoramas, with the answers that are correct after the rotation.

    Captions and multiple-choice questions are left out, and so are questions without a scene and questions that become
    ambiguous.

    Args:
        questions: The questions.
        rotate: Yaw in degrees by which panoramas are rotated to the right; "random" takes another one for each.
        seed: Seed of the random yaws.

    Raises:
        EvaluationError: No question can be asked after the rotation.
    """
    generator = np.random.default_rng(seed)
    yaws: dict[str, float] = {}
    asked: list[Question] = []
    unanswerable = 0
    for question in questions:
        if question.key not in yaws:
            steps = int(generator.integers(1, 256))
            yaws[question.key] = steps * YAW_STEP_DEG if rotate == "random" else float(rotate)
        if question.is_caption or question.options or question.scene is None or question.program is None:
            continue
        before = ShapesQuestion(question.family, dict(question.program), question.question, question.answer)
        after = rotate_question(before, question.scene, yaws[question.key])
        if after is None:
            unanswerable += 1
        else:
            yaw_deg = yaws[question.key]
            turned = replace(question, question=after.question, answer=after.answer, other_answers=())
            asked.append(replace(turned, yaw_deg=yaw_deg))
    if not asked:
        raise EvaluationError("--rotate: no question has a scene and a program and stays answerable after the rotation")
    metric = partial(consistency, yaw_deg=rotate, unanswerable=unanswerable)
    return Pass(ROTATED, f"predictions-rotated-{rotate}.jsonl", tuple(asked), metric)


def consistency(questions: Questions, predictions: Predictions, *, yaw_deg: str, unanswerable: int) -> Rotated:
    """Compare the predictions about rotated panoramas with those about the panoramas as they are.

    Args:
        questions: All questions.
        predictions: The predictions of both passes.
        yaw_deg: The rotation, for the result.
        unanswerable: Number of questions that were left out, for the result.
    """
    before = {prediction.question.index: prediction for prediction in predictions}
    outcomes: dict[str, list[tuple[bool, bool, bool]]] = {}
    for after in predictions.probes[ROTATED]:
        if after.question.index not in before:
            continue
        first = before[after.question.index]
        wanted = None if first.unknown else expected_after(first.text, first.question.answer, after.question.answer)
        changes = normalise(after.question.answer) != normalise(first.question.answer)
        outcome = (bool(after.correct), normalise(after.text) == wanted, changes)
        outcomes.setdefault(after.question.family, []).append(outcome)
    everything = [outcome for family in outcomes.values() for outcome in family]
    overall = _shares(everything)
    return Rotated(
        yaw_deg=yaw_deg,
        exact_match=overall.exact_match,
        consistency=overall.consistency,
        count=overall.count,
        families={family: _shares(outcomes[family]) for family in sorted(outcomes)},
        changing=_shares([outcome for outcome in everything if outcome[2]]),
        unanswerable=unanswerable,
    )


def expected_after(prediction: str, answer: str, rotated_answer: str) -> str | None:
    """The answer of a consistent model after the rotation, given its answer before, right or wrong.

    If the expected answer stays, the prediction has to stay. If the expected answer turns, the prediction has to turn
    by as many sectors ("above" and "below" stay). A prediction that is not a direction cannot turn, so no answer is
    consistent with it.

    Returns:
        The answer, normalised; None if no answer is consistent.

    Example:
        >>> expected_after("right", "front", "front right")  # wrong before; everything turned by one sector
        'back right'
    """
    predicted, before, after = normalise(prediction), normalise(answer), normalise(rotated_answer)
    if predicted == before:
        return after
    if before == after:
        return predicted
    if predicted in SECTORS and before in SECTORS and after in SECTORS:
        return SECTORS[(SECTORS.index(predicted) + SECTORS.index(after) - SECTORS.index(before)) % len(SECTORS)]
    return predicted if predicted in DIRECTIONS else None


def _shares(outcomes: Sequence[tuple[bool, bool, bool]]) -> Consistency:
    """Shares of (correct, consistent, changes)."""
    count = len(outcomes)
    return Consistency(
        exact_match=sum(correct for correct, _, _ in outcomes) / count if count else None,
        consistency=sum(consistent for _, consistent, _ in outcomes) / count if count else None,
        count=count,
    )
