"""The same questions asked otherwise: about another scene's picture, and about the panorama rolled by a yaw."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from panollava_hf._errors import EvaluationError
from panollava_hf.evaluation._answering import Item
from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._rows import Row
from panollava_hf.evaluation._scenes import scene_of
from panollava_hf.panoshapes import DIRECTIONS, Question, Scene, rotate_question

SECTORS = DIRECTIONS[:8]
#: Random yaws are multiples of this, so that panoramas whose width is a multiple of 256 are rolled by whole pixels.
YAW_STEP_DEG = 360.0 / 256.0


def plain(rows: Sequence[Row]) -> list[Item]:
    """Every question as it stands."""
    return [Item(row, row.key, row.image, row.question, row.answer) for row in rows]


def shuffled(rows: Sequence[Row], seed: int) -> list[Item]:
    """Every question about another panorama than its own; the questions of one panorama stay together.

    Raises:
        EvaluationError: There is one panorama only.
    """
    images = {row.key: row.image for row in rows}
    if len(images) < 2:
        raise EvaluationError("--shuffle-images needs at least two panoramas")
    keys = list(images)
    order = np.random.default_rng(seed).permutation(len(keys))
    # Everyone takes the picture of the next in a circle: nobody keeps his own.
    other = {keys[mine]: keys[next_] for mine, next_ in zip(order, np.roll(order, -1), strict=True)}
    return [Item(row, other[row.key], images[other[row.key]], row.question, row.answer) for row in rows]


def rotated(
    rows: Sequence[Row], scenes: Mapping[str, Scene], yaw_deg: float | None, seed: int
) -> tuple[list[Item], int]:
    """Questions about rolled panoramas, with the answers that are right then.

    Args:
        rows: Questions; captions are left out.
        scenes: The scenes, by name.
        yaw_deg: How far panoramas are rolled to the right; None takes a random yaw for each.
        seed: Of the random yaws.

    Returns:
        The questions, and how many are not answerable any more (their target came too close to a border of sectors).
    """
    generator = np.random.default_rng(seed)
    yaws: dict[str, float] = {}
    items: list[Item] = []
    unanswerable = 0
    for row in rows:
        if row.key not in yaws:
            steps = int(generator.integers(1, 256))
            yaws[row.key] = steps * YAW_STEP_DEG if yaw_deg is None else yaw_deg
        found = None if row.is_caption else scene_of(row, scenes)
        if found is None:
            continue
        scene, program = found
        turned = rotate_question(Question(row.family, program, row.question, row.answer), scene, yaws[row.key])
        if turned is None:
            unanswerable += 1
            continue
        items.append(Item(row, row.key, row.image, turned.question, turned.answer, yaws[row.key]))
    if not items:
        raise EvaluationError("--rotate: no question has a scene and a program and stays answerable")
    return items, unanswerable


def expected_after(prediction: str, answer: str, rotated_answer: str) -> str | None:
    """What a consistent model says after the rotation, given what it said before, right or wrong.

    Where the true answer stays, the prediction shall stay. Where it turns, a prediction turns by as many sectors
    ("above" and "below" stay where they are); one that is no direction cannot turn, so nothing is consistent with it.

    Example:
        >>> expected_after("right", "front", "front right")  # wrong before; everything turned by one sector
        'back right'
    """
    said, before, after = normalise(prediction), normalise(answer), normalise(rotated_answer)
    if said == before:
        return after
    if before == after:
        return said
    if said in SECTORS and before in SECTORS and after in SECTORS:
        return SECTORS[(SECTORS.index(said) + SECTORS.index(after) - SECTORS.index(before)) % len(SECTORS)]
    return said if said in DIRECTIONS else None


def consistency(
    items: Sequence[Item], before: Mapping[int, dict[str, Any]], after: Mapping[int, dict[str, Any]]
) -> dict[str, Any]:
    """How well answers follow a rotation.

    Args:
        items: The questions of `rotated`.
        before: Predictions about panoramas as they are, by row.
        after: Predictions about rolled ones.

    Returns:
        `exact_match`: share that gives the answer that is right after the rotation. `consistency`: share that changes,
        or stays, as it should given the prediction before. `changing`: the same for questions whose answer the
        rotation changes. Each overall and by family.
    """
    outcomes: dict[str, list[tuple[bool, bool, bool]]] = {}
    for item in items:
        first, second = before.get(item.row.index), after.get(item.row.index)
        if first is None or second is None:
            continue
        wanted = expected_after(first["prediction"], item.row.answer, item.answer)
        changes = normalise(item.answer) != normalise(item.row.answer)
        outcome = (bool(second["correct"]), normalise(second["prediction"]) == wanted, changes)
        outcomes.setdefault(item.row.family, []).append(outcome)
    everything = [outcome for family in outcomes.values() for outcome in family]
    changing = [outcome for outcome in everything if outcome[2]]
    return {
        **_shares(everything),
        "families": {family: _shares(outcomes[family]) for family in sorted(outcomes)},
        "changing": _shares(changing),
    }


def _shares(outcomes: Sequence[tuple[bool, bool, bool]]) -> dict[str, Any]:
    count = len(outcomes)
    return {
        "exact_match": sum(right for right, _, _ in outcomes) / count if count else None,
        "consistency": sum(consistent for _, consistent, _ in outcomes) / count if count else None,
        "count": count,
    }
