import pytest
from panollava_geometry import EquirectangularView, PerspectiveView, ViewPlan


def test_coverage_of_one_view_is_a_sixth():
    cover = ViewPlan([PerspectiveView(12, 34, 56)]).coverage()
    assert cover.seen == pytest.approx(1 / 6, abs=2e-3)
    assert cover.mean == pytest.approx(1 / 6, abs=2e-3)


def test_coverage_counts_views():
    cover = ViewPlan([EquirectangularView(), EquirectangularView((0, 180)), PerspectiveView(90)]).coverage()
    assert cover.times == pytest.approx((0, 1 / 2, 1 / 3, 1 / 6), abs=3e-3)
    assert sum(cover.times) == pytest.approx(1)
