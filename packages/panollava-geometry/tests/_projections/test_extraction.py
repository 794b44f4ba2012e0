import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from panollava_geometry import (
    EquirectangularView,
    PanoramaError,
    PerspectiveView,
    ViewPlan,
    extract_views,
    find_correspondences,
    load_views,
    paste_views,
    plan_views,
    rotate_equirectangular,
    view_rays,
)
from PIL import Image

POSES = [(0, 0, 0), (137, 0, 0), (180, 0, 0), (20, 45, 0), (0, -80, 0), (-100, 90, 30), (5, -90, 0)]


def plan_of(poses, fov=90):
    return ViewPlan([PerspectiveView(*pose, fov) for pose in poses])


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "message"),
    [
        ((3, 64, 192), torch.uint8, {}, "twice as wide as high, got 192x64"),
        ((64, 128, 3), torch.uint8, {}, r"channels must come first: permute\(2, 0, 1\)"),
        ((3, 64, 128), torch.int32, {}, "uint8 or floating point, got torch.int32"),
        ((3, 64, 128), torch.float32, {"backend": "opencv"}, "uint8 panoramas"),
        ((5, 64, 128), torch.uint8, {"backend": "opencv"}, "at most 4 channels"),
        ((3, 64, 128), torch.bfloat16, {"backend": "py360convert"}, "CPU tensors"),
    ],
)
def test_errors(shape, dtype, options, message):
    with pytest.raises(PanoramaError, match=message):
        extract_views(torch.zeros(shape, dtype=dtype), plan_views("cubemap"), 8, **options)


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize("size", [0, (8, 0), -1, None, "8", 8.0, (8,), (8, 8, 8), [8, None]])
def test_bad_sizes(size):
    with pytest.raises(PanoramaError, match="size must be a positive int"):
        extract_views(torch.zeros(3, 8, 16), plan_views("cubemap"), size)


@pytest.mark.parametrize("backend", ["torch", "auto"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.float16, np.dtype(">f4")])
def test_arrays_are_channels_last(noise_panorama, dtype, backend):
    array = noise_panorama.permute(1, 2, 0).numpy().astype(dtype)
    plan = plan_views("anyres_e2p")
    tensor = torch.from_numpy(array.astype(array.dtype.newbyteorder("="))).permute(2, 0, 1)
    expected = extract_views(tensor, plan, (8, 12), backend=backend).permute(0, 2, 3, 1).numpy()
    views = extract_views(array, plan, (8, 12), backend=backend)
    assert views.shape == (7, 8, 12, 3)
    assert views.flags.c_contiguous
    np.testing.assert_array_equal(views, expected)
    np.testing.assert_array_equal(extract_views(array[None], plan, (8, 12), backend=backend), expected[None])
    grey = extract_views(array[..., 0], plan, (8, 12), backend=backend)
    np.testing.assert_allclose(grey.astype(float), expected[..., 0].astype(float), rtol=1e-2, atol=1)
    assert grey.shape == (7, 8, 12)
    array.flags.writeable = False
    np.testing.assert_array_equal(extract_views(array[::1, ::1], plan, (8, 12), backend=backend), expected)


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((3, 64, 128)), r"channels first: call .transpose\(1, 2, 0\)"),
        (np.zeros((64, 192, 3)), r"\[H, 2H\] or \[H, 2H, channels\], got \(64, 192, 3\)"),
        (np.zeros(8), "must be"),
        (np.zeros((0, 0)), "must be"),
        (np.zeros((8, 16), np.uint16), "uint8, float16, float32, float64, got uint16: .* interpolation='nearest'"),
        (np.zeros((8, 16), bool), "got bool"),
        (np.zeros((8, 16), object), "got object"),
        (np.zeros((8, 16), np.longdouble), "got "),
        (Image.new("RGB", (16, 9)), r"\[H, 2H\] or \[H, 2H, channels\], got \(9, 16, 3\)"),
        (Image.new("P", (16, 8)), r"mode P cannot be averaged: .* interpolation='nearest'"),
        (Image.new("I", (16, 8)), r"mode I cannot be averaged"),
        ("pano.jpg", r"got str: load .* with load_equirectangular"),
        (Path("pano.jpg"), "with load_equirectangular"),
        (b"JPEG", "with load_equirectangular"),
        ([np.zeros((8, 16))], "got list"),
        (None, "got NoneType"),
    ],
)
def test_panoramas_that_are_neither_tensors_nor_arrays(value, message):
    with pytest.raises(PanoramaError, match=message):
        extract_views(value, plan_views("cubemap"), 8)
    with pytest.raises(PanoramaError, match=message):
        rotate_equirectangular(value, 5.5)
    with pytest.raises(PanoramaError, match=r"must be|with load_equirectangular"):
        paste_views(value, plan_views("cubemap"), 8)


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize("size", [10**5, (10**5, 10**4), 8192 + 1, 10**400, (1, 10**30)])
def test_sizes_that_fit_into_no_memory(size, encoded):
    plan, view = plan_views("anyres_e2p"), PerspectiveView(0)
    file = encoded(np.zeros((8, 16, 3), np.uint8))
    for function in (
        lambda: extract_views(torch.zeros(3, 8, 16), plan, size),
        lambda: extract_views(np.zeros((8, 16)), view, size),
        lambda: load_views(file, plan, size),
        lambda: plan.required_width(size),
        lambda: view_rays(plan, size),
        lambda: find_correspondences(plan, size),
    ):
        with pytest.raises(PanoramaError, match=r"need .* GB; at most .* (size|grid) or the number of views"):
            function()
    with pytest.raises(PanoramaError, match="reduce erp_size"):
        paste_views(torch.zeros(1, 3, 4, 4), view, 10**6)
    with pytest.raises(PanoramaError, match=r"10000 x 600x600 pixels need 10 GB"):
        extract_views(torch.zeros(3, 8, 16, dtype=torch.uint8), ViewPlan([view] * 10_000), 600)


@pytest.mark.parametrize("fov", [1e-6, 1e-3, 179.9999999999999])
def test_extreme_fields_of_view_have_a_result(fov, noise_panorama):
    view = PerspectiveView(30, hfov_deg=fov)
    assert extract_views(noise_panorama, view, 8).shape == (1, 3, 8, 8)
    assert load_views(noise_panorama, view, 8).shape == (1, 3, 8, 8)
    assert paste_views(torch.zeros(1, 3, 8, 8), view, 16)[0].isfinite().all()


@pytest.mark.usefixtures("uninstrumented")
def test_an_angle_that_needs_gradients_is_refused():
    with pytest.raises(PanoramaError, match="yaw_deg must be a finite number of degrees, got tensor"):
        PerspectiveView(torch.tensor(30.0, requires_grad=True))


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (0,)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_shapes_and_dtypes(batch, dtype, antialias):
    panorama = torch.zeros(*batch, 3, 32, 64, dtype=dtype)
    views = extract_views(panorama, plan_views("anyres_e2p"), (8, 12), antialias=antialias)
    assert views.shape == (*batch, 7, 3, 8, 12)
    assert views.dtype == dtype


def test_one_dtype_is_the_other(photo_like, tolerances):
    plan = plan_of(POSES)
    exact = extract_views(photo_like.double() / 255, plan, 32)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        views = extract_views((photo_like.double() / 255).to(dtype), plan, 32)
        torch.testing.assert_close(views.double(), exact, **tolerances[dtype])
    views = extract_views(photo_like, plan, 32, backend="torch")
    assert (views.double() - exact * 255).abs().max() <= 0.51


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("points", [True, False])
def test_values_are_the_function_of_direction(formulas, smooth_panorama, pose, points):
    """A smooth function of direction is reproduced everywhere: across the seam, over both poles, in any rotation."""
    plan = ViewPlan([PerspectiveView(*pose, 90, 60)])
    views = extract_views(smooth_panorama, plan, (48, 64), antialias=points)
    expected = formulas.smooth(formulas.view(*pose, 90, 60, 48, 64, points=4))
    mean = expected.reshape(3, 48, 4, 64, 4).mean((2, 4))
    centre = formulas.smooth(formulas.view(*pose, 90, 60, 48, 64))
    np.testing.assert_allclose(views[0], mean if points else centre, atol=3e-4)


def test_windows_are_the_function_of_direction(formulas, smooth_panorama):
    window = EquirectangularView((150, 250), (-90, 60))
    views = extract_views(smooth_panorama, ViewPlan([window, EquirectangularView()]), (40, 40))
    lon = np.radians(150 + (np.arange(160) + 0.5) * 100 / 160)
    lat = np.radians(60 - (np.arange(160) + 0.5) * 150 / 160)
    lon, lat = np.meshgrid(lon, lat)
    rays = np.stack([np.sin(lon) * np.cos(lat), np.sin(lat), np.cos(lon) * np.cos(lat)], -1)
    mean = formulas.smooth(rays).reshape(3, 40, 4, 40, 4).mean((2, 4))
    np.testing.assert_allclose(views[0], mean, atol=2e-3)
    block = torch.nn.functional.interpolate(smooth_panorama[None], size=(40, 40), mode="area")[0]
    np.testing.assert_allclose(views[1], block, atol=6e-3)


def test_psnr_against_a_supersampled_scene(formulas):
    """At least 50 dB from the mean over the footprint, in the worst of five views. Point sampling is below 45 dB."""
    grey = formulas.bands(formulas.panorama(512), 8, 90)
    panorama = torch.from_numpy(grey.round().astype(np.uint8))[None]
    poses = [(0, 0, 0), (137, 0, 0), (180, 0, 0), (0, 45, 0), (0, -80, 0)]
    views = extract_views(panorama, plan_of(poses), 56)[:, 0]
    points = extract_views(panorama, plan_of(poses), 56, antialias=False)[:, 0]
    for pose, view, point in zip(poses, views, points, strict=True):
        truth = formulas.bands(formulas.view(*pose, 90, 90, 56, 56, points=8), 8, 90)
        truth = truth.reshape(56, 8, 56, 8).mean((1, 3))
        assert formulas.psnr(view, truth) >= 50 > 45 > formulas.psnr(point, truth)


def test_noise_is_averaged_by_the_minification(noise_panorama):
    """Minified m times per side, white noise has about 1/m of its deviation. Point sampling would leave 2/3 of it."""
    noise = torch.randn(1, 1024, 2048)
    views = extract_views(noise, plan_of([(0, 0, 0), (0, 90, 0)], 60), 48)
    minified = 2048 / (2 * torch.pi) * 2 * np.tan(np.radians(30)) / 48
    centre = views[..., 16:32, 16:32].flatten(1).std(dim=1)
    assert centre[0] < 1.5 / minified
    assert centre[1] < 1.5 / minified  # also at the pole, where the columns converge


@pytest.mark.parametrize("size", [16, 17])
def test_noise_at_the_pole_is_averaged_for_odd_sizes_too(size):
    """The centre of an odd view of the pole is the pole itself, where east and north are not defined."""
    noise = torch.randn(1, 1024, 2048)
    view = extract_views(noise, plan_of([(0, 90, 0)], 60), size)[0, 0]
    minified = 2048 / (2 * torch.pi) * 2 * np.tan(np.radians(30)) / size
    assert view.std() < 1.2 / minified
    assert view[size // 2, size // 2].abs() < 4 / minified


def test_a_checkerboard_becomes_grey():
    board = (torch.arange(512)[:, None] + torch.arange(1024)[None]) % 2 * 255
    views = extract_views(board[None].to(torch.uint8), plan_views("anyres_e2p"), 40)
    assert (views[1:].float() - 127.5).abs().max() <= 3
    assert (views[0].float() - 127.5).abs().max() <= 3


def test_magnified_is_bilinear(noise_panorama):
    plan = plan_of([(10, 20, 30)], 10)
    a, b = (extract_views(noise_panorama.double(), plan, 64, antialias=aa) for aa in (True, False))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("backend", ["torch", "opencv"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("columns", [1, 7, 128, -53])
def test_roll_of_columns_is_yaw_exactly(noise_panorama, backend, antialias, columns):
    if backend == "opencv":
        pytest.importorskip("cv2")
    turn = columns * 360 / 256
    poses = [(0, 0, 0), (33.3, 40, 10), (0, -85, 0)]
    still = [*plan_of(poses, 70), EquirectangularView(), EquirectangularView((-20.0, 30.0), (0, 90))]
    turned = [
        *plan_of([(yaw + turn, pitch, roll) for yaw, pitch, roll in poses], 70),
        EquirectangularView((-180 + turn, 180 + turn)),
        EquirectangularView((-20.0 + turn, 30.0 + turn), (0, 90)),
    ]
    options = {"antialias": antialias, "backend": backend}
    rolled = extract_views(noise_panorama.roll(-columns, -1), ViewPlan(still), 24, **options)
    assert torch.equal(rolled, extract_views(noise_panorama, ViewPlan(turned), 24, **options))


def test_channels_last_input_is_the_same(photo_like):
    last = photo_like.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    plan = plan_of(POSES)
    assert torch.equal(extract_views(last, plan, 32), extract_views(photo_like, plan, 32))


def test_a_batch_is_its_members(photo_like):
    batch = torch.stack([photo_like, photo_like.flip(-1)])
    plan = plan_views("anyres_e2p")
    both = extract_views(batch, plan, 32)
    for one, views in zip(batch, both, strict=True):
        assert torch.equal(extract_views(one, plan, 32), views)


@pytest.mark.parametrize("antialias", [True, False])
def test_gradcheck(antialias):
    plan = ViewPlan([PerspectiveView(170, 60, 10), EquirectangularView()])
    panorama = torch.rand(1, 6, 12, dtype=torch.float64, requires_grad=True)
    function = lambda erp: extract_views(erp, plan, 2, antialias=antialias)  # noqa: E731  # what gradcheck takes
    assert torch.autograd.gradcheck(function, (panorama,))


def test_gradient_is_a_share_of_the_output():
    """Every output pixel is a mean, so the gradient of their sum adds up to their number."""
    panorama = torch.rand(1, 64, 128, dtype=torch.float64, requires_grad=True)
    extract_views(panorama, plan_views("anyres_e2p"), 8).sum().backward()
    assert float(panorama.grad.sum()) == pytest.approx(7 * 64)
    assert (panorama.grad >= -1e-12).all()


def test_torch_compile():
    """In a new process, because dynamo cannot trace the shape checker of the tests."""
    code = """
import sys
import torch
from functools import partial
from panollava_geometry import extract_views, plan_views
panorama = torch.rand(3, 32, 64)
for antialias in (True, False):
    function = partial(extract_views, plan=plan_views("anyres_e2p"), size=8, antialias=antialias)
    expected = function(panorama)
    assert antialias is False or "torch._dynamo" not in sys.modules
    torch.testing.assert_close(torch.compile(function, backend="aot_eager")(panorama), expected)
    (reason,) = torch._dynamo.explain(function)(panorama).break_reasons  # the plan, and nothing else
    assert "torch.compiler.disable" in reason.reason, reason
    nearest = partial(extract_views, plan=plan_views("anyres_e2p"), size=8, interpolation="nearest")
    assert torch.equal(torch.compile(nearest, backend="aot_eager")(panorama), nearest(panorama))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_meta_device():
    views = extract_views(torch.zeros(3, 32, 64, device="meta"), plan_views("anyres_e2p"), 8)
    assert views.shape == (7, 3, 8, 8)


def test_odd_and_tiny_panoramas():
    for height in (1, 2, 3, 5, 17):
        panorama = torch.full((1, height, 2 * height), 7.0)
        views = extract_views(panorama, ViewPlan([*plan_of(POSES), EquirectangularView()]), 4)
        torch.testing.assert_close(views, torch.full_like(views, 7.0))
