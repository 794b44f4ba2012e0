"""Fisheye, cylindrical and stereographic views, principal points, and fisheye images to panoramas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import (
    CylindricalView,
    EquirectangularView,
    FisheyeView,
    PanoramaError,
    PerspectiveView,
    SphericalBox,
    StereographicView,
    ViewPlan,
    draw_footprints,
    dual_fisheye_to_equirect,
    extract_views,
    find_correspondences,
    fisheye_to_equirect,
    load_views,
    paste_views,
    rotation_matrix,
)
from panollava_geometry._planning._view_sizes import native_size

PROJECTIONS = ["equidistant", "equisolid", "stereographic"]
VIEWS = [
    *(FisheyeView(20, -10, 5, 200, projection) for projection in PROJECTIONS),
    FisheyeView(170, 80, -30, 350),
    CylindricalView(-40, 10, 3, 250, 100),
    CylindricalView(180, 0, 0, 360, 120),
    StereographicView(100, -90, 0, 300),
    StereographicView(0, 30, 40, 200, 120),
    PerspectiveView(30, 20, 10, 80, 60, (0.2, 0.8)),
]


def theta(projection, rho, half):
    """Angle to the axis, from the formulas of the lenses."""
    if projection == "equidistant":
        return rho * half
    if projection == "equisolid":
        return 2 * math.asin(rho * math.sin(half / 2))
    return 2 * math.atan(rho * math.tan(half / 2))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    projection=st.sampled_from(PROJECTIONS),
    hfov=st.floats(10, 350),
    rho=st.floats(0, 1),
    phi=st.floats(0, 2 * math.pi),
)
def test_fisheye_rays_are_those_of_the_formula(projection, hfov, rho, phi):
    view = FisheyeView(0.0, hfov_deg=hfov, projection=projection)
    xy = 50 + 50 * rho * np.array([math.cos(phi), -math.sin(phi)])
    angle = theta(projection, rho, math.radians(hfov) / 2)
    expected = [math.sin(angle) * math.cos(phi), math.sin(angle) * math.sin(phi), math.cos(angle)]
    rays = view.pixels_to_rays(xy, (100, 100))
    assert np.abs(rays - expected).max() < 1e-7
    back, seen = view.rays_to_pixels(rays, (100, 100))
    assert seen
    assert np.abs(back - xy).max() < 1e-4


@settings(max_examples=100, deadline=None, derandomize=True)
@given(u=st.floats(-1, 1), v=st.floats(-1, 1), hfov=st.floats(5, 355), vfov=st.floats(5, 175))
def test_cylinder_and_stereographic_rays_are_those_of_the_formulas(u, v, hfov, vfov):
    xy = np.array([(u + 1) * 50, (v + 1) * 20])
    longitude, latitude = u * math.radians(hfov) / 2, math.atan(-v * math.tan(math.radians(vfov) / 2))
    expected = [
        math.cos(latitude) * math.sin(longitude),
        math.sin(latitude),
        math.cos(latitude) * math.cos(longitude),
    ]
    assert np.abs(CylindricalView(0, 0, 0, hfov, vfov).pixels_to_rays(xy, (40, 100)) - expected).max() < 1e-9
    x, y = u * math.tan(math.radians(hfov) / 4), -v * math.tan(math.radians(vfov) / 4)
    angle, phi = 2 * math.atan(math.hypot(x, y)), math.atan2(y, x)
    expected = [math.sin(angle) * math.cos(phi), math.sin(angle) * math.sin(phi), math.cos(angle)]
    assert np.abs(StereographicView(0, 0, 0, hfov, vfov).pixels_to_rays(xy, (40, 100)) - expected).max() < 1e-7


@pytest.mark.parametrize("view", VIEWS, ids=repr)
@pytest.mark.parametrize("align_corners", [False, True])
def test_pixels_and_rays_are_inverse(view, align_corners):
    size = (30, 40)
    rays = view.rays(size, align_corners=align_corners)
    assert np.abs(np.linalg.norm(rays, axis=-1) - 1).max() < 1e-9
    xy, seen = view.rays_to_pixels(rays, size, align_corners=align_corners)
    visible = view.visible(size, align_corners=align_corners)
    visible = np.ones(size, bool) if visible is None else visible
    assert np.array_equal(seen, visible)
    x, y = np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5)
    assert np.abs(xy - np.stack([x, y], -1))[visible].max() < 1e-6


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_the_pose_is_that_of_the_conventions(view):
    turned = rotation_matrix(view.yaw_deg, view.pitch_deg, view.roll_deg)
    straight = view.to_dict() | {"yaw_deg": 0.0, "pitch_deg": 0.0, "roll_deg": 0.0}
    (plain,) = ViewPlan.from_dict({"format": "panollava-view-plan", "version": 1, "views": [straight]})
    assert np.allclose(view.rays((5, 6)), plain.rays((5, 6)) @ turned.T, atol=1e-12)


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_solid_angles_are_the_share_of_the_sphere(view):
    """The witness is a count of directions spread evenly over the sphere."""
    areas = view.solid_angles((64, 64))
    assert areas.min() >= 0
    assert areas.sum() / (4 * math.pi) == pytest.approx(ViewPlan([view]).coverage().seen, abs=2e-3)


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_plans_with_these_views_are_json(view):
    plan = ViewPlan([view, EquirectangularView()])
    assert ViewPlan.from_json(plan.to_json()) == plan


def test_a_plain_perspective_view_is_written_as_before():
    assert "principal_point" not in ViewPlan([PerspectiveView(0)]).to_json()


@pytest.mark.parametrize("view", VIEWS, ids=repr)
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("backend", ["torch", "opencv"])
def test_a_view_shows_the_scene(view, antialias, backend, smooth_panorama, formulas):
    panorama = (smooth_panorama * 255).round().to(torch.uint8)
    pixels = extract_views(panorama, view, 96, antialias=antialias, backend=backend)[0].numpy().astype(float)
    expected = formulas.smooth(view.rays((96, 96))) * 255
    visible = view.visible((96, 96))
    visible = np.ones((96, 96), bool) if visible is None else visible
    assert np.abs(pixels - expected)[:, visible].max() < 5
    assert np.abs(pixels - expected)[:, visible].mean() < 0.6
    assert not pixels[:, ~visible].any()


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_antialiasing_is_the_mean_over_the_pixel(view, formulas):
    """The witness: 16 x 16 points in every pixel of a view that is much coarser than the panorama."""
    panorama = torch.from_numpy(formulas.bands(formulas.panorama(512), 3, 60)).float()[None]
    size, points = 32, 16
    pixels = extract_views(panorama, view, size)[0, 0].numpy()
    fine = formulas.bands(view.rays((size * points, size * points)), 3, 60)
    expected = fine.reshape(size, points, size, points).mean((1, 3))
    whole = view.visible((size, size))
    whole = np.ones((size, size), bool) if whole is None else view.solid_angles((size, size)) > 0
    if isinstance(view, FisheyeView):  # pixels that the circle does not cut
        inner = np.hypot(*np.meshgrid(np.arange(size) - 15.5, np.arange(size) - 15.5)) < 14.5
        whole &= inner
    assert formulas.psnr(pixels[whole], expected[whole]) > 38


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_round_trip_through_fisheye_images(projection, smooth_panorama):
    """Panorama to two circles and back."""
    lenses = [FisheyeView(yaw, 0, 0, 200, projection) for yaw in (0, 180)]
    front, back = extract_views(smooth_panorama, lenses, 256)
    panorama, mask = dual_fisheye_to_equirect(torch.cat([front, back], -1), 256, hfov_deg=200, projection=projection)
    assert mask.all()
    assert (panorama - smooth_panorama).abs().max() < 0.005
    single, seen = fisheye_to_equirect(front, lenses[0], 256)
    area = torch.cos((torch.arange(256) + 0.5) * math.pi / 256 - math.pi / 2)[:, None].expand(256, 512)
    share = float(area[seen].sum() / area.sum())
    assert share == pytest.approx((1 - math.cos(math.radians(100))) / 2, abs=0.005)
    assert (single - smooth_panorama)[:, seen].abs().max() < 0.02  # at the edge of the circle
    assert not single[:, ~seen].any()
    pasted, coverage = paste_views(torch.stack([front, back]), lenses, 256)
    assert coverage.min() > 0
    assert (pasted - smooth_panorama).abs().max() < 0.02


def test_rolls_and_the_order_of_the_circles(smooth_panorama):
    lenses = [FisheyeView(180, 0, 90, 200), FisheyeView(0, 0, -90, 200)]
    image = torch.cat(list(extract_views(smooth_panorama, lenses, 256)), -1)
    panorama, _ = dual_fisheye_to_equirect(image, 256, hfov_deg=200, rolls_deg=(90, -90), back_first=True)
    assert (panorama - smooth_panorama).abs().max() < 0.01


def test_a_circle_anywhere_in_the_image(smooth_panorama):
    view = FisheyeView(30, 10, 0, 180)
    circle = extract_views(smooth_panorama, view, 200)[0]
    image = torch.zeros(3, 300, 400, dtype=torch.float64)
    image[:, 60:260, 150:350] = circle
    expected, mask = fisheye_to_equirect(circle, view, 128)
    found, found_mask = fisheye_to_equirect(image, view, 128, centre=(250, 160), radius=100)
    inside = mask & found_mask
    assert (mask ^ found_mask).sum() < 10
    assert (found - expected)[:, inside].abs().max() < 1e-3


def test_arrays_and_gradients(smooth_panorama):
    view = FisheyeView(0)
    array = (extract_views(smooth_panorama, view, 64)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    panorama, mask = fisheye_to_equirect(array, view, 32)
    assert (panorama.dtype, panorama.shape, mask.shape) == (np.uint8, (32, 64, 3), (32, 64))
    grey, _ = fisheye_to_equirect(array[..., 0], view, 32)
    assert np.array_equal(grey, panorama[..., 0])
    image = torch.rand(1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: fisheye_to_equirect(values, view, 6)[0], image)


def test_opencv_sees_the_same_fisheye():
    """cv2.fisheye without distortion is the equidistant lens."""
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "fisheye"):
        pytest.skip("this OpenCV has no fisheye module")
    view, size = FisheyeView(0, hfov_deg=160), 200
    focal = size / 2 / math.radians(80)
    matrix = np.array([[focal, 0, size / 2 - 0.5], [0, focal, size / 2 - 0.5], [0, 0, 1]])
    rays = FisheyeView(0, hfov_deg=150).rays((15, 15)).reshape(-1, 3)
    rays = rays[rays[:, 2] > 0.3]
    points = (rays * [1, -1, 1]).reshape(-1, 1, 3)
    theirs, _ = cv2.fisheye.projectPoints(points, np.zeros((3, 1)), np.zeros((3, 1)), matrix, np.zeros((4, 1)))
    ours, seen = view.rays_to_pixels(rays, (size, size))
    assert seen.all()
    assert np.abs(theirs[:, 0] + 0.5 - ours).max() < 1e-6


def test_opencv_sees_the_same_principal_point():
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "projectPoints"):
        pytest.skip("this OpenCV has no projectPoints")
    view = PerspectiveView.from_intrinsics(300, 310, 120.5, 250, (400, 500))
    matrix = np.array([[300, 0, 120.5], [0, 310, 250], [0, 0, 1]])
    rays = view.rays((9, 9)).reshape(-1, 3)
    theirs, _ = cv2.projectPoints(rays * [1, -1, 1], np.zeros(3), np.zeros(3), matrix, None)
    ours, seen = view.rays_to_pixels(rays, (400, 500))
    assert seen.all()
    assert np.abs(theirs[:, 0] + 0.5 - ours).max() < 1e-6


def test_a_principal_point_cuts_out_of_a_larger_view(photo_like):
    """A quarter of a view is a view with its principal point at a corner."""
    whole = extract_views(photo_like, PerspectiveView(20, 10, 5, 90), 128, antialias=False, backend="torch")[0]
    half = 2 * math.degrees(math.atan(0.5))
    quarter = PerspectiveView(20, 10, 5, half, half, (0.0, 1.0))
    part = extract_views(photo_like, quarter, 64, antialias=False, backend="torch")[0]
    assert (part.int() - whole[:, :64, 64:].int()).abs().max() <= 1
    assert np.allclose(quarter.solid_angles((4, 4)), PerspectiveView(0).solid_angles((8, 8))[:4, 4:])
    box = SphericalBox.from_view_box(quarter, (0.2, 0.3, 0.6, 0.5))
    same = SphericalBox.from_view_box(PerspectiveView(20, 10, 5, 90), (0.6, 0.15, 0.8, 0.25))
    assert box.iou(same) > 0.999999
    seen, expected = box.to_view_box(quarter), same.to_view_box(PerspectiveView(20, 10, 5, 90))
    assert np.allclose(seen, (np.array(expected) - [0.5, 0, 0.5, 0]) * 2, atol=5e-3)


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_the_size_of_a_view_at_the_resolution_of_the_panorama(view):
    height, width = native_size(view, 1024)
    centre = np.array([width / 2, height / 2])
    if isinstance(view, PerspectiveView):
        centre = centre * 2 * np.array(view.principal_point)
    half = np.array([[0.5, 0], [0, 0.5]])
    step = view.pixels_to_rays(centre + half, (height, width)) - view.pixels_to_rays(centre - half, (height, width))
    assert np.linalg.norm(step, axis=-1) == pytest.approx(2 * math.pi / 1024, rel=0.01)


def test_other_functions_take_these_views(smooth_panorama, photo_like):
    plan = ViewPlan([FisheyeView(yaw, 0, 0, 190) for yaw in (0, 120, 240)])
    found = find_correspondences(plan, 8, pairs="all")
    rays = np.stack([view.rays((8, 8)).reshape(-1, 3) for view in plan])
    visible = plan[0].visible((8, 8)).reshape(-1)
    assert visible[found.source_index].all()
    source = rays[found.source_view, found.source_index]
    for index in range(0, len(found), 7):
        view = plan[int(found.target_view[index])]
        target = view.pixels_to_rays(found.target_xy[index].double().numpy(), (8, 8))
        assert np.abs(target - source[index]).max() < 1e-5
    assert plan.required_width(64) < 400
    views, mask = load_views(photo_like.permute(1, 2, 0).numpy(), plan, 64, return_mask=True)
    assert views.shape == (3, 3, 64, 64)
    assert mask.any()
    assert draw_footprints(photo_like, ViewPlan(VIEWS)).size == (1024, 512)


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_labels_stay_labels(view):
    """The witness reads the panorama pixel that contains the direction of each pixel of the view."""
    labels = torch.randint(1, 20, (1, 64, 128), generator=torch.Generator().manual_seed(0))
    found = extract_views(labels, view, 33, interpolation="nearest")[0, 0].numpy()
    rays = view.rays((33, 33))
    x = np.floor((np.arctan2(rays[..., 0], rays[..., 2]) / (2 * math.pi) + 0.5) * 128).astype(int) % 128
    y = np.floor((0.5 - np.arcsin(np.clip(rays[..., 1], -1, 1)) / math.pi) * 64).astype(int).clip(0, 63)
    expected = labels[0].numpy()[y, x]
    visible = view.visible((33, 33))
    if visible is not None:
        expected = np.where(visible, expected, 0)
    assert found.dtype == np.int64
    assert (found != expected).mean() < 0.01  # directions on the border of two pixels
    assert set(np.unique(found)) <= set(range(20))


BAD = [
    (lambda: FisheyeView(0, hfov_deg=361), "at most 360 degrees, got 361"),
    (lambda: FisheyeView(0, hfov_deg=360, projection="stereographic"), "below 360 degrees, got 360"),
    (lambda: FisheyeView(0, projection="other"), "unknown projection 'other': choose from equidistant"),
    (lambda: FisheyeView(0, 91), r"pitch_deg must be in \[-90, 90\], got 91"),
    (lambda: FisheyeView(math.nan), "FisheyeView.yaw_deg must be a finite number"),
    (lambda: CylindricalView(0, vfov_deg=180), "vfov_deg of a cylinder"),
    (lambda: CylindricalView(0, hfov_deg=0), "hfov_deg of a cylinder"),
    (lambda: StereographicView(0, hfov_deg=360), "hfov_deg of a stereographic view"),
    (lambda: PerspectiveView(0, principal_point=(0.5, math.inf)), r"principal_point\[1\] must be a fraction"),
    (lambda: PerspectiveView(0, principal_point="ab"), "must be a pair"),
    (lambda: PerspectiveView.from_intrinsics(0, 1, 1, 1, (4, 4)), "fx must be a positive number of pixels, got 0"),
    (lambda: fisheye_to_equirect(torch.zeros(4, 4), FisheyeView(0), 8), "an image must be"),
    (lambda: fisheye_to_equirect(torch.zeros(3, 4, 4), PerspectiveView(0), 8), "view must be a FisheyeView"),
    (lambda: fisheye_to_equirect(torch.zeros(3, 4, 4), FisheyeView(0), 0), "height must be a positive number"),
    (lambda: fisheye_to_equirect(torch.zeros(3, 4, 4), FisheyeView(0), 8, radius=-1), "radius must be a positive"),
    (lambda: fisheye_to_equirect(torch.zeros(3, 4, 4), FisheyeView(0), 8, centre=(1,)), "centre must be a pair"),
    (lambda: fisheye_to_equirect(torch.zeros(3, 4, 4), FisheyeView(0), 10**6), "reduce height"),
    (lambda: dual_fisheye_to_equirect(torch.zeros(3, 4, 9), 8), "twice as wide as high, got 9x4"),
    (lambda: dual_fisheye_to_equirect("a.insp", 8), "got str"),
]


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_impossible_values(call, message):
    with pytest.raises(PanoramaError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)
