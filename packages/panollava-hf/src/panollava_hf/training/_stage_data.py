"""The rows that a stage trains on and those that it validates on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panollava_hf._errors import TableError, TrainingError
from panollava_hf.data._examples import Examples, read_examples
from panollava_hf.data._held_out import check_disjoint, hold_out, shuffled_groups
from panollava_hf.data._row_checks import Unusable
from panollava_hf.training._collator import AnswerCollator, ViewCollator
from panollava_hf.training._recipe import DataSettings, Recipe, SamplingWeights, StageName
from panollava_hf.training._trainer import report


def usable_examples(stage: StageName, data: DataSettings, split: str, limit: int | None, *, skip_bad: bool) -> Examples:
    """The rows of a split that can be used.

    Raises:
        TrainingError: Images are missing.
        TableError: The table cannot be read, or has rows that cannot be used.
    """
    examples = read_examples(data.source, split, data.columns, limit, skip_bad=skip_bad)
    if examples.unusable.count:
        first = examples.unusable.reasons[0]
        report(
            f"{stage}: skipped {examples.unusable.count} rows that cannot be used, the first: {examples.name}, {first}"
        )
    if not skip_bad and (missing := examples.unusable_images()).count:
        raise TrainingError(
            f"{missing.first}: {missing.count} images cannot be used: {missing.listed()}; correct the table, or skip "
            "such images with --skip-bad"
        )
    return examples


def groups_that_fit(
    examples: Examples, collator: AnswerCollator, stage: StageName, *, skip_bad: bool
) -> list[list[int]]:
    """The rows of each panorama, without those that are longer than the model reads.

    Raises:
        TableError: There are such rows, and `skip_bad` is False; or no others.
    """
    questions, answers = (examples.cells(examples.columns[role]) for role in ("question", "answer"))
    found, rows = Unusable(), set()
    for index, fault in collator.faults(questions, answers):
        rows.add(index)
        found.add(f"{examples.rows.place(examples.row(index))}: {fault}")
    groups = examples.groups()
    if not found.count:
        return groups
    fitting = [kept for group in groups if (kept := [index for index in group if index not in rows])]
    if not skip_bad or not fitting:
        raise TableError(
            f"{examples.name}: {found.count} rows cannot be used: {found.listed()}; correct the table, or skip such "
            "rows with --skip-bad"
        )
    report(f"{stage}: skipped {found.count} rows that cannot be used, the first: {examples.name}, {found.reasons[0]}")
    return fitting


def trained_and_held(
    recipe: Recipe,
    stage: StageName,
    examples: Examples,
    groups: list[list[int]],
    collator: ViewCollator,
    *,
    skip_bad: bool,
) -> tuple[list[list[int]], tuple[Examples, list[list[int]]]]:
    """The rows of each panorama that is trained, the table of the panoramas to validate on, and the rows of each.

    Raises:
        TrainingError: There is nothing to validate on, or images are missing.
        TableError: The split does not exist, has rows that cannot be used, or shares panoramas with the training split.
    """
    data = recipe.data_of(stage)
    wanted = data.validation
    assert wanted is not None
    if wanted.share is not None:
        usable = {row for group in groups for row in group}
        kept: tuple[list[list[int]], ...] = hold_out(examples, wanted.share, recipe.seed)
        trained, held = ([rows for group in side if (rows := [r for r in group if r in usable])] for side in kept)
        if not trained or not held:
            raise TrainingError(
                f"stage {stage}: no rows to {'train' if held else 'validate on'} are left in {data.source}"
            )
        return trained, (examples, held)
    assert wanted.split is not None
    if Path(data.source).is_file():
        raise TrainingError(
            f"data.validation.split is {wanted.split!r}, but data.source is the single file {data.source}; use "
            "data.validation.share, or name the folder that contains both splits"
        )
    others = usable_examples(stage, data, wanted.split, None, skip_bad=skip_bad)
    check_disjoint(examples, others)
    held = shuffled_groups(others, recipe.seed)
    if isinstance(collator, AnswerCollator):
        usable = {row for group in groups_that_fit(others, collator, stage, skip_bad=skip_bad) for row in group}
        held = [rows for group in held if (rows := [row for row in group if row in usable])]
    return groups, (others, held)


def sampling_weights(examples: Examples, given: SamplingWeights) -> np.ndarray:
    """The weight of each row, `[rows]`: the product of those by its values in one or several columns.

    Raises:
        TableError: A column does not exist, or no row has one of the given values.
    """
    found = examples.weights(given.column, given.weights)
    return found if given.times is None else found * sampling_weights(examples, given.times)


def of_trained_rows(values: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """Values of a column whose smallest and largest are those of the rows in these groups; others get the largest."""
    rows = np.concatenate([np.asarray(group) for group in groups])
    found = np.full_like(values, values[rows].max())
    found[rows] = values[rows]
    return found
