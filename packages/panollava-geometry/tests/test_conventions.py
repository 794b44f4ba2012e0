"""One test per rule of docs/conventions.md."""

import numpy as np
import pytest
import torch
from panollava_geometry import (
    CameraPoses,
    CylindricalView,
    EquirectangularView,
    FisheyeView,
    PerspectiveView,
    SphericalBox,
    StereographicView,
    ViewPlan,
    convert_cubemap,
    extract_views,
    find_correspondences,
    map_views,
    normals_to_view,
    paste_views,
    plan_views,
    radial_to_z_depth,
    rotate_equirectangular,
    rotation_matrix,
    view_rays,
)
from panollava_geometry.video import interpolate_poses


def axis(view):
    return view.rays((1, 1))[0, 0]


def test_convention_axes():
    right, up, forward = rotation_matrix(0).T
    assert right.tolist() == [1, 0, 0]
    assert up.tolist() == [0, 1, 0]
    assert forward.tolist() == [0, 0, 1]


def test_convention_yaw_is_positive_to_the_right():
    np.testing.assert_allclose(axis(PerspectiveView(90)), [1, 0, 0], atol=1e-12)


def test_convention_pitch_is_positive_upwards():
    np.testing.assert_allclose(axis(PerspectiveView(0, 90)), [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("kind", [CylindricalView, StereographicView, FisheyeView, PerspectiveView])
def test_convention_every_projection_has_the_same_pose(kind):
    np.testing.assert_allclose(axis(kind(90)), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(axis(kind(0, 90)), [0, 1, 0], atol=1e-12)
    right_of_centre = kind(0, 0, 90).pixels_to_rays(np.array([5.5, 5.0]), (10, 10))
    np.testing.assert_allclose(right_of_centre[[0, 1]] * [1, -1] > [-1e-9, 0], True)


def test_convention_the_circle_of_a_fisheye_touches_the_edges():
    ray = FisheyeView(0, hfov_deg=180).pixels_to_rays(np.array([10.0, 5.0]), (10, 10))
    np.testing.assert_allclose(ray, [1, 0, 0], atol=1e-12)


def test_convention_the_principal_point_is_a_fraction():
    ray = axis(PerspectiveView(0, hfov_deg=90, principal_point=(0.0, 0.5)))
    np.testing.assert_allclose(ray, [2**-0.5, 0, 2**-0.5], atol=1e-12)


def test_convention_roll_turns_the_camera_clockwise():
    up_of_camera = rotation_matrix(0, 0, 90)[:, 1]
    np.testing.assert_allclose(up_of_camera, [1, 0, 0], atol=1e-12)


def test_convention_order_is_roll_then_pitch_then_yaw():
    expected = rotation_matrix(30) @ rotation_matrix(0, 20) @ rotation_matrix(0, 0, 10)
    np.testing.assert_allclose(rotation_matrix(30, 20, 10), expected, atol=1e-12)


def test_convention_centre_column_is_yaw_zero_and_right_is_plus_90():
    panorama = torch.zeros(1, 64, 128)
    panorama[..., 32 - 2 : 32 + 2, 96 - 2 : 96 + 2] = 1  # three plan to the right, half way down
    view = extract_views(panorama, ViewPlan([PerspectiveView(90, hfov_deg=10)]), 1)
    assert float(view) > 0.9


def test_convention_the_top_row_is_the_zenith():
    panorama = torch.zeros(1, 64, 128)
    panorama[..., 0, :] = 1
    up, down = extract_views(panorama, ViewPlan([PerspectiveView(0, 90, 0, 1), PerspectiveView(0, -90, 0, 1)]), 1)
    assert (float(up), float(down)) == (1, 0)


def test_convention_pixel_centres_are_at_half_integers():
    rays = EquirectangularView().rays((2, 4))
    np.testing.assert_allclose(np.degrees(np.arctan2(rays[0, :, 0], rays[0, :, 2])), [-135, -45, 45, 135])
    np.testing.assert_allclose(np.degrees(np.arcsin(rays[:, 0, 1])), [45, -45])


def test_convention_fov_spans_outer_edges():
    view = PerspectiveView(0, hfov_deg=90)
    edge = view.pixels_to_rays(np.array([0.0, 2.0]), (4, 4))
    np.testing.assert_allclose(np.degrees(np.arctan2(edge[0], edge[2])), -45)


def test_convention_align_corners_spans_outer_centres():
    edge = PerspectiveView(0).rays((5, 5), align_corners=True)[2, 0]
    np.testing.assert_allclose(np.degrees(np.arctan2(edge[0], edge[2])), -45)


def test_convention_longitude_wraps():
    panorama = torch.arange(128.0).expand(1, 64, 128)
    behind = ViewPlan([PerspectiveView(180, hfov_deg=1)])
    seam = extract_views(panorama, behind, 1, antialias=False)
    assert float(seam) == pytest.approx((0 + 127) / 2)


def test_convention_latitude_continues_over_the_poles():
    panorama = torch.zeros(1, 4, 8)
    panorama[0, 0] = torch.arange(8.0)
    above = EquirectangularView((-180, 180), (85, 90))  # its row lies above the centre of the first row
    row = extract_views(panorama, ViewPlan([above]), (1, 8), antialias=False)[0, 0, 0]
    share = (90 - 87.5) / 45 + 0.5
    expected = [share * c + (1 - share) * ((c + 4) % 8) for c in range(8)]
    np.testing.assert_allclose(row, expected, atol=1e-5)


def test_convention_view_rays_are_token_centres():
    view = PerspectiveView(10, 20, 30)
    np.testing.assert_allclose(view_rays(ViewPlan([view]), (2, 3))[0], view.rays((2, 3)), atol=1e-6)


def test_convention_roll_of_columns_is_yaw():
    panorama = torch.rand(3, 32, 64)
    turned = extract_views(panorama, ViewPlan([PerspectiveView(5 * 360 / 64)]), 16)
    rolled = extract_views(panorama.roll(-5, -1), ViewPlan([PerspectiveView(0)]), 16)
    assert torch.equal(turned, rolled)
    assert torch.equal(rotate_equirectangular(panorama, 5 * 360 / 64), panorama.roll(-5, -1))


def test_convention_a_pixel_is_the_mean_over_its_footprint():
    panorama = torch.rand(1, 64, 128, dtype=torch.float64)
    plan = ViewPlan([EquirectangularView()])
    mean = extract_views(panorama, plan, (4, 8))[0, 0]
    # The footprint is reached by its mean and variance, so next to a block's border the weights are not 0 or 1.
    blocks = panorama.reshape(4, 16, 8, 16).mean((1, 3))
    assert (mean - blocks).abs().max() < 0.1 * panorama.std()
    point = extract_views(panorama, plan, (4, 8), antialias=False)[0, 0]
    assert point[1, 2].item() == pytest.approx(panorama[0, 23:25, 39:41].mean().item())


def test_convention_order_of_views():
    assert [tuple(axis(view).round(6) + 0.0) for view in plan_views("cubemap")] == [
        (0, 0, 1),
        (1, 0, 0),
        (0, 0, -1),
        (-1, 0, 0),
        (0, 1, 0),
        (0, -1, 0),
    ]
    first, *ring = plan_views("anyres_e2p", num_views=4, num_rings=2)
    assert first == EquirectangularView()
    assert [(view.yaw_deg, view.pitch_deg) for view in ring] == [
        (yaw, pitch) for pitch in (45, -45) for yaw in (0, 90, 180, -90)
    ]


@pytest.mark.parametrize(("fov", "overlap", "count"), [(90, 0.3, 6), (90, 0.0, 4), (60, 0.5, 12), (100, 0.1, 4)])
def test_convention_rings_are_closed(fov, overlap, count):
    yaws = [view.yaw_deg for view in plan_views("e2p", fov_deg=fov, overlap_ratio=overlap)]
    np.testing.assert_allclose(np.diff([*yaws, 360]) % 360, 360 / count)


def test_convention_correspondences_are_positions_in_token_units():
    plan = plan_views("e2p")
    found = find_correspondences(plan, 8)
    source = view_rays(plan, 8).flatten(1, 2)[found.source_view[0], found.source_index[0]]
    position = plan[int(found.target_view[0])].pixels_to_rays(found.target_xy[0].double().numpy(), (8, 8))
    np.testing.assert_allclose(source, position, atol=1e-6)
    assert found.target_xy.min() >= 0.5 - 1e-6
    assert found.target_xy.max() <= 7.5 + 1e-6


def test_convention_coverage_counts_views():
    _, coverage = paste_views(torch.ones(2, 1, 4, 4), ViewPlan([PerspectiveView(0), PerspectiveView(10)]), 32)
    assert (float(coverage[16, 32]), float(coverage[16, 0])) == (2, 0)


def test_convention_nearest_is_the_pixel_that_contains_the_centre():
    labels = torch.arange(32 * 64).reshape(1, 32, 64)
    assert extract_views(labels, PerspectiveView(0, hfov_deg=1), 1, interpolation="nearest").item() == 16 * 64 + 32
    there = PerspectiveView(yaw_deg=3.5 * 360 / 64, pitch_deg=-2.5 * 180 / 32, hfov_deg=1)
    assert extract_views(labels, there, 1, interpolation="nearest").item() == 18 * 64 + 35


def test_convention_depth_is_radial_and_normals_have_the_axes_of_rays():
    np.testing.assert_allclose(radial_to_z_depth(np.ones((1, 1, 1)), PerspectiveView(33, 44)), 1)
    corner = radial_to_z_depth(np.ones((1, 2, 2)), PerspectiveView(33, 44))[0, 0, 0]
    assert corner == pytest.approx(1 / 1.5**0.5)
    wall = np.array([-1.0, 0, 0]).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(normals_to_view(wall, PerspectiveView(90)).ravel(), [0, 0, -1], atol=1e-12)
    floor = np.array([0.0, 1, 0]).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(normals_to_view(floor, PerspectiveView(0, -90)).ravel(), [0, 0, -1], atol=1e-12)


def test_convention_a_box_is_what_a_view_sees():
    view, box = PerspectiveView(20, 30, 10, 90, 60), SphericalBox(20, 30, 90, 60, 10)
    assert box.area == pytest.approx(view.solid_angles((4, 4)).sum())
    rays = np.random.default_rng(0).normal(size=(1000, 3))
    assert (box.contains(rays) == view.rays_to_pixels(rays, (1, 1))[1]).all()


def test_convention_cubemap_layouts():
    faces = np.arange(6).reshape(6, 1, 1)
    assert convert_cubemap(faces, "horizon").tolist() == [[0, 1, 2, 3, 4, 5]]
    assert convert_cubemap(faces, "dice").tolist() == [[0, 4, 0, 0], [3, 0, 1, 2], [0, 5, 0, 0]]


def test_convention_depth_is_merged_along_the_rays():
    wall = map_views(
        lambda views: torch.ones(6, 9, 9), torch.zeros(1, 16, 32), plan_views("cubemap"), 9, kind="z_depth"
    )
    assert 1 <= wall.min() < 1.05
    assert 1.4 < wall.max() <= 3**0.5


def test_convention_poses_are_per_panorama():
    poses = CameraPoses(torch.tensor([[0.0, 90.0], [45.0, 135.0]]), pitch_deg=10.0)
    assert poses.shape == (2, 2)
    assert poses[1].plan() == ViewPlan([PerspectiveView(45.0, 10.0), PerspectiveView(135.0, 10.0)])
    panoramas = torch.rand(2, 3, 8, 16)
    views = extract_views(panoramas, poses, 4)
    for index in (0, 1):
        assert torch.equal(views[index], extract_views(panoramas[index], poses[index], 4))
    assert extract_views(panoramas, poses[0], 4).shape == (2, 2, 3, 4, 4)


def test_convention_paths_turn_the_shorter_way_at_constant_speed():
    path = interpolate_poses(CameraPoses(torch.tensor([170.0, -150.0])), times=[0, 1], at=[0.25, 0.5, 0.75])
    np.testing.assert_allclose(path.yaw_deg.flatten() % 360, [180, 190, 200], atol=1e-9)
