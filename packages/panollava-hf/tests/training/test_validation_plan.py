"""When a stage is validated by default, and how its validation loss is followed."""

import math

import pytest
from panollava_hf.training._validation_plan import plan, standing, time_left


@pytest.mark.parametrize("steps", [1, 7, 100, 5000, 10**6])
@pytest.mark.parametrize("per_step", [1, 8, 256])
@pytest.mark.parametrize("available", [1, 10, 1000, 10**6])
@pytest.mark.parametrize("limit", [None, 5, 100_000])
def test_by_default_few_panoramas_are_measured_for_each_that_is_trained(steps, per_step, available, limit):
    found = plan(available, limit, None, steps=steps, per_step=per_step)
    assert 1 <= found.panoramas <= min(available, limit or 256)
    assert 1 <= found.every <= steps
    before_the_end = (steps - 1) // found.every * found.panoramas
    assert before_the_end <= 0.04 * steps * per_step
    assert steps / found.every <= 50


def test_settings_are_followed():
    found = plan(1000, 70, 3, steps=100, per_step=8)
    assert (found.panoramas, found.every) == (70, 3)


def test_standing_follows_the_lowest_finite_loss():
    losses = [3.0, math.nan, 2.0, 2.0, math.inf, 2.5]
    log = [{"step": step, "eval_loss": loss} for step, loss in enumerate(losses, 1)]
    log.insert(2, {"step": 2, "loss": 0.0})
    found = standing(log)
    assert (found.best_step, found.best_loss, found.since, found.validations, found.last_step) == (3, 2.0, 3, 6, 6)
    assert standing([]).best_step is None
    assert standing(log[1:2]).best_step is None


@pytest.mark.parametrize("seconds", [0, 0.4, 9.6, 59.9, 60, 3599, 3601, 172_799, 1e7])
def test_the_time_left_is_near_the_seconds(seconds):
    _, number, unit, _ = time_left(seconds).split()
    length = float(number) * {"s": 1, "min": 60, "h": 3600, "days": 86400}[unit]
    assert length == pytest.approx(seconds, rel=0.5, abs=1)
