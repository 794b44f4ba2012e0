import json

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
        ("[]", "not a view plan"),
        ('{"format": "other"}', "not a view plan"),
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
