"""The contact sheet: every view once, in the order of a room, apart from the others, large enough to see."""

import itertools
import math

import numpy as np
import pytest
import torch
from panollava_geometry import (
    CylindricalView,
    EquirectangularView,
    FisheyeView,
    PerspectiveView,
    StereographicView,
    ViewPlan,
    extract_views,
    plan_views,
)
from panollava_geometry.drawing import colour
from panollava_hf._contact_sheet import contact_sheet
from panollava_hf._sheet_layout import arrange
from panollava_hf.asking._frame import LOOK_AROUND


def solid(count, side, shade=200):
    """Views of one shade each, which no other part of a sheet has."""
    return torch.stack([torch.full((3, side, side), shade, dtype=torch.uint8)] * count)


def ring(count, pitch=0.0):
    return [PerspectiveView(360.0 * k / count, pitch, hfov_deg=60.0) for k in range(count)]


def rows(plan):
    cells = arrange(ViewPlan(plan))
    found = {}
    for cell in cells:
        found.setdefault(cell.row, []).append((cell.column, cell.view))
    assert all([column for column, _ in sorted(row)] == list(range(len(row))) for row in found.values())
    return [[view for _, view in sorted(found[row])] for row in sorted(found)]


def test_views_stand_as_one_looks_around_in_a_room():
    assert rows(plan_views("cubemap")) == [[3, 0, 1, 2, 4, 5]]  # left, ahead, right, behind, up, down
    assert rows(LOOK_AROUND) == [[0, 1, 2, 3, 4, 5]]
    assert rows([PerspectiveView(180.0), PerspectiveView(-90.0), PerspectiveView(360.0)]) == [[1, 2, 0]]
    assert rows([EquirectangularView(), PerspectiveView(0.0)]) == [[1]]
    assert rows(ring(4, -40.0) + ring(4, 0.0) + ring(4, 40.0)) == [[11, 8, 9, 10], [7, 4, 5, 6], [3, 0, 1, 2]]


@pytest.mark.parametrize("count", range(1, 41))
def test_every_view_has_one_place(count):
    cells = arrange(ViewPlan(ring(count)))
    assert sorted(cell.view for cell in cells) == list(range(count))
    assert len({(cell.row, cell.column) for cell in cells}) == count
    assert max(cell.column for cell in cells) < 8
    lengths = [len(row) for row in rows(ring(count))]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("count", [1, 2, 6, 7, 24, 40])
@pytest.mark.parametrize("side", [20, 80, 224, 1000])
def test_thumbnails_are_large_and_apart(count, side):
    if count > 7 and side > 300:
        pytest.skip("large views in few numbers suffice")
    plan = ViewPlan(ring(count))
    marked = solid(count, side)
    marked[:] = torch.tensor([1, 250, 3], dtype=torch.uint8)[:, None, None]
    sheet = np.asarray(contact_sheet(marked, plan, panorama=torch.zeros(3, 64, 128, dtype=torch.uint8)))
    green = (sheet == (1, 250, 3)).all(-1)
    columns, lines = (np.flatnonzero(np.diff(np.pad(green.any(axis), 1).astype(int))) for axis in (0, 1))
    wide, high = columns[1::2] - columns[::2], lines[1::2] - lines[::2]
    assert min(*wide, *high) >= 240
    assert len(wide) == min(count, max(len(row) for row in rows(ring(count))))
    assert len(wide) * len(high) >= count
    assert green.sum() == count * wide[0] * high[0]
    assert wide[0] == high[0]


def test_a_view_of_the_whole_panorama_is_shown_in_full_width():
    views = torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
    views[0, 0] = 200
    sheet = np.asarray(contact_sheet(views, ViewPlan([EquirectangularView(), PerspectiveView(0.0)])))
    red = (sheet == (200, 0, 0)).all(-1)
    height, width = red.any(1).sum(), red.any(0).sum()
    assert width == 2 * height
    assert width >= 960


def test_views_are_shown_in_their_proportions():
    view = PerspectiveView(0.0, hfov_deg=90.0, vfov_deg=np.degrees(2 * np.arctan(0.5)))
    green = np.asarray(
        contact_sheet(solid(1, 300), ViewPlan([view]), panorama=torch.zeros(3, 64, 128, dtype=torch.uint8))
    )
    shown = (green == 200).all(-1)
    assert (shown.any(0).sum(), shown.any(1).sum()) == (300, 150)


def test_small_views_show_their_pixels():
    views = torch.zeros(1, 3, 80, 80, dtype=torch.uint8)
    views[..., 40:] = 200
    sheet = np.asarray(
        contact_sheet(views, ViewPlan([PerspectiveView(0.0)]), panorama=torch.zeros(3, 64, 128, dtype=torch.uint8))
    )
    assert (sheet[-60, 16 : 16 + 240, 0] == np.repeat([0, 200], 120)).all()


def test_numbers_have_the_colours_of_their_outlines():
    plan, panorama = ViewPlan(ring(4)), torch.zeros(3, 512, 1024, dtype=torch.uint8)
    sheet = np.asarray(contact_sheet(extract_views(panorama, plan, (64, 64)), plan, panorama=panorama))
    for index in range(4):
        places = np.argwhere((sheet == colour(index)).all(-1))
        assert (places[:, 0] < 500).sum() > 200  # outline and label
        assert (places[:, 0] > 520).sum() > 200  # chip of the caption


def test_question_and_answer_are_in_the_head():
    plan, views = ViewPlan(ring(4)), solid(4, 100)
    plain, asked, long = (
        contact_sheet(views, plan, answers=answers)
        for answers in ([], [("Where?", "behind")], [("Where? " * 400, "behind " * 400)] * 9)
    )
    assert plain.width == asked.width == long.width
    assert plain.height < asked.height < long.height < plain.height + 1400
    head = asked.height - plain.height
    assert (np.asarray(asked)[head + 16 :] == np.asarray(plain)[16:]).all()
    assert (np.asarray(asked)[:head] < 128).any()


def test_views_and_plan_must_be_of_one_number():
    with pytest.raises(ValueError, match="got 2 views and a plan of 3"):
        contact_sheet(solid(2, 10), ViewPlan(ring(3)))


def test_what_the_views_do_not_show_is_empty_without_the_panorama():
    sheet = np.asarray(contact_sheet(solid(1, 100, 7), ViewPlan([PerspectiveView(0.0, hfov_deg=60.0)])))
    overview = sheet[16 : 16 + 480, 16 : 16 + 960]
    assert tuple(overview[5, 5]) == (233, 236, 240)
    assert tuple(overview[240, 480]) == (7, 7, 7)
    assert len(list(itertools.chain(overview))) == 480


@pytest.mark.parametrize(
    ("view", "proportions"),
    [
        (FisheyeView(0.0, hfov_deg=190.0), 1.0),
        (CylindricalView(0.0, hfov_deg=180.0, vfov_deg=90.0), math.pi / 2),
        (StereographicView(0.0, pitch_deg=-90.0, hfov_deg=250.0), 1.0),
        (PerspectiveView(0.0, hfov_deg=90.0, principal_point=(0.3, 0.5)), 1.0),
    ],
)
def test_views_of_every_projection_are_on_the_sheet(view, proportions):
    panorama = torch.zeros(3, 64, 128, dtype=torch.uint8)
    for given in (panorama, None):
        sheet = np.asarray(contact_sheet(solid(1, 300), ViewPlan([view]), panorama=given))
        shown = (sheet[sheet.shape[0] // 2 :] == 200).all(-1)
        rows, columns = shown.any(1).sum(), shown.any(0).sum()
        assert given is None or abs(columns / rows / proportions - 1) < 0.02
