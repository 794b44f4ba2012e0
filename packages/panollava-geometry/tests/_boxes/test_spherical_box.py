"""`SphericalBox` against dense sampling and closed forms in float64."""

import math
import re

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, PerspectiveView, SphericalBox, draw_boxes, rotation_matrix
from panollava_geometry._boxes._convex import clip_polygon, shared_area


def evenly(count=400_000):
    """Rays spread evenly over the sphere: a Fibonacci lattice."""
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    longitude = math.pi * (1 + 5**0.5) * index
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.sin(longitude), height, flat * np.cos(longitude)], axis=-1)


RAYS = evenly()


def inside(box, rays=RAYS):
    """The definition in the docstring of `SphericalBox`, written once more with angles."""
    x, y, z = np.moveaxis(rays @ rotation_matrix(box.yaw_deg, box.pitch_deg, box.roll_deg), -1, 0)
    across = np.abs(np.arctan2(x, z)) <= math.radians(box.width_deg) / 2
    if box.width_deg > 180:
        return across & (np.abs(np.arcsin(np.clip(y, -1, 1))) <= math.radians(box.height_deg) / 2)
    return across & (np.abs(np.arctan2(y, z)) <= math.radians(box.height_deg) / 2) & (z >= 0)


BOXES = {
    "ahead": SphericalBox(0, 0, 60, 40),
    "across the seam": SphericalBox(178, -10, 70, 50, 20),
    "the other side of the seam": SphericalBox(-175, -5, 50, 60),
    "zenith": SphericalBox(30, 90, 80, 50),
    "near the zenith": SphericalBox(-100, 84, 60, 70, 15),
    "nadir": SphericalBox(0, -90, 100, 100, 45),
    "half a turn": SphericalBox(10, 5, 180, 60),
    "hemisphere": SphericalBox(100, 30, 180, 180),
    "lune": SphericalBox(-60, 0, 40, 180, 10),
    "wide": SphericalBox(160, 10, 250, 70, 5),
    "ring": SphericalBox(0, -20, 360, 40),
    "cap and more": SphericalBox(0, 0, 300, 180),
    "sphere": SphericalBox(0, 0, 360, 180),
}
pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("name", BOXES)
def test_contains_and_area_agree_with_the_definition(name):
    box = BOXES[name]
    found = box.contains(RAYS)
    assert (found == inside(box)).mean() > 1 - 1e-5
    assert box.area == pytest.approx(found.mean() * 4 * math.pi, abs=0.005)


@pytest.mark.parametrize(("width", "height"), [(90, 90), (60, 30), (10, 170), (179.9, 5), (1e-3, 1e-3)])
def test_the_area_is_that_of_the_views_pixels(width, height):
    view = PerspectiveView(20, 30, 40, hfov_deg=width, vfov_deg=height)
    assert SphericalBox(20, 30, width, height, 40).area == pytest.approx(view.solid_angles((3, 5)).sum(), rel=1e-9)


@pytest.mark.parametrize("first", BOXES)
def test_iou_agrees_with_dense_sampling(first):
    one = BOXES[first]
    for other in BOXES.values():
        both, either = inside(one) & inside(other), inside(one) | inside(other)
        assert one.iou(other) == pytest.approx(both.sum() / either.sum(), abs=2e-3)
        assert one.iou(other) == pytest.approx(other.iou(one), abs=1e-4)
    assert one.iou(one) == pytest.approx(1, abs=1e-4)


def test_both_ways_to_find_what_boxes_share_agree():
    """Clipping of polygons, and the sum over circles of latitude."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        one, other = (SphericalBox(*rng.uniform(-80, 80, 2), *rng.uniform(5, 180, 2), 20) for _ in range(2))
        planes = np.concatenate([one.half_spaces, other.half_spaces])
        assert one.intersection(other) == pytest.approx(shared_area(planes), abs=1e-4)


def test_boxes_apart_share_nothing():
    assert SphericalBox(0, 0, 40, 40).iou(SphericalBox(180, 0, 40, 40)) == 0
    assert len(clip_polygon(SphericalBox(0, 0, 40, 40).outline(9)[:-1], SphericalBox(180, 0, 4, 4).half_spaces)) == 0


@pytest.mark.parametrize("size", [4e-6, 1e-3, 1.0])
def test_small_boxes_are_exact(size):
    box = SphericalBox(120, 50, size, size)
    assert box.iou(SphericalBox(120, 50, size / 2, size)) == pytest.approx(0.5, rel=1e-4)
    assert box.iou(box) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("name", [name for name in BOXES if name not in ("sphere",)])
def test_the_outline_runs_along_the_border(name):
    box = BOXES[name]
    outline = box.outline(401)
    assert np.allclose(np.linalg.norm(outline, axis=-1), 1)
    assert np.allclose(outline[0], outline[-1])
    x, y, z = np.moveaxis(outline @ box.rotation, -1, 0)
    across = np.abs(np.abs(np.arctan2(x, z)) - math.radians(box.width_deg) / 2) < 1e-6
    height = np.arcsin(np.clip(y, -1, 1)) if box.width_deg > 180 else np.arctan2(y, z)
    up = np.abs(np.abs(height) - math.radians(box.height_deg) / 2) < 1e-6
    at_the_ends_of_an_axis = np.minimum(np.hypot(x, z), np.hypot(y, z)) < 1e-6
    assert (across | up | at_the_ends_of_an_axis).all()


@pytest.mark.parametrize("yaw", [0, 179, -180])
@pytest.mark.parametrize("pitch", [-90, -50, 0, 90])
def test_a_whole_view_is_a_box(yaw, pitch):
    view = PerspectiveView(yaw, pitch, 25, hfov_deg=100, vfov_deg=60)
    box = SphericalBox.from_view_box(view, (0, 0, 1, 1))
    assert (box.width_deg, box.height_deg) == (pytest.approx(100), pytest.approx(60))
    assert np.allclose(box.rotation, view.rotation)
    assert box.to_view_box(view) == pytest.approx((0, 0, 1, 1))


def test_to_view_box_is_what_the_view_sees_of_the_box():
    """Against the pixels of the view whose rays are inside."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        view = PerspectiveView(*rng.uniform(-180, 180, 1), *rng.uniform(-90, 90, 1), 10, hfov_deg=90)
        wide = rng.random() < 0.3
        box = SphericalBox(
            rng.uniform(-180, 180), rng.uniform(-90, 90), rng.uniform(200, 360) if wide else rng.uniform(5, 150), 40
        )
        seen = np.argwhere(box.contains(view.rays((300, 300))))
        found = box.to_view_box(view)
        if len(seen) < 200:
            continue
        assert found is not None
        (top, left), (bottom, right) = seen.min(axis=0) / 300, (seen.max(axis=0) + 1) / 300
        assert found == pytest.approx((left, top, right, bottom), abs=0.02)


def test_to_view_box_of_a_box_behind_is_none():
    assert SphericalBox(180, 0, 30, 30).to_view_box(PerspectiveView(0)) is None
    assert SphericalBox(180, 0, 200, 30).to_view_box(PerspectiveView(0, hfov_deg=60)) is None
    assert SphericalBox(180, 0, 359, 30).to_view_box(PerspectiveView(90, hfov_deg=60)) is not None


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 1), (0.5, 0, 0.4, 1), (-0.1, 0, 1, 1), (0, 0, 1, 1.1), (math.nan, 0, 1, 1), (0, 0, 1, math.inf)]
)
def test_rectangles_that_are_none(box):
    with pytest.raises(PanoramaError, match=r"a rectangle in a view must be .* got \("):
        SphericalBox.from_view_box(PerspectiveView(0), box)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 91, 10, 10), "pitch_deg must be in [-90, 90], got 91"),
        ((0, 0, 0, 10), "width_deg must be between 1e-06 and 360 degrees, got 0"),
        ((0, 0, 361, 10), "width_deg must be between 1e-06 and 360 degrees, got 361"),
        ((0, 0, 10, 181), "height_deg must be between 1e-06 and 180 degrees, got 181"),
        ((0, 0, 10, -1), "height_deg must be between 1e-06 and 180 degrees, got -1"),
        ((math.nan, 0, 10, 10), "SphericalBox.yaw_deg must be a finite number of degrees, got nan"),
    ],
)
def test_impossible_boxes(values, message):
    with pytest.raises(PanoramaError, match=re.escape(message)):
        SphericalBox(*values)


def test_too_few_points_for_an_outline():
    with pytest.raises(PanoramaError, match="at least 5 points, got 4"):
        SphericalBox(0, 0, 10, 10).outline(4)


def test_a_dictionary_for_json():
    box = SphericalBox(1, 2, 3, 4, 5)
    assert SphericalBox(**box.to_dict()) == box


def coloured(image):
    return np.asarray(image).any(axis=-1)


def test_a_drawn_box_continues_across_the_seam():
    black = torch.zeros(3, 128, 256, dtype=torch.uint8)
    drawn = coloured(draw_boxes(black, [SphericalBox(180, 0, 40, 40)]))
    assert drawn[:, 0].any()
    assert drawn[:, -1].any()
    assert not drawn[:, 64:192].any()  # no line straight across the panorama


def test_a_drawn_box_is_curved():
    black = torch.zeros(3, 128, 256, dtype=torch.uint8)
    drawn = coloured(draw_boxes(black, [SphericalBox(0, 45, 60, 40)]))
    rows = [np.flatnonzero(drawn[:, column]).min() for column in (105, 128)]
    assert rows[0] != rows[1]


def test_labels_are_readable_and_do_not_cover_each_other():
    black = torch.zeros(3, 256, 512, dtype=torch.uint8)
    boxes = [SphericalBox(0, 0, 40, 40), SphericalBox(1, 0, 40, 40), SphericalBox(179, 88, 30, 30)]
    plain = np.asarray(draw_boxes(black, boxes)).astype(int)
    named = np.asarray(draw_boxes(black, boxes, ["first", "second\nline", "x" * 99])).astype(int)
    changed = (plain != named).any(axis=-1)
    assert changed.sum() > 3 * 200
    assert changed.any(axis=1).nonzero()[0].min() >= 0


def test_labels_must_fit_the_boxes():
    black = torch.zeros(3, 64, 128, dtype=torch.uint8)
    with pytest.raises(PanoramaError, match="one label for each of the 1 boxes, got 2"):
        draw_boxes(black, [SphericalBox(0, 0, 10, 10)], ["a", "b"])
