"""Captions: apart from each other, inside the image, repeated at the seam."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import EquirectangularView, PerspectiveView, ViewPlan, plan_views
from panollava_geometry._views._sphere import rays_to_equirect
from panollava_geometry.drawing import (
    Caption,
    colour,
    direction_words,
    draw_captions,
    place_labels,
    text_line,
    text_size,
    view_words,
    with_colour_bar,
)
from PIL import Image

PLANS = {
    "cubemap": plan_views("cubemap"),
    "e2p": plan_views("e2p"),
    "anyres": plan_views(),
    "25 views": ViewPlan(
        [EquirectangularView()]
        + [PerspectiveView(yaw, pitch, hfov_deg=60) for pitch in (-60, 0, 60) for yaw in range(-180, 180, 45)]
    ),
    "all at one place": ViewPlan([PerspectiveView(179.0, 89.0)] * 12),
    "poles": ViewPlan([PerspectiveView(yaw, pitch) for pitch in (90, -90) for yaw in (0, 90, 180, 270)]),
}


def apart(rectangles):
    """Whether no two rectangles share a pixel."""
    return all(
        a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
        for a, b in itertools.combinations(rectangles, 2)
    )


def inside(rectangles, size):
    return all(x >= 0 and y >= 0 and r <= size[0] + 1e-6 and b <= size[1] + 1e-6 for x, y, r, b in rectangles)


@pytest.mark.parametrize("size", [(256, 128), (512, 256), (1600, 800), (16384, 8192)])
@pytest.mark.parametrize("name", PLANS)
def test_captions_of_views_stay_apart_and_inside(name, size):
    plan = PLANS[name]
    image = Image.new("RGB", size)
    centres = [rays_to_equirect(view.rays((1, 1))[0, 0], (size[1], size[0])) for view in plan]
    captions = [Caption(float(x), float(y), str(index), colour(index)) for index, (x, y) in enumerate(centres)]
    places = draw_captions(image, captions)
    assert all(places)
    flat = [rectangle for one in places for rectangle in one]
    assert apart(flat)
    assert inside(flat, size)
    if size[0] <= 2048:  # what was drawn is inside of the rectangles
        free = np.asarray(image).any(-1)
        for left, top, right, bottom in flat:
            free = free & ~_mask(free.shape, left, top, right, bottom)
        assert not free.any()


def _mask(shape, left, top, right, bottom):
    mask = np.zeros(shape, dtype=bool)
    mask[int(top) : round(bottom) + 1, int(left) : round(right) + 1] = True
    return mask


label = st.tuples(st.floats(-50, 700), st.floats(-50, 350), st.floats(1, 120), st.floats(1, 60))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(label, max_size=30), st.sampled_from([(640, 320), (200, 100)]), st.booleans(), st.floats(0, 4))
def test_labels_never_collide(labels, size, seam, gap):
    places = place_labels([one[:2] for one in labels], [one[2:] for one in labels], size, gap=gap, seam=seam)
    flat = [rectangle for one in places for rectangle in one]
    assert apart(flat)
    assert inside(flat, size)
    assert all(
        abs((r - x) - one[2]) < 1e-6 and abs((b - y) - one[3]) < 1e-6
        for one, rectangles in zip(labels, places, strict=True)
        for x, y, r, b in rectangles
    )


def test_a_label_that_has_room_stays_at_its_anchor():
    (places,) = place_labels([(100, 50)], [(20, 10)], (200, 100))
    assert places == [(90, 45, 110, 55)]


def test_a_label_moves_as_little_as_possible():
    first, second = place_labels([(100, 50), (104, 52)], [(40, 10), (40, 10)], (200, 100), gap=1)
    assert first == [(80, 45, 120, 55)]
    assert second == [(84, 56, 124, 66)]  # down by 9 pixels; to the side it would be 37


@pytest.mark.parametrize("x", [0, 3, 197, 199.5])
def test_a_label_at_the_seam_is_at_both_edges_in_full(x):
    (places,) = place_labels([(x, 50)], [(20, 10)], (200, 100))
    assert places == [(0, 45, 20, 55), (180, 45, 200, 55)]
    (single,) = place_labels([(x, 50)], [(20, 10)], (200, 100), seam=False)
    assert len(single) == 1


def test_labels_keep_away_from_what_they_should_avoid_where_there_is_room():
    (places,) = place_labels([(100, 50)], [(20, 10)], (200, 100), avoid=[(80, 40, 120, 60)])
    assert apart([*places, (80, 40, 120, 60)])
    (places,) = place_labels([(100, 50)], [(20, 10)], (200, 100), avoid=[(0, 0, 200, 100)])
    assert places == [(90, 45, 110, 55)]


def test_where_there_is_no_room_a_label_is_left_out():
    assert [len(places) for places in place_labels([(5, 4)] * 3, [(10, 8)] * 3, (10, 16))] == [1, 1, 0]
    assert place_labels([(5, 5)], [(30, 10)], (20, 10)) == [[]]
    many = draw_captions(Image.new("RGB", (64, 32)), [Caption(32, 16, f"caption {k}") for k in range(40)])
    assert not all(many)
    assert apart([rectangle for one in many for rectangle in one])


def test_letters_grow_with_the_image():
    assert [text_size((width, width // 2)) for width in (128, 256, 960, 16384)] == [
        10,
        10,
        20,
        pytest.approx(341.3, 0.1),
    ]
    assert text_line("ahead", 40).width == pytest.approx(4 * text_line("ahead", 10).width, rel=0.05)


def test_directions_in_words():
    words = [direction_words(yaw) for yaw in range(-180, 181, 45)]
    assert words == "behind,behind left,left,ahead left,ahead,ahead right,right,behind right,behind".split(",")
    assert [direction_words(0, pitch) for pitch in (-90, -60, -20, 10, 40, 90)] == [
        "down",
        "ahead, down",
        "ahead, down",
        "ahead",
        "ahead, up",
        "up",
    ]
    assert view_words(EquirectangularView((150, 210), (-45, 45))) == ("behind", "+150° to -150°, pitch -45° to +45°")
    assert view_words(EquirectangularView((-180, 180), (0, 90))) == ("panorama", "all around, pitch 0° to +90°")
    with pytest.raises(TypeError, match="got int"):
        view_words(3)


def test_a_colour_bar_is_below_the_image():
    image = Image.new("RGB", (800, 400), (9, 9, 9))
    drawn = np.asarray(with_colour_bar(image, "little", "much", "share of the answer"))
    assert (drawn[:400] == 9).all()
    assert drawn.shape[1] == 800
    assert len(np.unique(drawn[400 + (drawn.shape[0] - 400) // 2], axis=0)) > 100
