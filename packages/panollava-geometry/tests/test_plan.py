import json
import math

import pytest
from panollava_geometry import EquirectangularView, PanoramaError, PerspectiveView, ViewPlan, plan_views


def test_a_sequence_that_hashes():
    plan = ViewPlan([PerspectiveView(0), EquirectangularView((-10, 20))])
    assert len(plan) == 2
    assert plan[1] == EquirectangularView((-10, 20))
    assert plan[:1] == ViewPlan([PerspectiveView(0)])
    assert {plan: 1}[ViewPlan(list(plan))] == 1


@pytest.mark.parametrize("strategy", ["anyres_e2p", "cubemap", "sliding_window", "anyres"])
def test_json_round_trip(strategy):
    plan = plan_views(strategy)
    assert ViewPlan.from_json(plan.to_json()) == plan
    assert ViewPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be JSON"),
        ("[]", "no view plan"),
        ('{"format": "other"}', "no view plan"),
        ('{"format": "panollava-view-plan", "version": 9}', "version 9 is unknown"),
        ('{"format": "panollava-view-plan", "version": 1, "views": 3}', "must be a list"),
        ('{"format": "panollava-view-plan", "version": 1, "views": []}', "at least one view"),
        ('{"format": "panollava-view-plan", "version": 1, "views": [{"kind": "fisheye"}]}', "unknown kind of view"),
        ('{"format": "panollava-view-plan", "version": 1, "views": [{"kind": "perspective"}]}', "cannot read a persp"),
        (
            '{"format": "panollava-view-plan", "version": 1, "views": [{"kind": "perspective", "yaw_deg": "left"}]}',
            "yaw_deg",
        ),
        (
            '{"format": "panollava-view-plan", "version": 1, "views": '
            '[{"kind": "equirectangular", "longitude_range_deg": 5}]}',
            "longitude_range_deg",
        ),
    ],
)
def test_broken_plans(text, message):
    with pytest.raises(PanoramaError, match=message):
        ViewPlan.from_json(text)


def test_only_views():
    with pytest.raises(PanoramaError, match="got str"):
        ViewPlan(["front"])
    with pytest.raises(PanoramaError, match="at least one"):
        ViewPlan([])


def test_coverage_of_one_view_is_a_sixth():
    cover = ViewPlan([PerspectiveView(12, 34, 56)]).coverage()
    assert cover.seen == pytest.approx(1 / 6, abs=2e-3)
    assert cover.mean == pytest.approx(1 / 6, abs=2e-3)


def test_coverage_counts_views():
    cover = ViewPlan([EquirectangularView(), EquirectangularView((0, 180)), PerspectiveView(90)]).coverage()
    assert cover.times == pytest.approx((0, 1 / 2, 1 / 3, 1 / 6), abs=3e-3)
    assert sum(cover.times) == pytest.approx(1)


def test_required_width_of_a_view_is_its_corner_pixel():
    # In the corner of a 90 degree square view cos² is 1/3, and a pixel spans (2/1000)/3 radians there.
    width = ViewPlan([PerspectiveView(0)]).required_width(1000)
    assert width == pytest.approx(2 * math.pi * 3 * 1000 / 2, rel=5e-3)
    assert width % 2 == 0


def test_required_width_of_a_window():
    assert plan_views("resize").required_width((100, 400)) == 400
    assert plan_views("resize").required_width((300, 400)) == 600
