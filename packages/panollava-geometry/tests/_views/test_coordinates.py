"""Points of panoramas and views against the formulas in float64, and there and back."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import EquirectangularView, PanoramaError, PerspectiveView, coordinates, rotation_matrix

PROFILE = settings(deadline=None, max_examples=60, derandomize=True)
yaws, pitches = st.floats(-180, 180), st.floats(-89.9, 89.9)
views = st.builds(PerspectiveView, yaws, st.floats(-90, 90), st.floats(-180, 180), st.floats(5, 150), st.floats(5, 150))


@PROFILE
@given(yaws, pitches)
def test_angles_to_rays_is_the_formula(yaw, pitch):
    ray = coordinates.angles_to_rays(yaw, pitch)
    lon, lat = math.radians(yaw), math.radians(pitch)
    expected = [math.sin(lon) * math.cos(lat), math.sin(lat), math.cos(lon) * math.cos(lat)]
    np.testing.assert_allclose(ray, expected, atol=1e-15)
    np.testing.assert_allclose(ray, rotation_matrix(yaw, pitch)[:, 2], atol=1e-15)
    back_yaw, back_pitch = coordinates.rays_to_angles(3.7 * ray)
    assert abs(back_pitch - pitch) < 1e-9
    assert abs((back_yaw - yaw + 180) % 360 - 180) < 1e-9


@PROFILE
@given(st.floats(0.01, 1023.99), st.floats(0.01, 511.99))
def test_pixels_of_the_panorama_and_back(x, y):
    yaw, pitch = coordinates.erp_to_angles([x, y], 512)
    assert yaw == pytest.approx((x / 1024 - 0.5) * 360, abs=1e-9)
    assert pitch == pytest.approx((0.5 - y / 512) * 180, abs=1e-9)
    np.testing.assert_allclose(coordinates.angles_to_erp(yaw, pitch, (512, 1024)), [x, y], atol=1e-9)
    np.testing.assert_allclose(coordinates.rays_to_erp(coordinates.erp_to_rays([x, y], 512), 512), [x, y], atol=1e-9)


@PROFILE
@given(views, st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.booleans())
def test_pixels_of_a_view_and_back(view, u, v, align_corners):
    height, width = size = 120, 160
    low = 0.5 if align_corners else 0
    xy = np.array([[low + u * (width - 2 * low), low + v * (height - 2 * low)]])
    options = {"align_corners": align_corners}
    on_panorama = coordinates.view_to_erp(xy, view, size, 512, **options)
    back, seen = coordinates.erp_to_view(on_panorama, view, size, 512, **options)
    assert seen.all()
    np.testing.assert_allclose(back, xy, atol=1e-6)
    yaw, pitch = coordinates.view_to_angles(xy, view, size, **options)
    back, seen = coordinates.angles_to_view(yaw, pitch, view, size, **options)
    assert seen.all()
    np.testing.assert_allclose(back, xy, atol=1e-6)
    # The formula: the plane at distance 1, turned by roll, pitch and yaw.
    half = np.tan(np.deg2rad(view.fov_deg) / 2)
    ray = view.rotation @ [(2 * u - 1) * half[0], (1 - 2 * v) * half[1], 1.0]
    found = coordinates.angles_to_rays(yaw, pitch)[0]
    np.testing.assert_allclose(found, ray / np.linalg.norm(ray), atol=1e-9)


def test_a_read_pixel_is_where_the_coordinates_say(formulas):
    """A marked pixel of the panorama is seen at its place in the view."""
    view = PerspectiveView(175, 30, 15, hfov_deg=60)
    panorama = torch.zeros(1, 512, 1024, dtype=torch.float64)
    panorama[0, 170, 3] = 1
    from panollava_geometry import extract_views

    seen = extract_views(panorama, view, 200)[0, 0]
    row, column = divmod(int(seen.argmax()), 200)
    (xy,), (inside,) = coordinates.erp_to_view([[3.5, 170.5]], view, 200, 512)
    assert inside
    assert abs(xy - [column + 0.5, row + 0.5]).max() < 1


@pytest.mark.parametrize("view", [PerspectiveView(100, -20, 5, 80, 50), EquirectangularView((150, 210), (-30, 60))])
def test_points_are_fractions(view):
    points = np.random.default_rng(0).uniform(0.01, 0.99, (3, 4, 2))
    rays = view.point_to_ray(points)
    np.testing.assert_allclose(rays, view.pixels_to_rays(points * [640, 480], (480, 640)), atol=1e-12)
    back, seen = view.ray_to_point(2 * rays)
    np.testing.assert_allclose(back, points, atol=1e-9)
    assert seen.all()
    np.testing.assert_allclose(view.point_to_ray(torch.from_numpy(points).tolist()), rays)
    assert not view.ray_to_point(-rays)[1].any()


def test_seam_and_poles():
    assert coordinates.rays_to_erp([[0, 0, -1.0], [0, 1, 0], [0, -1, 0]], 8).tolist() == [[16, 4], [8, 0], [8, 8]]
    outside = coordinates.erp_to_rays([[-1.0, 4.0], [17.0, 4.0]], 8)
    np.testing.assert_allclose(outside, coordinates.erp_to_rays([[15.0, 4.0], [1.0, 4.0]], 8), atol=1e-12)


def test_shapes_and_tensors():
    xy = torch.rand(2, 3, 2, dtype=torch.float64) * 100
    assert coordinates.erp_to_rays(xy, 64).shape == (2, 3, 3)
    assert coordinates.angles_to_rays(torch.zeros(5, 1), [0.0, 1.0]).shape == (5, 2, 3)
    assert coordinates.erp_to_rays(np.zeros((0, 2)), 64).shape == (0, 3)


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coordinates.erp_to_rays([1.0, 2.0, 3.0], 8), "xy must be numbers [..., 2], got shape (3,)"),
        (lambda: coordinates.rays_to_erp("abc", 8), "rays must be numbers [..., 3] ("),
        (lambda: coordinates.rays_to_angles([[1, 2], [3]]), "must be numbers [..., 3] ("),
        (lambda: coordinates.angles_to_rays([1, 2], [1, 2, 3]), "shapes that fit together, got (2,) and (3,)"),
        (lambda: coordinates.erp_to_rays([1.0, 2.0], (8, 8)), "erp_size must be a positive height"),
        (lambda: coordinates.view_to_erp([1.0, 2.0], PerspectiveView(0), 0, 8), "size must be a positive int"),
        (lambda: coordinates.view_to_angles([1, 2], "view", 8), "expected one view, got str: pass a PerspectiveView"),
        (lambda: coordinates.erp_to_view([1, 2], [PerspectiveView(0)], 8, 8), "expected one view, got list"),
        (lambda: PerspectiveView(0).point_to_ray(3.0), "points must be numbers [..., 2], got shape ()"),
    ],
)
def test_errors(call, message):
    with pytest.raises(PanoramaError, match=re.escape(message)):
        call()


def test_inventory():
    assert coordinates.__all__ == sorted(coordinates.__all__)
    assert all(getattr(coordinates, name).__doc__ for name in coordinates.__all__)
