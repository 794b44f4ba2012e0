"""Depth and normals of a room, from the formulas in float64."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import (
    EquirectangularView,
    PanoramaError,
    PerspectiveView,
    ViewPlan,
    extract_views,
    normals_to_view,
    normals_to_world,
    paste_views,
    plan_views,
    radial_to_z_depth,
    rotate_normals,
    rotation_matrix,
    z_to_radial_depth,
)

WALLS = np.array([2.0, 1.5, 3.0])  # half the width, height and length of the room, the camera in its centre
PROFILE = settings(deadline=None, max_examples=40, derandomize=True)
views = st.builds(PerspectiveView, st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180), st.floats(5, 150))


def room(rays):
    """Radial depth, and the normal that faces the camera."""
    distance = WALLS / np.maximum(np.abs(rays), 1e-12)
    wall = distance.argmin(-1)
    normal = -np.sign(np.take_along_axis(rays, wall[..., None], -1)) * np.eye(3)[wall]
    return distance.min(-1), normal


def test_z_depth_of_a_room_is_the_distance_of_the_wall(formulas):
    """Ahead of the camera, the z-depth of the wall is 3 everywhere; its radial depth is not."""
    view = PerspectiveView(0, hfov_deg=50)
    radial = room(formulas.view(0, 0, 0, 50, 50, 16, 16))[0][None]
    assert np.ptp(radial) > 0.3
    z = radial_to_z_depth(radial, view)
    np.testing.assert_allclose(z, 3.0, rtol=1e-12)
    np.testing.assert_allclose(z_to_radial_depth(z, view), radial, rtol=1e-12)


def test_a_depth_map_through_views_and_back(formulas):
    radial, _ = room(formulas.panorama(256))
    plan = plan_views("cubemap")
    views_of_it = extract_views(radial, plan, 256, interpolation="nearest")
    z = radial_to_z_depth(views_of_it, plan)
    exact = np.stack([room(view.rays((256, 256)))[0] * (view.rays((256, 256)) @ view.rotation[:, 2]) for view in plan])
    assert np.median(np.abs(z / exact - 1)) < 0.01
    back, coverage = paste_views(z_to_radial_depth(z, plan), plan, 256, interpolation="nearest")
    assert (coverage > 0).all()
    assert np.median(np.abs(back / radial - 1)) < 0.01
    assert np.isin(np.round(back, 6), np.round(radial, 6)).mean() > 0.99  # no values in between


@PROFILE
@given(views, st.booleans())
def test_z_is_radial_times_the_cosine(view, align_corners):
    radial = np.random.default_rng(0).uniform(0.1, 9, (1, 5, 7))
    z = radial_to_z_depth(radial, view, align_corners=align_corners)
    rays = view.rays((5, 7), align_corners=align_corners)
    cosine = np.einsum("hwc,c->hw", rays, rotation_matrix(view.yaw_deg, view.pitch_deg)[:, 2])
    np.testing.assert_allclose(z[0], radial[0] * cosine, rtol=1e-9)
    np.testing.assert_allclose(z_to_radial_depth(z, view, align_corners=align_corners), radial, rtol=1e-9)


def test_missing_depth_stays_missing():
    depth = np.array([[[0.0, math.inf, math.nan]]])
    for convert in (radial_to_z_depth, z_to_radial_depth):
        np.testing.assert_array_equal(convert(depth, PerspectiveView(0)), depth)


def test_normals_of_a_wall_face_the_camera(formulas):
    plan = ViewPlan([PerspectiveView(yaw, hfov_deg=40) for yaw in (0, 90, 180, -90)])
    normals = np.stack([room(formulas.view(view.yaw_deg, 0, 0, 40, 40, 8, 8))[1] for view in plan])
    turned = normals_to_view(normals, plan)
    np.testing.assert_allclose(turned, np.broadcast_to([0.0, 0.0, -1.0], turned.shape), atol=1e-12)
    np.testing.assert_allclose(normals_to_world(turned, plan), normals, atol=1e-12)


@PROFILE
@given(views)
def test_normals_turn_with_the_view(view):
    vectors = np.random.default_rng(0).normal(size=(1, 3, 4, 3))
    there = normals_to_view(vectors, view, unit=False)
    expected = np.einsum("ji,...j->...i", rotation_matrix(view.yaw_deg, view.pitch_deg, view.roll_deg), vectors)
    np.testing.assert_allclose(there, expected, atol=1e-12)
    np.testing.assert_allclose(normals_to_world(there, view, unit=False), vectors, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(normals_to_view(vectors, view), axis=-1), 1, atol=1e-12)


@pytest.mark.parametrize("pose", [(90, 0, 0), (30, 0, 0), (10, 20, 30), (-120, -70, 200)])
def test_a_rotated_normal_map_is_the_normals_of_the_rotated_room(formulas, pose):
    rays = formulas.panorama(64)
    _, normals = room(rays)
    turned = rotate_normals(normals, *pose, interpolation="nearest")
    rotation = rotation_matrix(*pose)
    expected = room(rays @ rotation.T)[1] @ rotation
    assert (np.abs(turned - expected).max(-1) < 1e-9).mean() > 0.95  # all but the pixels at the edges of walls
    np.testing.assert_allclose(np.linalg.norm(rotate_normals(normals, *pose), axis=-1), 1, atol=1e-6)


def test_zero_vectors_windows_and_batches():
    zero = torch.zeros(2, 1, 3, 4, 4)
    assert torch.equal(normals_to_view(zero, PerspectiveView(20)), zero)
    vectors = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64)
    plan = [EquirectangularView(), PerspectiveView(50, 10)]
    turned = normals_to_view(vectors, plan, unit=False)
    assert torch.equal(turned[:, 0], vectors[:, 0])
    torch.testing.assert_close(turned.norm(dim=2), vectors.norm(dim=2))


def test_gradients():
    plan = [PerspectiveView(50, 10)]
    depth = (torch.rand(1, 1, 3, 3, dtype=torch.float64) + 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda d: radial_to_z_depth(d, plan), (depth,))
    normals = (torch.rand(1, 3, 2, 2, dtype=torch.float64) + 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda n: normals_to_view(n, plan), (normals,))
    zero = torch.zeros(1, 3, 2, 2, requires_grad=True)
    normals_to_view(zero, plan).sum().backward()
    assert zero.grad.isfinite().all()


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: radial_to_z_depth(np.ones((1, 4, 4)), EquirectangularView()), "z-depth needs an optical axis"),
        (lambda: radial_to_z_depth(np.ones((2, 4, 4)), PerspectiveView(0)), "depth must be [..., 1 views"),
        (lambda: radial_to_z_depth(np.ones((1, 4, 4), np.uint16), PerspectiveView(0)), "got uint16"),
        (lambda: radial_to_z_depth(torch.ones(1, 1, 4, 4, dtype=torch.uint8), PerspectiveView(0)), "floating point"),
        (lambda: z_to_radial_depth("depth.png", PerspectiveView(0)), "expected depth as a tensor"),
        (lambda: normals_to_view(np.ones((1, 4, 4, 2)), PerspectiveView(0)), "3 channels (x, y, z), got 2"),
        (lambda: rotate_normals(np.ones((4, 8, 3), np.uint8)), "decode them first"),
        (lambda: rotate_normals(np.ones((4, 8))), "3 channels"),
    ],
)
def test_errors(call, message):
    with pytest.raises(PanoramaError, match=re.escape(message)):
        call()
