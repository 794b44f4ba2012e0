"""Properties of poses as tensors: the functions of tensors are those of numpy, and views follow the panorama."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import (
    CameraPoses,
    EquirectangularView,
    FisheyeView,
    PerspectiveView,
    extract_views,
    rotate_equirectangular,
    rotation_matrix,
)
from panollava_geometry._sampling._bilinear import read_bilinear
from panollava_geometry._views._sphere import rays_to_angles, rotation_angles
from panollava_geometry._views._sphere_tensors import ray_angles, rotation_angle_tensors, rotation_tensor
from panollava_geometry.video import interpolate_poses

settings.register_profile("geometry", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("geometry")

yaws, pitches, rolls, fields = st.floats(-720, 720), st.floats(-90, 90), st.floats(-180, 180), st.floats(1, 160)
angles = st.tuples(yaws, pitches, rolls)
views = st.tuples(yaws, pitches, rolls, fields, fields)
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def tensors(values):
    return torch.tensor(values, dtype=torch.float64).unbind(-1)


@given(angles)
def test_rotations_are_those_of_numpy(pose):
    matrix = rotation_tensor(*tensors(pose))
    np.testing.assert_allclose(matrix, rotation_matrix(*pose), atol=1e-12)
    found = [float(angle) for angle in rotation_angle_tensors(matrix)]
    np.testing.assert_allclose(rotation_matrix(*found), matrix, atol=1e-7)
    if abs(pose[1]) < 89.9:
        np.testing.assert_allclose(found, rotation_angles(matrix.numpy()), atol=1e-6)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_ray_angles_are_those_of_numpy(ray):
    if np.hypot(ray[0], ray[2]) < 1e-6:
        return
    expected = rays_to_angles(np.array(ray))
    for one, other in zip(ray_angles(*tensors(ray)), expected, strict=True):
        assert abs(float(one) - float(other)) < 1e-9


@given(st.lists(views, min_size=1, max_size=3), sizes, st.booleans(), st.booleans())
def test_poses_are_views(members, size, antialias, align_corners):
    noise = torch.rand(1, 16, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = torch.tensor(members, dtype=torch.float64, requires_grad=True)
    options = {"antialias": antialias, "align_corners": align_corners}
    got = extract_views(noise, CameraPoses(*values.unbind(-1)), size, **options)
    expected = extract_views(noise, [PerspectiveView(*member) for member in members], size, **options)
    torch.testing.assert_close(got.detach(), expected, atol=1e-5, rtol=0)
    got.sum().backward()
    assert values.grad.isfinite().all()


@given(st.lists(views, min_size=1, max_size=3), st.integers(-40, 40), st.booleans())
def test_turning_the_poses_rolls_the_panorama(members, columns, antialias):
    noise = torch.rand(1, 16, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    yaw, *rest = torch.tensor(members, dtype=torch.float64, requires_grad=True).unbind(-1)
    turned = extract_views(noise, CameraPoses(yaw + columns * 360 / 32, *rest), 5, antialias=antialias)
    rolled = extract_views(noise.roll(-columns, -1), CameraPoses(yaw, *rest), 5, antialias=antialias)
    torch.testing.assert_close(turned, rolled, atol=1e-8, rtol=0)


kinds = st.one_of(
    st.builds(PerspectiveView, yaws, pitches, rolls, fields),
    st.builds(FisheyeView, yaws, pitches, rolls, st.floats(1, 300)),
    st.builds(lambda left, width: EquirectangularView((left, left + width)), yaws, st.floats(1, 360)),
)


@given(st.integers(1, 3).flatmap(lambda count: st.lists(st.lists(kinds, min_size=count, max_size=count), min_size=2)))
def test_a_list_of_plans_is_one_plan_per_panorama(plans):
    noise = torch.rand(len(plans), 1, 8, 16, generator=torch.Generator().manual_seed(0))
    both = extract_views(noise, plans, 4)
    for panorama, plan, member in zip(noise, plans, both, strict=True):
        torch.testing.assert_close(member, extract_views(panorama, plan, 4))


@given(angles)
def test_rotations_by_tensors_are_those_by_numbers(pose):
    noise = torch.rand(2, 8, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    given_angles = torch.tensor(pose, dtype=torch.float64, requires_grad=True)
    turned = rotate_equirectangular(noise, *given_angles)
    torch.testing.assert_close(turned.detach(), rotate_equirectangular(noise, *pose), atol=1e-6, rtol=0)


@given(st.floats(-40, 40), st.floats(0, 6))
def test_bilinear_reads_are_the_formula(x, y):
    """The mean of the four nearest pixel centres, weighted by 1 - distance; beyond a pole, the opposite meridian."""
    panorama = np.random.default_rng(0).random((6, 12))
    value = 0.0
    for row in range(-1, 7):
        inside = 0 <= row < 6
        line = panorama[min(max(row, 0), 5)]
        for column in range(-60, 60):
            weight = max(0, 1 - abs(x - 0.5 - column)) * max(0, 1 - abs(y - 0.5 - row))
            value += weight * line[(column + (0 if inside else 6)) % 12]
    read = read_bilinear(
        torch.from_numpy(panorama)[None, None],
        torch.tensor([[x]], dtype=torch.float64),
        torch.tensor([[y]], dtype=torch.float64),
    )
    assert abs(float(read) - value) < 1e-9


@given(angles, angles, st.floats(0, 1))
def test_paths_are_rotations_between_the_keys(first, last, part):
    keys = CameraPoses(*tensors([first, last]))
    middle = interpolate_poses(keys, [0.0, 1.0], part).rotation[0].numpy()
    ends = keys.rotation.numpy()
    turn = lambda a, b: np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))  # noqa: E731
    whole = turn(*ends)
    assert abs(turn(ends[0], middle) + turn(middle, ends[1]) - whole) < 1e-3
    assert abs(turn(ends[0], middle) - part * whole) < 1e-3
