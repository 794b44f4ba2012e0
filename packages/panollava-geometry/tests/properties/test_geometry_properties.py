"""Properties of any view, any plan and any panorama."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import (
    EquirectangularView,
    PerspectiveView,
    ViewPlan,
    extract_views,
    find_correspondences,
    plan_views,
    rotation_matrix,
)
from panollava_geometry._sampling._wraparound import cut_tensor
from panollava_geometry._views._sphere import equirect_to_rays, rays_to_equirect

settings.register_profile("geometry", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("geometry")

yaws = st.floats(-720, 720)
pitches = st.floats(-90, 90)
perspectives = st.builds(
    PerspectiveView, yaws, pitches, st.floats(-180, 180), st.floats(5, 150), st.none() | st.floats(5, 150)
)
windows = st.builds(
    lambda left, width, low, height: EquirectangularView((left, left + width), (low, min(90, low + height))),
    st.floats(-360, 360),
    st.floats(1, 360),
    st.floats(-90, 80),
    st.floats(1, 180),
)
views = perspectives | windows
sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(yaws, pitches, st.floats(-180, 180))
def test_rotations_are_rotations(yaw, pitch, roll):
    matrix = rotation_matrix(yaw, pitch, roll)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) > 0.999


@given(st.floats(0, 64), st.floats(0.01, 31.99))
def test_sphere_to_pixel_and_back(x, y):
    xy = np.array([x, y])
    back = rays_to_equirect(equirect_to_rays(xy, (32, 64)), (32, 64))
    assert abs((back[0] - x + 32) % 64 - 32) < 1e-6
    assert abs(back[1] - y) < 1e-6


@given(views, sizes, st.booleans())
def test_pixels_to_rays_and_back(view, size, align_corners):
    xy = np.random.default_rng(0).uniform([0.5, 0.5], [size[1] - 0.499, size[0] - 0.499], (9, 2))
    rays = view.pixels_to_rays(xy, size, align_corners=align_corners)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1, atol=1e-12)
    back, seen = view.rays_to_pixels(rays, size, align_corners=align_corners)
    if align_corners and 1 in size:
        return  # a single pixel has no distance between centres
    full_turn = isinstance(view, EquirectangularView) and np.diff(view.longitude_range_deg)[0] > 359.9
    if not full_turn:
        assert seen.all()
        np.testing.assert_allclose(back, xy, atol=1e-5)


@given(views, sizes)
def test_solid_angles_are_positive_and_at_most_the_sphere(view, size):
    angles = view.solid_angles(size)
    assert (angles > 0).all()
    assert angles.sum() <= 4 * math.pi + 1e-9


@given(st.lists(views, min_size=1, max_size=4))
def test_json_round_trip(members):
    plan = ViewPlan(members)
    assert ViewPlan.from_json(plan.to_json()) == plan


@given(views, sizes, st.booleans(), st.integers(1, 20))
def test_a_constant_stays_constant(view, size, antialias, height):
    """The weights of any view add up to one, and nothing outside the panorama is read."""
    panorama = torch.full((1, height, 2 * height), 93.0)
    out = extract_views(panorama, ViewPlan([view]), size, antialias=antialias)
    torch.testing.assert_close(out, torch.full_like(out, 93.0))
    out = extract_views(panorama.to(torch.uint8), ViewPlan([view]), size, antialias=antialias)
    assert (out == 93).all()


@given(views, sizes, st.booleans(), st.integers(-70, 70))
def test_roll_of_columns_is_yaw(view, size, antialias, columns):
    panorama = torch.rand(1, 16, 32, generator=torch.Generator().manual_seed(0))
    turn = columns * 360 / 32
    if isinstance(view, PerspectiveView):
        turned = PerspectiveView(view.yaw_deg + turn, view.pitch_deg, view.roll_deg, *view.fov_deg)
        view = PerspectiveView(view.yaw_deg, view.pitch_deg, view.roll_deg, *view.fov_deg)
    else:
        left, right = view.longitude_range_deg
        turned = EquirectangularView((left + turn, min(right + turn, left + turn + 360)), view.latitude_range_deg)
    rolled = extract_views(panorama.roll(-columns, -1), ViewPlan([view]), size, antialias=antialias)
    # The angle and the angle plus a turn differ in their last bits only.
    torch.testing.assert_close(extract_views(panorama, ViewPlan([turned]), size, antialias=antialias), rolled)


@given(perspectives, st.integers(2, 12))
def test_a_mirrored_panorama_gives_the_mirrored_view(view, size):
    panorama = torch.rand(1, 16, 32, generator=torch.Generator().manual_seed(0))
    mirror = PerspectiveView(-view.yaw_deg, view.pitch_deg, -view.roll_deg, *view.fov_deg)
    one = extract_views(panorama, ViewPlan([view]), size, antialias=False)
    other = extract_views(panorama.flip(-1), ViewPlan([mirror]), size, antialias=False)
    torch.testing.assert_close(one, other.flip(-1), atol=2e-4, rtol=0)


@given(st.integers(1, 6), st.integers(-9, 9), st.integers(0, 20), st.integers(-15, 15), st.integers(0, 30))
def test_patches_are_the_panorama_continued(height, top, rows, left, columns):
    image = torch.arange(2.0 * height * height).reshape(height, 2 * height)
    patch = cut_tensor(image, (top, top + rows + 1), (left, left + columns + 1))
    for r in (0, rows):
        for c in (0, columns):
            turn, row = divmod(top + r, height)
            beyond = turn % 2 == 1
            row = height - 1 - row if beyond else row
            column = (left + c + (height if beyond else 0)) % (2 * height)
            assert patch[r, c] == image[row, column]


@settings(max_examples=8)
@given(st.sampled_from(["anyres_e2p", "e2p"]), st.floats(60, 120), st.floats(0.3, 0.5), st.integers(1, 3))
def test_paired_tokens_see_the_same_direction(strategy, fov, overlap, rings):
    plan, grid = plan_views(strategy, fov_deg=fov, overlap_ratio=overlap, num_rings=rings), 7
    found = find_correspondences(plan, grid, "all")
    for index in range(0, len(found), max(1, len(found) // 20)):
        source, target = int(found.source_view[index]), int(found.target_view[index])
        ray = plan[source].rays((grid, grid)).reshape(-1, 3)[int(found.source_index[index])]
        place = plan[target].pixels_to_rays(found.target_xy[index].double().numpy(), (grid, grid))
        np.testing.assert_allclose(ray, place, atol=1e-5)


@given(st.floats(20, 170), st.floats(0, 0.8))
def test_a_ring_is_closed_at_equal_spacing(fov, overlap):
    plan = plan_views("e2p", fov_deg=fov, overlap_ratio=overlap)
    spacing = 360 / len(plan)
    assert spacing <= fov * (1 - overlap) + 1e-6
    turns = np.diff([view.yaw_deg for view in plan] + [360]) % 360
    np.testing.assert_allclose(turns, spacing, atol=1e-9)
