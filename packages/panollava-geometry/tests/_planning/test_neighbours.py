"""Which views are paired."""

import pytest
from panollava_geometry import PanoramaError, PerspectiveView, ViewPlan, plan_views
from panollava_geometry._planning._neighbours import view_pairs


def test_a_ring_is_closed_and_excludes_the_global_view():
    assert list(view_pairs(plan_views("anyres_e2p"), "adjacent")) == [(1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1)]


def test_adjacent_follows_yaw_not_order():
    plan = ViewPlan([PerspectiveView(0), PerspectiveView(-60), PerspectiveView(60), PerspectiveView(120)])
    assert sorted(view_pairs(plan, "adjacent")) == [(0, 2), (1, 0), (2, 3), (3, 1)]


def test_adjacent_joins_rings():
    plan = plan_views("e2p", num_rings=2, pitch_range_deg=(-20, 20))
    assert {(0, 6), (1, 7), (0, 1), (6, 7), (11, 6)} <= set(view_pairs(plan, "adjacent"))


def test_all_is_every_ordered_pair():
    assert list(view_pairs(plan_views("e2p", num_views=3), "all")) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


def test_given_pairs_are_kept():
    assert view_pairs(plan_views("anyres_e2p"), [(0, 3), (2, 1)]) == [(0, 3), (2, 1)]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [([(0, 9)], "two different views of 0..5"), ([(2, 2)], "two different views")],
)
def test_errors(pairs, message):
    with pytest.raises(PanoramaError, match=message):
        view_pairs(plan_views("e2p"), pairs)
