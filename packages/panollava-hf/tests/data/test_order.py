"""The order of items: what follows from the seed, what a curriculum allows, and what sampling weights change."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panollava_hf._errors import TableError
from panollava_hf.data._order import ItemOrder, RisingLimit

#: Seven panoramas with 1 to 4 questions each; the rows of a panorama are not neighbours.
GROUPS = [[0, 7, 14], [1, 8], [2, 9, 15, 17], [3, 10], [4], [5, 11, 16], [6, 12, 13]]
ROWS = sum(map(len, GROUPS))
VALUES = np.random.default_rng(0).permutation(ROWS).astype(float)


def items(order, indices):
    """Panorama and questions of each item."""
    return [
        (order.panorama(i), order.choose(order.groups[order.panorama(i)], order.generator(i)))
        for i in indices
    ]  # fmt: skip


orders = st.builds(
    ItemOrder,
    groups=st.just(GROUPS),
    length=st.integers(1, 60),
    questions=st.none() | st.integers(1, 5),
    seed=st.integers(0, 1000),
    shuffle=st.booleans(),
    curriculum=st.none()
    | st.builds(RisingLimit, st.just("c"), st.just(VALUES), st.floats(0.1, 1), st.none(), st.none() | st.floats(0, 9)),
    weights=st.none() | st.just(1 + VALUES),
)


@given(order=orders, data=st.data())
def test_items_follow_from_seed_and_index_alone(order, data):
    indices = data.draw(st.permutations(range(order.length)))
    alone = {index: items(pickle.loads(pickle.dumps(order)), [index])[0] for index in indices[:5]}
    together = dict(zip(indices, items(order, indices), strict=True))
    assert all(together[index] == item for index, item in alone.items())


@given(order=orders)
def test_items_hold_distinct_questions_about_their_panorama(order):
    for index in range(order.length):
        rows = order.groups[order.panorama(index)]
        chosen = order.choose(rows, order.generator(index))
        assert len(chosen) == len(set(chosen)) == min(len(rows), order.questions or len(rows))
        assert set(chosen) <= set(rows)


def test_another_seed_is_another_order():
    first, second = (items(ItemOrder(GROUPS, 30, seed=seed), range(30)) for seed in (5, 6))
    assert first != second


def test_resumed_runs_need_the_sequence_of_earlier_releases():
    order = ItemOrder(GROUPS, length=21, questions=2, seed=3)
    passes = [np.random.default_rng([3, 0, turn]).permutation(7).tolist() for turn in range(3)]
    expected = [panorama for one in passes for panorama in one]
    questions = [
        np.random.default_rng([3, 1, i]).permutation(GROUPS[panorama])[:2].tolist()
        for i, panorama in enumerate(expected)
    ]
    assert items(order, range(21)) == list(zip(expected, questions, strict=True))


def test_each_pass_has_every_panorama_once_in_a_new_order():
    order = ItemOrder(GROUPS, length=21)
    passes = [[order.panorama(7 * turn + place) for place in range(7)] for turn in range(3)]
    assert all(sorted(one) == list(range(7)) for one in passes)
    assert len({tuple(one) for one in passes}) == 3


def test_without_shuffling_everything_stays_in_place():
    order = ItemOrder(GROUPS, length=9, questions=2, shuffle=False)
    assert items(order, range(9)) == [(i % 7, GROUPS[i % 7][:2]) for i in range(9)]


def test_panoramas_to_take_instead_are_all_the_others():
    order = ItemOrder(GROUPS, length=7, seed=1)
    found = list(order.panoramas(3))
    assert found[0] == order.panorama(3)
    assert found == [(found[0] + step) % 7 for step in range(7)]


@pytest.mark.parametrize("start", [None, 4.5])
def test_the_limit_rises_linearly_to_the_largest_value(start):
    order = ItemOrder(GROUPS, length=200, curriculum=RisingLimit("c", VALUES, 0.5, start))
    first = 0 if start is None else start
    limits = [order.limit(index) for index in range(100)]
    assert [limit.value for limit in limits] == pytest.approx(np.linspace(first, VALUES.max(), 101)[:100])
    assert {limit.column for limit in limits} == {"c"}
    assert [order.limit(index) for index in range(100, 200)] == [None] * 100


def test_the_limit_stays_at_its_end():
    order = ItemOrder(GROUPS, length=200, curriculum=RisingLimit("c", VALUES, 0.5, 2.0, 6.0))
    limits = [order.limit(index).value for index in range(200)]
    assert limits[:100] == pytest.approx(np.linspace(2, 6, 101)[:100])
    assert limits[100:] == [6.0] * 100
    asked = {row for index in range(200) for row in order.allowed(GROUPS[order.panorama(index)], order.limit(index))}
    assert VALUES[sorted(asked)].max() == 6


def test_a_curriculum_of_one_value_asks_nothing_else():
    values = np.where(VALUES < 5, 0.0, VALUES)
    order = ItemOrder(GROUPS, length=60, curriculum=RisingLimit("c", values, 1.0, end=0.0))
    for index in range(60):
        allowed = order.allowed(GROUPS[order.panorama(index)], order.limit(index))
        assert allowed
        assert not values[allowed].any()


@pytest.mark.parametrize("weights", [None, np.linspace(1, 3, ROWS)])
def test_only_panoramas_with_an_allowed_question_are_drawn_and_all_of_them(weights):
    order = ItemOrder(GROUPS, length=4000, curriculum=RisingLimit("c", VALUES, 1.0), weights=weights)
    drawn = [order.panorama(index) for index in range(4000)]
    for index in range(0, 4000, 50):
        assert order.allowed(GROUPS[drawn[index]], order.limit(index))
    middle = order.limit(2000)
    possible = {panorama for panorama, rows in enumerate(GROUPS) if VALUES[rows].min() <= middle.value}
    assert {drawn[index] for index in range(1800, 2000)} <= possible
    assert {drawn[index] for index in range(2000, 2400)} >= possible


def test_allowed_rows_are_those_up_to_the_limit():
    order = ItemOrder(GROUPS, length=10, curriculum=RisingLimit("c", VALUES, 1.0))
    limit = order.limit(5)
    assert order.allowed(range(ROWS), limit) == [row for row in range(ROWS) if VALUES[row] <= limit.value]
    assert order.allowed(range(ROWS), None) == list(range(ROWS))
    hard, easy = int(VALUES.argmax()), int(VALUES.argmin())
    assert order.allowed([hard, easy], limit, {hard: 0.0, easy: 99.0}) == [hard]


def test_a_curriculum_cannot_start_below_everything():
    with pytest.raises(TableError, match=r"starts at -1, but the smallest value in the column 'c' is 0\.0; set start"):
        RisingLimit("c", VALUES, 0.5, -1)
    with pytest.raises(TableError, match=r"ends at -1, but the smallest value in the column 'c' is 0\.0; set end"):
        RisingLimit("c", VALUES, 0.5, end=-1)


def test_panoramas_are_drawn_in_proportion_to_the_weights_of_their_questions():
    weights = np.linspace(0.5, 4, ROWS)
    order = ItemOrder(GROUPS, length=6000, weights=weights)
    counts = np.bincount([order.panorama(index) for index in range(6000)], minlength=7)
    expected = np.array([weights[rows].sum() for rows in GROUPS]) / weights.sum()
    assert np.abs(counts / 6000 - expected).max() < 4 * np.sqrt(0.25 / 6000)


def test_questions_are_drawn_in_proportion_to_their_weights():
    weights = np.where(np.arange(ROWS) % 2 == 0, 3.0, 1.0)
    order = ItemOrder(GROUPS, length=1, questions=1, weights=weights)
    rng = np.random.default_rng(0)
    rows = GROUPS[2]
    drawn = [order.choose(rows, rng)[0] for _ in range(4000)]
    expected = weights[rows] / weights[rows].sum()
    shares = np.array([drawn.count(row) for row in rows]) / 4000
    assert np.abs(shares - expected).max() < 4 * np.sqrt(0.25 / 4000)


def test_weights_leave_nothing_out_where_all_questions_are_asked():
    order = ItemOrder(GROUPS, length=1, weights=np.linspace(0.1, 50, ROWS))
    assert sorted(order.choose(GROUPS[2], np.random.default_rng(1))) == GROUPS[2]


def test_the_order_needs_no_torch():
    code = "import sys, panollava_hf.data._order; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
