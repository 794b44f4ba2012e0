import itertools
import json

import pytest
import torch
from panollava_geometry import (
    EquirectangularView,
    PanoramaError,
    PerspectiveView,
    ViewPlan,
    draw_footprints,
    extract_views,
    find_correspondences,
    load_views,
    paste_views,
    plan_views,
    view_rays,
)
from panollava_geometry._planning._plan import as_plan


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
        ('{"format": "panollava-view-plan", "version": 1, "views": [{"kind": "mercator"}]}', "unknown kind of view"),
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


VIEW = '{"format": "panollava-view-plan", "version": 1, "views": [{"kind": "perspective", "yaw_deg": 0, %s}]}'
HOSTILE = {
    "null": "null",
    "number": "1e400",
    "text": '"views"',
    "empty": "",
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep_version": '{"format": "panollava-view-plan", "version": ' + "[" * 500 + "]" * 500 + "}",
    "long_version": json.dumps({"format": "panollava-view-plan", "version": "9" * 10**6}),
    "digits": '{"format": "panollava-view-plan", "version": ' + "9" * 10_000 + "}",
    "null_view": '{"format": "panollava-view-plan", "version": 1, "views": [null]}',
    "object_of_views": '{"format": "panollava-view-plan", "version": 1, "views": {}}',
    "many": json.dumps({**plan_views("resize").to_dict(), "views": [{"kind": "equirectangular"}] * 20_000}),
    "kind_list": '{"format": "panollava-view-plan", "version": 1, "views": [{"kind": []}]}',
    "kind_long": json.dumps({**plan_views("resize").to_dict(), "views": [{"kind": "x" * 10**6}]}),
    "nan": VIEW % '"pitch_deg": NaN',
    "infinite": VIEW % '"pitch_deg": 1e400',
    "large_integer": VIEW % ('"roll_deg": ' + "9" * 400),
    "list": VIEW % '"hfov_deg": [90]',
    "object": VIEW % '"hfov_deg": {"a": [[[[]]]]}',
    "tiny": VIEW % '"hfov_deg": 1e-300',
    "unknown_field": VIEW % ('"' + "x" * 10**6 + '": 1'),
    "long_range": json.dumps(
        {**plan_views("resize").to_dict(), "views": [{"kind": "equirectangular", "latitude_range_deg": [0] * 10**5}]}
    ),
}


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_plans_are_one_line(text):
    with pytest.raises(PanoramaError) as caught:
        ViewPlan.from_json(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize("value", [None, 5, b"\xff", ["{}"]])
def test_only_text_is_json(value):
    with pytest.raises(PanoramaError, match="must be JSON"):
        ViewPlan.from_json(value)


@pytest.mark.usefixtures("uninstrumented")
def test_only_so_many_views():
    view = PerspectiveView(0)
    assert len(ViewPlan([view] * 10_000)) == 10_000
    with pytest.raises(PanoramaError, match="at most 10000 views"):
        ViewPlan(itertools.repeat(view))
    with pytest.raises(PanoramaError, match="a list of views, got PerspectiveView"):
        ViewPlan(view)


def test_a_single_view_and_a_list_are_plans():
    view, window = PerspectiveView(30), EquirectangularView()
    assert as_plan(view) == as_plan([view]) == ViewPlan([view])
    assert as_plan((view, window)) == ViewPlan([view, window])
    plan = plan_views("cubemap")
    assert as_plan(plan) is plan


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([plan_views("cubemap")] * 2, "list of plans.*once per panorama"),
        ("cubemap", "got str"),
        (None, "got NoneType"),
        ({}, "got dict"),
        ([], "at least one view"),
        ([1], "got int"),
    ],
)
def test_what_is_no_plan(value, message):
    for function in (
        lambda: as_plan(value),
        lambda: extract_views(torch.zeros(3, 8, 16), value, 4),
        lambda: load_views(torch.zeros(3, 8, 16, dtype=torch.uint8), value, 4),
        lambda: view_rays(value, 4),
        lambda: find_correspondences(value, 4),
        lambda: paste_views(torch.zeros(1, 3, 4, 4), value, 4),
        lambda: draw_footprints(torch.zeros(3, 8, 16, dtype=torch.uint8), value),
    ):
        with pytest.raises(PanoramaError, match=message):
            function()


def test_only_views():
    with pytest.raises(PanoramaError, match="got str"):
        ViewPlan(["front"])
    with pytest.raises(PanoramaError, match="at least one"):
        ViewPlan([])
