"""Poses as tensors: the same views as `PerspectiveView`, with gradients, and one set or one plan per panorama."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from panollava_geometry import (
    CameraPoses,
    EquirectangularView,
    FisheyeView,
    PanoramaError,
    PerspectiveView,
    ViewPlan,
    extract_views,
    plan_views,
    rotate_equirectangular,
    rotation_matrix,
)
from panollava_geometry._sampling import _posed_reading as reading
from PIL import Image

#: Yaw, pitch, roll, horizontal and vertical field of view: ahead, across the seam, over both poles, wide and narrow.
CASES = [
    (0, 0, 0, 90, 90),
    (137.3, 0, 0, 90, 60),
    (180, 33, 20, 60, 60),
    (20, 45, 0, 110, 80),
    (0, -80, 0, 90, 90),
    (-100, 90, 30, 90, 90),
    (5, -90, 0, 70, 90),
    (30, 20, 10, 3, 3),
    (500, 88, 1, 150, 150),
]


def poses_of(values, grad=True):
    values = torch.as_tensor(values, dtype=torch.float64).requires_grad_(grad)
    return values, CameraPoses(*values.unbind(-1))


@pytest.fixture
def batch():
    return torch.rand(3, 2, 32, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("height", [64, 512])
@pytest.mark.parametrize("size", [16, (33, 40)])
def test_views_are_those_of_the_plan(height, size, antialias, align_corners):
    """With and without gradients. A plan rounds the yaw to 1e-6 columns, which changes white noise by 1e-6."""
    noise = torch.rand(1, height, 2 * height, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    options = {"antialias": antialias, "align_corners": align_corners}
    expected = extract_views(noise, [PerspectiveView(*case) for case in CASES], size, **options)
    values, poses = poses_of(CASES)
    views = extract_views(noise, poses, size, **options)
    assert views.requires_grad
    torch.testing.assert_close(views.detach(), expected, atol=2e-6, rtol=0)
    assert torch.equal(extract_views(noise, poses.detach(), size, **options), expected)
    with torch.no_grad():
        assert torch.equal(extract_views(noise, poses, size, **options), expected)
    views.sum().backward()
    assert values.grad.isfinite().all()


def test_psnr_against_a_supersampled_scene(formulas):
    """As of plans (`test_extraction`): at least 50 dB from the mean over the footprint, in the worst of five views."""
    panorama = torch.from_numpy(formulas.bands(formulas.panorama(512), 8, 90))[None]
    poses = [(0, 0, 0, 90, 90), (137, 0, 0, 90, 90), (180, 0, 0, 90, 90), (0, 45, 0, 90, 90), (0, -80, 0, 90, 90)]
    views = extract_views(panorama, poses_of(poses)[1], 56).detach()[:, 0]
    for pose, view in zip(poses, views, strict=True):
        truth = formulas.bands(formulas.view(*pose, 56, 56, points=8), 8, 90)
        assert formulas.psnr(view, truth.reshape(56, 8, 56, 8).mean((1, 3))) >= 50


@pytest.mark.parametrize("pose", CASES)
@pytest.mark.parametrize("antialias", [False, True])
def test_values_and_gradients_are_those_of_the_formula(formulas, smooth_panorama, pose, antialias):
    """A smooth function of direction, and its derivative along yaw, pitch, roll and both fields of view."""
    values, poses = poses_of([pose])
    views = extract_views(smooth_panorama, poses, (24, 32), antialias=antialias)[0]
    points = 4 if antialias else 1

    def scene(angles):
        """The mean over each pixel."""
        values = formulas.smooth(formulas.view(*angles, 24, 32, points))
        return values.reshape(3, 24, points, 32, points).mean((2, 4))

    np.testing.assert_allclose(views.detach(), scene(pose), atol=1e-3)
    weight = np.random.default_rng(0).normal(size=views.shape) / views.numel()
    (views * torch.from_numpy(weight)).sum().backward()
    for axis, step in enumerate(np.eye(5) * 1e-4):
        slope = (scene(np.array(pose) + step) - scene(np.array(pose) - step)) / 2e-4
        scale = np.abs(slope * weight).sum()
        assert abs(float(values.grad[0, axis]) - (slope * weight).sum()) <= 0.02 * scale + 1e-7, axis


def test_the_gradient_is_continuous_across_the_seam_and_near_the_pole(smooth_panorama):
    for axis, places in ((0, torch.linspace(179.5, 180.5, 21)), (1, torch.linspace(89.0, 90.0, 21))):
        slopes = []
        for place in places.double():
            values = torch.tensor([20.0, 30.0, 10.0, 60.0, 60.0], dtype=torch.float64)
            values[axis] = place
            values, poses = poses_of(values[None])
            extract_views(smooth_panorama, poses, 24)[0, 0].mean().backward()
            slopes.append(values.grad[0])
        change = torch.stack(slopes).diff(dim=0).abs().amax(0)
        assert (change <= 0.1 * torch.stack(slopes).abs().amax() + 1e-6).all(), change


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("leading", "height"), [(False, 10), (True, 6)])
def test_gradcheck(antialias, leading, height):
    """By the image, the angles and the fields of view: magnified and minified, at the seam and near the pole."""
    generator = torch.Generator().manual_seed(3)
    panoramas = torch.rand(2, 1, height, 2 * height, dtype=torch.float64, generator=generator, requires_grad=True)
    values = torch.tensor([[10.3, 5, 3, 120, 140], [179, 60, 10, 80, 50], [77, -88, 200, 100, 90]], dtype=torch.float64)
    values = torch.stack([values, values + 1.234]) if leading else values

    def function(panoramas, values):
        return extract_views(panoramas, CameraPoses(*values.unbind(-1)), (3, 2), antialias=antialias)

    assert torch.autograd.gradcheck(function, (panoramas, values.requires_grad_()), eps=1e-7, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("antialias", [False, True])
def test_gradients_of_views_that_are_computed_again(photo_like, monkeypatch, antialias):
    """Large views keep no grids for the gradient, and are planned in parts."""
    panorama = (photo_like.double() / 255).requires_grad_()
    values, poses = poses_of(CASES)
    extract_views(panorama, poses, 20, antialias=antialias).square().sum().backward()
    kept = values.grad.clone(), panorama.grad.clone()
    values.grad = panorama.grad = None
    monkeypatch.setattr(reading, "_RECOMPUTE", 1)
    monkeypatch.setattr(reading, "_CHUNK", 1000)
    extract_views(panorama, poses, 20, antialias=antialias).square().sum().backward()
    torch.testing.assert_close((values.grad, panorama.grad), kept)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_one_set_per_panorama(batch, antialias, grad):
    yaw = torch.tensor([[0.0, 50.0], [100.0, 150.0], [200.0, 250.0]]).requires_grad_(grad)
    poses = CameraPoses(yaw, torch.tensor([[10.0], [20.0], [30.0]]), hfov_deg=70.0, vfov_deg=50.0)
    views = extract_views(batch, poses, (6, 8), antialias=antialias)
    assert views.shape == (3, 2, 2, 6, 8)
    for index, (panorama, member) in enumerate(zip(batch, views, strict=True)):
        plan = [PerspectiveView(float(yaw.detach()[index, v]), 10 + 10 * index, 0, 70, 50) for v in (0, 1)]
        expected = extract_views(panorama, plan, (6, 8), antialias=antialias)
        torch.testing.assert_close(member.detach(), expected, atol=1e-6, rtol=0)
        assert poses[index].plan() == ViewPlan(plan)


def test_leading_axes_and_dtypes(batch):
    stacked = torch.stack([batch, batch + 1]).float()
    yaw = (torch.arange(24.0).reshape(2, 3, 4) * 13).requires_grad_()
    for antialias in (False, True):
        views = extract_views(stacked, CameraPoses(yaw), 8, antialias=antialias)
        assert (views.shape, views.dtype) == ((2, 3, 4, 2, 8, 8), torch.float32)
        half = extract_views(stacked.bfloat16(), CameraPoses(yaw), 8, antialias=antialias)
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.float(), views, atol=0.02, rtol=0.02)
        one = extract_views(stacked[0, 0], CameraPoses(yaw[0, 0]), 8, antialias=antialias)
        torch.testing.assert_close(one, views[0, 0])
        empty = extract_views(stacked[:0], CameraPoses(yaw[:0]), 8, antialias=antialias)
        assert empty.shape == (0, 3, 4, 2, 8, 8)


def test_uint8_arrays_images_and_backends(photo_like):
    poses = CameraPoses(torch.tensor([0.0, 77.7]), 20.0)
    plan = [PerspectiveView(0.0, 20.0), PerspectiveView(float(torch.tensor(77.7)), 20.0)]
    assert torch.equal(extract_views(photo_like, poses, 32), extract_views(photo_like, plan, 32))
    array = photo_like.permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(extract_views(array, poses, 32), extract_views(array, plan, 32))
    for one, other in zip(*(extract_views(Image.fromarray(array), p, 32) for p in (poses, plan)), strict=True):
        np.testing.assert_array_equal(one, other)
    labels = torch.arange(32 * 64).reshape(1, 32, 64)
    nearest = [extract_views(labels, p, 8, interpolation="nearest") for p in (poses, plan)]
    assert torch.equal(*nearest)
    assert nearest[0].dtype == torch.int64


def test_values_of_poses():
    poses = CameraPoses([0, 90], np.float32(10), torch.tensor(3), hfov_deg=torch.tensor([[60.0], [70.0], [80.0]]))
    assert poses.shape == (3, 2)
    assert len(poses) == 3
    assert not poses.differentiable
    assert [plan[1].hfov_deg for plan in poses.plans()] == [60, 70, 80]
    assert poses.plans()[2][1] == PerspectiveView(90.0, 10.0, 3.0, 80.0)
    assert poses[1].plan() == ViewPlan([PerspectiveView(yaw, 10.0, 3.0, 70.0) for yaw in (0.0, 90.0)])
    assert [one.shape for one in poses] == [(2,)] * 3
    for plan, matrices in zip(poses.plans(), poses.rotation, strict=True):
        for view, matrix in zip(plan, matrices, strict=True):
            np.testing.assert_allclose(matrix, rotation_matrix(view.yaw_deg, view.pitch_deg, view.roll_deg), atol=1e-12)
    assert CameraPoses(5.0).shape == (1,)
    assert CameraPoses(5.0).plan() == ViewPlan([PerspectiveView(5.0)])
    assert poses.to(torch.float32).yaw_deg.dtype == torch.float32
    with pytest.raises(PanoramaError, match=r"\(3, 2\) are several plans: call plans\(\), or index them"):
        poses.plan()


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"yaw_deg": [0.0, math.nan]}, r"^yaw_deg\[1\] must be a finite number of degrees, got nan$"),
        ({"yaw_deg": [[0.0], [math.inf]]}, r"^yaw_deg\[1, 0\] must be a finite number"),
        ({"yaw_deg": math.nan}, r"^yaw_deg must be a finite number"),
        ({"yaw_deg": 0, "roll_deg": [math.nan]}, r"^roll_deg\[0\] must be a finite number"),
        ({"yaw_deg": 0, "pitch_deg": [0.0, 90.5]}, r"^pitch_deg\[1\] must be in \[-90, 90\], got 90.5: to look past a"),
        ({"yaw_deg": 0, "pitch_deg": math.nan}, r"^pitch_deg must be a finite number"),
        ({"yaw_deg": 0, "hfov_deg": [60.0, 180.0]}, r"^hfov_deg\[1\] must be between 0 and 180 .* got 180.0: use an"),
        ({"yaw_deg": 0, "vfov_deg": [[0.0]]}, r"^vfov_deg\[0, 0\] must be between 0 and 180"),
        ({"yaw_deg": torch.zeros(2), "pitch_deg": torch.zeros(3)}, r"broadcast, got .*yaw_deg \[2\], pitch_deg \[3\]"),
        ({"yaw_deg": torch.zeros(2, 0)}, r"need 1 to 10000 views, got shape \(2, 0\)"),
        ({"yaw_deg": torch.zeros(10_001)}, r"need 1 to 10000 views"),
        ({"yaw_deg": torch.zeros(2).half()}, r"yaw_deg must be float32 or float64, got torch.float16"),
        ({"yaw_deg": torch.zeros(2, dtype=torch.bool)}, r"got torch.bool"),
        ({"yaw_deg": torch.zeros(2, dtype=torch.complex64)}, r"got torch.complex64"),
        ({"yaw_deg": "30"}, r"yaw_deg must be a number or a tensor of numbers, got '30'"),
        ({"yaw_deg": None}, r"yaw_deg must be a number or a tensor of numbers, got None"),
        ({"yaw_deg": [0, "x"]}, r"yaw_deg must be numbers"),
    ],
)
def test_bad_values(values, message):
    with pytest.raises(PanoramaError, match=message) as caught:
        CameraPoses(**values)
    assert len(str(caught.value)) < 250


def test_values_that_an_optimiser_has_changed():
    values, poses = poses_of(CASES)
    values.data[3, 1] = 91.0
    with pytest.raises(PanoramaError, match=r"pitch_deg\[3\] must be in \[-90, 90\], got 91.0"):
        extract_views(torch.zeros(1, 8, 16), poses, 4)


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("panorama", "options", "message"),
    [
        (torch.zeros(3, 8, 16), {"interpolation": "nearest"}, "'nearest' has no gradient .* pass poses.detach()"),
        (torch.zeros(3, 8, 16), {"backend": "opencv"}, "backend='opencv' has no gradient"),
        (torch.zeros(3, 8, 16, dtype=torch.uint8), {}, "need panoramas in floating point, got torch.uint8"),
        (np.zeros((8, 16), np.float32), {}, "need panoramas as tensors, got arrays or images"),
        (Image.new("RGB", (16, 8)), {}, "need panoramas as tensors"),
        (torch.zeros(3, 8, 8), {}, "twice as wide as high"),
        (torch.zeros(4, 3, 8, 16), {"poses": torch.zeros(3, 2)}, r"shape \(3, 2\) do not fit .* \(4,\): .*\[4, V\]"),
        (torch.zeros(3, 8, 16), {"poses": torch.zeros(3, 2)}, r"do not fit panoramas of batch shape \(\): .* \[V\]$"),
        (torch.zeros(3, 8, 16), {"size": 10**5}, "reduce size or the number of views"),
    ],
)
def test_poses_that_do_not_fit(panorama, options, message):
    options = {"size": 4, "poses": torch.zeros(2), **options}
    poses = CameraPoses(options.pop("poses").clone().requires_grad_())
    with pytest.raises(PanoramaError, match=message) as caught:
        extract_views(panorama, poses, **options)
    assert len(str(caught.value)) < 250


def test_one_plan_per_panorama(batch):
    """Plans of different kinds of view, and panoramas with the same plan."""
    plans = [
        ViewPlan([PerspectiveView(10, 20), EquirectangularView()]),
        ViewPlan([FisheyeView(50), PerspectiveView(100)]),
        [PerspectiveView(10, 20), EquirectangularView()],
    ]
    for options in ({}, {"antialias": False}, {"interpolation": "nearest"}):
        views = extract_views(batch, plans, 8, **options)
        assert views.shape == (3, 2, 2, 8, 8)
        for panorama, plan, member in zip(batch, plans, views, strict=True):
            assert torch.equal(member, extract_views(panorama, plan, 8, **options))
    array = batch.movedim(1, -1).numpy()
    np.testing.assert_array_equal(extract_views(array, plans, 8), extract_views(batch, plans, 8).movedim(2, -1))
    flat = [PerspectiveView(0), PerspectiveView(1), PerspectiveView(2)]
    assert torch.equal(extract_views(batch, flat, 8), extract_views(batch, ViewPlan(flat), 8))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint16, torch.int64, torch.float16, torch.complex64])
def test_one_plan_per_panorama_for_labels_of_any_dtype(dtype):
    labels = torch.randint(0, 2, (3, 1, 8, 16)).to(dtype)
    plans = [[PerspectiveView(0)], [PerspectiveView(90)], [PerspectiveView(0)]]
    views = extract_views(labels, plans, 4, interpolation="nearest")
    assert views.dtype == dtype
    for panorama, plan, member in zip(labels, plans, views, strict=True):
        assert torch.equal(member, extract_views(panorama, plan, 4, interpolation="nearest"))
    turned = rotate_equirectangular(labels, [0.0, 30.0, 60.0], 10.0, interpolation="nearest")
    assert torch.equal(turned[2], rotate_equirectangular(labels[2], 60.0, 10.0, interpolation="nearest"))


def test_the_gradient_of_a_list_of_plans(batch):
    panoramas = batch.requires_grad_()
    plans = [plan_views("cubemap"), ViewPlan([EquirectangularView()] * 6), plan_views("cubemap")]
    extract_views(panoramas, plans, 4).sum().backward()
    assert float(panoramas.grad.sum()) == pytest.approx(3 * 6 * 2 * 16)


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("plans", "message"),
    [
        ([plan_views("cubemap")] * 2, r"list of plans, 2 of them, for panoramas of batch shape \(3,\)"),
        (
            [plan_views("cubemap")] * 2 + [plan_views("e2p")[:4]],
            "same number of views, got 6 in plan 0 and 4 in plan 2",
        ),
        ([plan_views("cubemap"), PerspectiveView(0), plan_views("cubemap")], "item 1 .* ViewPlan .* PerspectiveView"),
        ([plan_views("cubemap"), None, plan_views("cubemap")], "item 1 of a list of plans .* NoneType"),
        ([plan_views("cubemap"), [], plan_views("cubemap")], "needs at least one view"),
        ([CameraPoses(0.0)] * 3, "item 0 of a list of plans .* got CameraPoses"),
    ],
)
def test_lists_that_are_not_one_plan_per_panorama(batch, plans, message):
    with pytest.raises(PanoramaError, match=message):
        extract_views(batch, plans, 8)


@pytest.mark.parametrize("antialias", [False, True])
def test_torch_compile(antialias):
    """In a new process, because dynamo cannot trace the shape checker of the tests."""
    code = f"""
import torch
from panollava_geometry import CameraPoses, extract_views
panorama, yaw, fov = torch.rand(3, 32, 64), torch.tensor([10.0, 185.0], requires_grad=True), torch.tensor(80.0)
fov.requires_grad_()
def function(panorama, yaw, fov):
    return extract_views(panorama, CameraPoses(yaw, 10.0, hfov_deg=fov), 8, antialias={antialias})
expected = function(panorama, yaw, fov)
compiled = torch.compile(function, backend="aot_eager", fullgraph=not {antialias})
views = compiled(panorama, yaw, fov)
torch.testing.assert_close(views, expected)
slopes = [torch.autograd.grad(v.square().sum(), (yaw, fov)) for v in (views, expected)]
torch.testing.assert_close(*slopes)
with torch.no_grad():
    torch.testing.assert_close(compiled(panorama, yaw, fov), expected, atol=1e-5, rtol=0)
try:
    compiled(panorama, torch.tensor([0.0, float("nan")], requires_grad=True), fov)
    raise SystemExit("nan was accepted")
except RuntimeError as error:
    assert "yaw_deg is not finite or out of its range" in str(error), error
reasons = torch._dynamo.utils.counters["graph_break"]
assert bool(reasons) == {antialias} and all("torch.compiler.disable" in reason for reason in reasons), reasons
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # by torch.func.jacfwd itself
def test_derivatives_of_torch_func(smooth_panorama):
    """Forward and second derivatives need antialias=False; torch has none for antialiased views."""
    values = torch.tensor([[10.0, 20, 5, 60, 70]], dtype=torch.float64)
    for antialias in (False, True):

        def function(values, antialias=antialias):
            poses = CameraPoses(*values.unbind(-1))
            return extract_views(smooth_panorama, poses, 4, antialias=antialias).square().sum()

        leaf = values.clone().requires_grad_()
        (expected,) = torch.autograd.grad(function(leaf), leaf)
        torch.testing.assert_close(torch.func.grad(function)(values), expected)
        torch.testing.assert_close(torch.func.jacrev(function)(values), expected)
        if antialias:
            with pytest.raises(NotImplementedError, match="forward AD"):
                torch.func.jacfwd(function)(values)
        else:
            torch.testing.assert_close(torch.func.jacfwd(function)(values), expected)
            assert torch.func.hessian(function)(values).isfinite().all()


def test_refining_a_pose_by_gradient_descent(smooth_panorama):
    wanted = extract_views(smooth_panorama, PerspectiveView(33, -12, 4, 70), 32)
    values = torch.tensor([28.0, -8.0, 0.0, 75.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([values], lr=0.5)
    for _ in range(120):
        optimiser.zero_grad()
        (extract_views(smooth_panorama, CameraPoses(*values), 32) - wanted).square().mean().backward()
        optimiser.step()
    torch.testing.assert_close(values.detach(), torch.tensor([33.0, -12, 4, 70]).double(), atol=0.2, rtol=0)
