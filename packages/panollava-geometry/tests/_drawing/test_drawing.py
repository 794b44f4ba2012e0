import numpy as np
import pytest
import torch
from panollava_geometry import (
    EquirectangularView,
    PerspectiveView,
    SphericalBox,
    ViewPlan,
    draw_boxes,
    draw_footprints,
    plan_views,
)
from panollava_geometry._drawing import _drawing
from panollava_geometry.drawing import colour, draw_captions


def test_footprints_are_drawn_where_the_views_look(photo_like):
    black = photo_like * 0
    drawn = np.asarray(draw_footprints(black, plan_views("e2p", num_views=1))).any(-1)
    assert drawn[512 // 4 - 5 : 512 // 4 + 5, 512].any()  # the top edge of the view ahead, 45 degrees up
    assert not drawn[:, :200].any()  # nothing behind


def test_labels_of_boxes_next_to_each_other_hide_none_of_them():
    erp = torch.zeros(3, 512, 1024, dtype=torch.uint8)
    boxes = [SphericalBox(6 * k, 0, 5, 20) for k in range(6)]
    labelled = np.asarray(draw_boxes(erp, boxes, [f"a long label {k}" for k in range(6)]))
    plain = np.asarray(draw_boxes(erp, boxes))
    assert (labelled == plain)[plain.any(-1)].all()
    new = (labelled != plain).any(-1)
    assert new.sum() > 6 * 1000


def test_the_whole_view_has_no_outline_and_no_number():
    erp = torch.zeros(3, 256, 512, dtype=torch.uint8)
    whole = ViewPlan([EquirectangularView()])
    assert not np.asarray(draw_footprints(erp, whole)).any()


def test_a_view_behind_has_its_number_at_both_edges_in_full():
    erp = torch.zeros(3, 128, 256, dtype=torch.uint8)
    drawn = draw_footprints(erp, PerspectiveView(180.0, hfov_deg=60.0))
    chips = [np.asarray(drawn)[32:60, columns].astype(int) for columns in (slice(0, 12), slice(244, 256))]
    assert (chips[0] == chips[1]).all(-1).mean() > 0.9
    assert (chips[0] == colour(0)).all(-1).sum() > 30


def test_many_views_fade_the_panorama_and_dash_every_second_row():
    erp = torch.full((3, 256, 512), 80, dtype=torch.uint8)
    rows = [[PerspectiveView(yaw, pitch, hfov_deg=30.0) for yaw in range(-180, 180, 45)] for pitch in (0, 45)]
    few, many = (np.asarray(draw_footprints(erp, plan)) for plan in (rows[0][:3], rows[0] + rows[1]))
    assert tuple(few[-1, 0]) == (80, 80, 80)
    assert tuple(many[-1, 0]) == (150, 150, 150)
    side = 256 + round(15 / 360 * 512)  # right side of the view ahead at the horizon, and of that 45 degrees up
    solid = [(np.abs(many[row, side - 4 : side + 4].astype(int) - 150).max() > 60) for row in range(110, 146)]
    assert all(solid)
    upper = draw_footprints(erp, rows[0] + [PerspectiveView(0, 45, hfov_deg=30.0)])
    changed = (
        np.asarray(upper) != np.asarray(draw_footprints(erp, [*rows[0], PerspectiveView(0, 0, hfov_deg=30.0)]))
    ).any(-1)
    assert changed[:100].any()


@pytest.mark.parametrize("size", [(128, 64), (256, 128), (4096, 2048)])
def test_lines_and_letters_scale_with_the_image(size):
    erp = torch.zeros(3, size[1], size[0], dtype=torch.uint8)
    drawn = np.asarray(draw_footprints(erp, plan_views("cubemap"))).any(-1)
    assert 0.02 < drawn.mean() < (0.5 if size[0] < 200 else 0.25)


@pytest.fixture
def written(monkeypatch):
    """The rectangles of all labels that a drawing has."""
    found = []

    def record(image, captions, **options):
        found.extend(draw_captions(image, captions, **options))

    monkeypatch.setattr(_drawing, "draw_captions", record)
    return found


@pytest.mark.parametrize("size", [(256, 128), (640, 320), (2000, 1000)])
@pytest.mark.parametrize("seed", range(12))
def test_labels_of_views_and_boxes_are_apart_and_inside(written, size, seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 41))
    yaws, pitches = rng.uniform(-180, 180, count), rng.choice([-90, -60, -30, 0, 0, 0, 30, 60, 90], count)
    erp = torch.zeros(3, size[1], size[0], dtype=torch.uint8)
    directions = [(float(yaw), float(pitch)) for yaw, pitch in zip(yaws, pitches, strict=True)]
    draw_footprints(erp, [PerspectiveView(*one, hfov_deg=70.0) for one in directions])
    assert all(written)
    assert_apart_and_inside(written, size)
    written.clear()
    draw_boxes(erp, [SphericalBox(*one, 20, 15) for one in directions[:12]], ["a lamp"] * len(directions[:12]))
    assert_apart_and_inside(written, size)


def assert_apart_and_inside(written, size):
    rectangles = np.array([rectangle for places in written for rectangle in places])
    assert rectangles.min() >= 0
    assert (rectangles[:, 2:].max(0) <= np.array(size) + 1e-6).all()
    left, top, right, bottom = rectangles.T
    across = (left[:, None] < right - 1e-6) & (right[:, None] > left + 1e-6)
    down = (top[:, None] < bottom - 1e-6) & (bottom[:, None] > top + 1e-6)
    assert (across & down).sum() == len(rectangles)  # each with itself alone
