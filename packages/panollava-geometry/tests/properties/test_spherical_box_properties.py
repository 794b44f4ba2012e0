"""Properties of any box on the sphere."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from panollava_geometry import PerspectiveView, SphericalBox, rotation_matrix

settings.register_profile("boxes", deadline=None, max_examples=40, derandomize=True)
PROFILE = settings.get_profile("boxes")

yaws, pitches, rolls = st.floats(-400, 400), st.floats(-90, 90), st.floats(-180, 180)
narrow = st.builds(SphericalBox, yaws, pitches, st.floats(1, 180), st.floats(1, 180), rolls)
wide = st.builds(SphericalBox, yaws, pitches, st.floats(180.1, 360), st.floats(1, 180), rolls)
boxes = narrow | wide
views = st.builds(PerspectiveView, yaws, pitches, rolls, st.floats(20, 110))


def turned(box, rotation):
    return SphericalBox.of_frame(rotation @ box.rotation, box.width_deg, box.height_deg)


@PROFILE
@given(boxes)
def test_a_box_is_itself(box):
    assert abs(box.iou(box) - 1) < 1e-4


@PROFILE
@given(boxes, boxes)
def test_iou_is_symmetric_and_bounded(one, other):
    found = one.iou(other)
    assert 0 <= found <= 1
    assert abs(found - other.iou(one)) < 1e-4
    assert one.intersection(other) <= min(one.area, other.area) + 1e-4


@PROFILE
@given(boxes, boxes, yaws, pitches, rolls)
def test_a_rotation_of_the_sphere_changes_no_iou(one, other, yaw, pitch, roll):
    rotation = rotation_matrix(yaw, pitch, roll)
    assert abs(turned(one, rotation).iou(turned(other, rotation)) - one.iou(other)) < 3e-4


@PROFILE
@given(boxes, st.integers(-3, 3))
def test_whole_turns_change_nothing(box, turns):
    other = SphericalBox(box.yaw_deg + 360 * turns, box.pitch_deg, box.width_deg, box.height_deg, box.roll_deg + 360)
    assert box.iou(other) > 1 - 1e-4


@PROFILE
@given(views, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_a_rectangle_in_the_centre_of_a_view_and_back(view, width, height):
    rectangle = ((1 - width) / 2, (1 - height) / 2, (1 + width) / 2, (1 + height) / 2)
    box = SphericalBox.from_view_box(view, rectangle)
    assert np.allclose(box.rotation, view.rotation, atol=1e-9)
    assert np.allclose(box.to_view_box(view), rectangle, atol=1e-9)


@PROFILE
@given(views, st.tuples(*[st.floats(0, 1)] * 4))
def test_the_box_of_any_rectangle(view, corners):
    """Its centre is inside of the rectangle, and in views that are not too wide it comes back, nearly."""
    (left, right), (top, bottom) = sorted(corners[:2]), sorted(corners[2:])
    assume(right - left > 0.02 and bottom - top > 0.02)
    box = SphericalBox.from_view_box(view, (left, top, right, bottom))
    place, seen = view.rays_to_pixels(box.rotation[:, 2], (1, 1))
    assert seen
    assert left < place[0] < right
    assert top < place[1] < bottom
    back = box.to_view_box(view)
    assert back is not None
    if view.hfov_deg <= 60:
        size = max(right - left, bottom - top)
        assert np.allclose(back, (left, top, right, bottom), atol=0.13 * size + 1e-6)


@PROFILE
@given(narrow, st.floats(-1, 1), st.floats(-1, 1))
def test_a_box_contains_what_is_between_its_centre_and_its_border(box, u, v):
    inner = box._rays(np.array([u * 0.999]), np.array([v * 0.999]))
    assume(np.linalg.norm(inner) > 0.5)
    assert box.contains(inner).all()


@PROFILE
@given(boxes)
def test_the_opposite_of_the_centre_is_outside(box):
    assert box.contains(box.rotation[:, 2])
    assert box.width_deg == 360 or not box.contains(-box.rotation[:, 2])
