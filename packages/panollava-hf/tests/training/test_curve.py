"""The learning curve: lines where the losses are, for logs of every kind."""

import math
import random

import numpy as np
import pytest
from panollava_geometry.drawing import PALETTE
from panollava_hf.training._curve import _moving_average, _ticks, draw_learning_curve


def log(losses, key="loss"):
    return [{"step": step, key: loss, "epoch": 0.1} for step, loss in enumerate(losses, 1)]


def line(image, colour=PALETTE[5]):
    """Mean row of the colour in each column of the first plot."""
    plot = np.asarray(image)[122:462, 120:680].astype(int)
    near = np.abs(plot - colour).sum(-1) < 12
    return [rows.mean() if len(rows) else math.nan for rows in (np.flatnonzero(column) for column in near.T)]


def test_a_line_falls_where_the_losses_fall():
    rows = line(draw_learning_curve({"finetune": log([10 - k for k in range(10)])}))
    seen = [row for row in rows[60:-5] if not math.isnan(row)]
    assert len(seen) > 450
    assert np.all(np.diff(seen) > -1)
    assert seen[-1] - seen[0] > 200


def test_the_moving_average_keeps_a_straight_line():
    points = [(float(k), 3.0 * k) for k in range(100)]
    assert np.allclose(_moving_average(points)[3:-3], points[3:-3])


@pytest.mark.parametrize(
    "logs",
    [
        {},
        {"vicreg": []},
        {"vicreg": [{"train_runtime": 3.0}]},
        {"vicreg": log([1.0])},
        {"vicreg": log([0.0, 0.0])},
        {"vicreg": log([math.nan, math.inf, 2.0, -1.0])},
        {"vicreg": log([math.nan] * 3)},
        {"vicreg": log([random.Random(1).random() for _ in range(5000)]), "finetune": log([1e-9, 1e9])},
        {f"stage {k}": log([1.0, 0.5]) + log([1.2, 0.8], "eval_loss") for k in range(7)},
        {"빨간": log([None, "x", 3.0])},
    ],
    ids=range(10),
)
@pytest.mark.filterwarnings("ignore:no installed font")
def test_every_log_is_drawn(logs):
    image = draw_learning_curve(logs, "Loss of a run with a very long name " * 20)
    assert image.width <= 3 * 680 + 72
    assert np.asarray(image).std() > 1


def test_validation_has_its_own_colour():
    both = draw_learning_curve({"a": log([3.0, 2.0, 1.0]) + log([3.5, 3.0, 2.9], "eval_loss")})
    assert np.nanmean(line(both)) > np.nanmean(line(both, PALETTE[4]))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 12345), (0.001, 0.0013), (1e-12, 1e12), (5, 5)])
def test_ticks_are_round_and_inside(low, high):
    ticks = _ticks(float(low), float(high))
    assert 1 <= len(ticks) <= 9
    assert low <= ticks[0] + 1e-9
    assert ticks[-1] <= high + 1e-9
