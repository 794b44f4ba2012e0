"""Overlaps, merging and regions of boxes on the sphere."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import EquirectangularView, PanoramaError, PerspectiveView, SphericalBox, boxes, rotation_matrix
from panollava_geometry._boxes._convex import shared_area

PROFILE = settings(deadline=None, max_examples=40, derandomize=True)
yaws, pitches, rolls = st.floats(-400, 400), st.floats(-90, 90), st.floats(-180, 180)
narrow = st.builds(SphericalBox, yaws, pitches, st.floats(1, 170), st.floats(1, 170), rolls)
wide = st.builds(SphericalBox, yaws, pitches, st.floats(180.1, 360), st.floats(1, 180), rolls)
any_box = narrow | wide


def some(count, seed=0, low=2, high=40):
    rng = np.random.default_rng(seed)
    return [
        SphericalBox(
            rng.uniform(-180, 180), np.degrees(np.arcsin(rng.uniform(-1, 1))), *rng.uniform(low, high, 2), roll
        )
        for roll in rng.uniform(-90, 90, count)
    ]


@PROFILE
@given(narrow, narrow)
def test_both_exact_ways_to_find_what_boxes_share_agree(one, other):
    planes = np.concatenate([one.half_spaces, other.half_spaces])
    assert shared_area(planes) == pytest.approx(one.intersection(other), abs=1e-12)


@PROFILE
@given(any_box, any_box, yaws, pitches, rolls)
def test_iou_is_exact_for_boxes_of_any_width(one, other, yaw, pitch, roll):
    rotation = rotation_matrix(yaw, pitch, roll)
    turned = [SphericalBox.of_frame(rotation @ box.rotation, box.width_deg, box.height_deg) for box in (one, other)]
    assert one.iou(one) == pytest.approx(1, abs=1e-12)
    assert turned[0].iou(turned[1]) == pytest.approx(one.iou(other), abs=1e-9)


def test_iou_of_wide_boxes_has_closed_forms():
    ring = SphericalBox(0, 0, 360, 60)
    assert ring.iou(SphericalBox(40, 0, 360, 30)) == pytest.approx(math.sin(math.radians(15)) / 0.5, abs=1e-13)
    part = SphericalBox(123, 0, 200, 60)
    assert ring.iou(part) == pytest.approx(200 / 360, abs=1e-13)
    turned = SphericalBox(213, 0, 200, 60)
    assert part.iou(turned) == pytest.approx(110 / 290, abs=1e-13)
    lune = SphericalBox(0, 0, 40, 180)
    assert ring.intersection(lune) == pytest.approx(math.radians(40) * 2 * 0.5, abs=1e-13)


@pytest.mark.parametrize("high", [40, 175, 180])
def test_pairwise_iou_is_the_iou_of_each_pair(high):
    one, other = some(25, 0, 2, high), [*some(15, 1, 2, high), SphericalBox(0, 0, 300, 90), SphericalBox(0, 90, 5, 5)]
    found = boxes.pairwise_iou(one, other)
    expected = [[box.iou(second) for second in other] for box in one]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.count_nonzero(found) > 10
    assert boxes.pairwise_iou([], other).shape == (0, 17)
    assert boxes.pairwise_iou(one, []).shape == (25, 0)


def plain_suppression(many, scores, labels, threshold, smaller=False):
    """The definition, one pair after the other."""
    kept = []
    for index in sorted(range(len(many)), key=lambda place: -scores[place]):
        for best in kept:
            shared = many[best].intersection(many[index])
            areas = many[best].area, many[index].area
            if labels[best] == labels[index] and shared / (min(areas) if smaller else sum(areas) - shared) > threshold:
                break
        else:
            kept.append(index)
    return kept


@pytest.mark.parametrize("overlap", ["iou", "smaller"])
@pytest.mark.parametrize("threshold", [0, 0.1, 0.5, 1])
def test_suppression_is_the_definition(overlap, threshold):
    many = some(60, 3, 20, 60)
    scores = np.random.default_rng(0).permutation(60) / 60
    labels = [("cat", "dog")[index % 2] for index in range(60)]
    found = boxes.non_maximum_suppression(many, scores, labels=labels, threshold=threshold, overlap=overlap)
    assert found.tolist() == plain_suppression(many, scores, labels, threshold, overlap == "smaller")


def test_suppression_of_many_detections_at_the_seam_and_poles():
    rng = np.random.default_rng(0)
    centres = [(180, 0), (-179, 20), (0, 90), (50, -88), (10, 0)]
    many = [
        SphericalBox(yaw + rng.normal(0, 0.3), np.clip(pitch + rng.normal(0, 0.3), -90, 90), 12, 10)
        for _ in range(400)
        for yaw, pitch in centres
    ]
    kept = boxes.non_maximum_suppression(many, torch.from_numpy(rng.random(2000)), threshold=0.3)
    assert sorted(index % 5 for index in kept) == [0, 1, 2, 3, 4] or len(kept) <= 7  # boxes at a pole have any yaw


def test_equal_scores_keep_the_first():
    same = [SphericalBox(0, 0, 10, 10)] * 3
    assert boxes.non_maximum_suppression(same, [0.5, 0.5, 0.5]).tolist() == [0]
    assert boxes.non_maximum_suppression([], []).tolist() == []
    assert boxes.merge_boxes([], []) == []


@PROFILE
@given(st.builds(SphericalBox, yaws, pitches, st.floats(5, 60), st.floats(5, 60), rolls), st.floats(0.1, 5))
def test_the_mean_of_two_boxes_is_between_them(box, shift):
    turned = SphericalBox.of_frame(box.rotation @ rotation_matrix(shift), box.width_deg, box.height_deg)
    (merged,) = boxes.merge_boxes([box, turned], [0.5, 0.5], threshold=0)
    middle = SphericalBox.of_frame(box.rotation @ rotation_matrix(shift / 2), box.width_deg, box.height_deg)
    assert merged.box.iou(middle) > 1 - 1e-6
    assert merged.members == (0, 1)


def test_the_same_box_in_other_words_is_merged_into_itself():
    box = SphericalBox(20, 30, 40, 20, 10)
    same = [
        box,
        SphericalBox(20, 30, 40, 20, 190),
        SphericalBox(20, 30, 20, 40, 100),
        SphericalBox(20, 30, 20, 40, -80),
    ]
    assert [box.iou(other) for other in same] == pytest.approx([1, 1, 1, 1], abs=1e-9)
    (merged,) = boxes.merge_boxes(same, [0.9, 0.8, 0.7, 0.6])
    assert merged.box.iou(box) == pytest.approx(1, abs=1e-9)


def test_an_object_cut_by_the_edges_of_views_is_joined():
    """A table across two views: each sees a part of it, and the union is the table."""
    table = SphericalBox(45, -5, 40, 12)
    views = [PerspectiveView(0, hfov_deg=90), PerspectiveView(90, hfov_deg=90), PerspectiveView(45, hfov_deg=30)]
    parts = [SphericalBox.from_view_box(view, table.to_view_box(view)) for view in views]
    assert max(part.iou(table) for part in parts) < 0.8
    merged = boxes.merge_boxes(parts, [0.9, 0.8, 0.7], threshold=0.2, overlap="smaller", method="union")
    assert len(merged) == 1
    assert merged[0].members == (0, 1, 2)
    assert merged[0].box.iou(table) > 0.7
    apart = boxes.merge_boxes(parts, [0.9, 0.8, 0.7], labels=["table", "chair", "table"], method="union")
    assert {item.label for item in apart} == {"table", "chair"}


@PROFILE
@given(
    st.lists(
        st.builds(SphericalBox, st.floats(-20, 20), st.floats(-20, 20), st.floats(2, 40), st.floats(2, 40), rolls),
        min_size=2,
        max_size=5,
    )
)
def test_a_union_encloses_its_members(many):
    for merged in boxes.merge_boxes(many, [1] * len(many), threshold=0, method="union"):
        for member in merged.members:
            assert merged.box.intersection(many[member]) == pytest.approx(many[member].area, rel=1e-6)


@PROFILE
@given(st.floats(-180, 180), pitches, rolls, st.integers(1, 12), st.floats(0.1, 60))
def test_a_box_around_directions_encloses_them_tightly(yaw, pitch, roll, count, spread):
    rng = np.random.default_rng(count)
    angles = np.tan(np.deg2rad(rng.uniform(-spread, spread, (count, 2))))
    rays = np.column_stack([angles, np.ones(count)]) @ rotation_matrix(yaw, pitch).T
    box = boxes.box_around(rays, roll_deg=roll)
    assert box.contains(rays).all()
    x, y, z = (rays @ box.rotation).T
    for tangent, size in ((np.arctan2(x, z), box.width_deg), (np.arctan2(y, z), box.height_deg)):
        assert np.degrees(np.ptp(tangent)) == pytest.approx(size, abs=2e-6)


def test_a_box_around_directions_everywhere():
    rays = np.concatenate([np.eye(3), -np.eye(3)])
    assert boxes.box_around(rays).contains(rays).all()


@PROFILE
@given(any_box)
def test_a_window_is_the_range_of_the_box(box):
    window = boxes.box_to_window(box)
    u, v = np.meshgrid(np.linspace(-1, 1, 101), np.linspace(-1, 1, 101))
    rays = box._rays(u, v).reshape(-1, 3)
    yaw, pitch = np.degrees(np.arctan2(rays[:, 0], rays[:, 2])), np.degrees(np.arcsin(np.clip(rays[:, 1], -1, 1)))
    (left, right), (low, high) = window.longitude_range_deg, window.latitude_range_deg
    assert low - 1e-3 <= pitch.min()
    assert pitch.max() <= high + 1e-3
    off_axis = np.abs(pitch) < 89.999
    middle = (left + right) / 2
    across = np.abs((yaw[off_axis] - middle + 180) % 360 - 180)
    assert across.max() <= (right - left) / 2 + 1e-3
    assert low == -90 or abs(pitch.min() - low) < 2.5
    assert high == 90 or abs(pitch.max() - high) < 2.5


@PROFILE
@given(st.floats(-180, 180), st.floats(1, 360), st.floats(-90, 85), st.floats(1, 180))
def test_the_box_of_a_window_encloses_it(left, width, low, height):
    window = EquirectangularView((left, left + width), (low, min(90, low + height)))
    box = boxes.window_to_box(window)
    inner = window.point_to_ray(np.stack(np.meshgrid(np.linspace(0.001, 0.999, 41), np.linspace(0.001, 0.999, 41)), -1))
    assert box.contains(inner).all()


def test_rectangles_of_the_panorama():
    assert boxes.box_to_erp(SphericalBox(0, 90, 60, 60), 180)[0] == pytest.approx(
        (0, 0, 360, math.degrees(math.atan(math.tan(math.radians(30)) * 2**0.5)))
    )
    first, second = boxes.box_to_erp(SphericalBox(175, 0, 20, 10), 180)
    assert first == pytest.approx((345, 85, 360, 95), abs=0.1)
    assert second == pytest.approx((0, 85, 5, 95), abs=0.1)
    box = boxes.erp_to_box((345, 85, 365, 95), 180)
    assert box.yaw_deg == pytest.approx(175)
    assert box.iou(boxes.erp_to_box((-15, 85, 5, 95), 180)) == pytest.approx(1)
    assert boxes.erp_to_box((0, 0, 360, 180), 180) == SphericalBox(0, 0, 360, 180)
    cap = boxes.erp_to_box((0, 0, 360, 20), 180)
    assert (cap.pitch_deg, cap.width_deg) == (90, 40)


def test_other_definitions():
    box = SphericalBox(-90, 30, 20, 10, 5)
    assert boxes.sph_to_box(boxes.box_to_sph(box)) == box
    assert boxes.sph_to_box((180, 90, 20, 10)) == SphericalBox(0, 0, 20, 10)
    region = SphericalBox(30, 20, 90, 40)
    around = boxes.latitude_box_to_box(region)
    rays = np.random.default_rng(0).normal(size=(200_000, 3))
    x, y, z = np.moveaxis(rays @ region.rotation, -1, 0)
    in_region = (np.abs(np.arctan2(x, z)) <= math.radians(45)) & (
        np.abs(np.arctan2(y, np.hypot(x, z))) <= math.radians(20)
    )
    assert around.contains(rays[in_region]).all()
    assert in_region.mean() * 4 * math.pi == pytest.approx(2 * math.radians(90) * math.sin(math.radians(20)), abs=0.02)
    assert not region.contains(rays[in_region]).all()


BOX = SphericalBox(0, 0, 10, 10)


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: boxes.pairwise_iou(BOX, [BOX]), "boxes must be a list of SphericalBox, got SphericalBox("),
        (lambda: boxes.pairwise_iou([BOX], [BOX, (0, 0, 1, 1)]), "got (0, 0, 1, 1) at place 1"),
        (
            lambda: boxes.non_maximum_suppression([BOX], [0.5, 0.5]),
            "one number for each of the 1 boxes, got shape (2,)",
        ),
        (lambda: boxes.non_maximum_suppression([BOX], [math.nan]), "scores must be finite, got nan"),
        (lambda: boxes.non_maximum_suppression([BOX], ["a"]), "scores must be numbers ("),
        (lambda: boxes.non_maximum_suppression([BOX], [1], threshold=1.5), "threshold must be a number from 0 to 1"),
        (lambda: boxes.non_maximum_suppression([BOX], [1], overlap="giou"), "unknown overlap 'giou'"),
        (
            lambda: boxes.non_maximum_suppression([BOX], [1], labels=["a", "b"]),
            "one label for each of the 1 boxes, got 2",
        ),
        (lambda: boxes.non_maximum_suppression([BOX], [1], labels=3), "labels must be a list of names or numbers ("),
        (lambda: boxes.non_maximum_suppression([BOX], [1], labels=[[1]]), "labels must be a list of names or num"),
        (lambda: boxes.merge_boxes([BOX], [1], method="median"), "unknown method 'median': choose from mean, union"),
        (lambda: boxes.merge_boxes([BOX], [-1.0]), "scores must be positive for method='mean', got -1.0"),
        (lambda: boxes.box_around([[0.0, 0.0, 0.0]]), "at least one direction, none of length 0"),
        (lambda: boxes.box_around(np.zeros((0, 3))), "at least one direction"),
        (lambda: boxes.erp_to_box((0, 0, 361, 10), 180), "at most 360 wide, got (0.0, 0.0, 361.0, 10.0)"),
        (
            lambda: boxes.erp_to_box((0, 0, math.nan, 10), 180),
            "a rectangle must be (left, top, right, bottom) in pixels",
        ),
        (lambda: boxes.erp_to_box((0, 0, 10), 180), "a rectangle must be (left, top, right, bottom), got (0, 0, 10)"),
        (lambda: boxes.sph_to_box((0, 200, 10, 10)), "phi must be in [0, 180] degrees from the zenith, got 200.0"),
        (lambda: boxes.sph_to_box((0, 20, 10)), "a box must be (theta, phi, alpha, beta)"),
        (lambda: boxes.latitude_box_to_box(SphericalBox(0, 0, 180, 10)), "width_deg must be below 180, got 180"),
    ],
)
def test_errors(call, message):
    with pytest.raises(PanoramaError, match=re.escape(message)):
        call()


def test_inventory():
    assert boxes.__all__ == sorted(boxes.__all__, key=lambda name: (name.islower(), name))
    assert all(getattr(boxes, name).__doc__ for name in boxes.__all__)
