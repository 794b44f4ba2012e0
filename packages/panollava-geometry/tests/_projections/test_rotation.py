import subprocess
import sys

import numpy as np
import pytest
import torch
from panollava_geometry import (
    PanoramaError,
    PerspectiveView,
    ViewPlan,
    extract_views,
    rotate_equirectangular,
    rotation_matrix,
)
from panollava_geometry._projections import _turning

POSES = [(30, 0, 0), (0, 25, 0), (0, 0, -40), (170, 60, 80)]


@pytest.mark.parametrize("pose", POSES)
def test_values_are_the_function_of_direction(formulas, smooth_panorama, pose):
    turned = rotate_equirectangular(smooth_panorama, *pose)
    expected = formulas.smooth(formulas.panorama(256) @ rotation_matrix(*pose).T)
    np.testing.assert_allclose(turned, expected, atol=5e-4)


@pytest.mark.parametrize("pose", POSES)
def test_a_view_ahead_is_the_view_of_that_pose(smooth_panorama, pose):
    ahead = extract_views(rotate_equirectangular(smooth_panorama, *pose), ViewPlan([PerspectiveView(0)]), 32)
    there = extract_views(smooth_panorama, ViewPlan([PerspectiveView(*pose)]), 32)
    torch.testing.assert_close(ahead, there, atol=1e-3, rtol=0)


def test_there_and_back(smooth_panorama):
    there = rotate_equirectangular(smooth_panorama, pitch_deg=33)
    torch.testing.assert_close(rotate_equirectangular(there, pitch_deg=-33), smooth_panorama, atol=1e-3, rtol=0)


def test_whole_columns_only_move():
    panorama = torch.randint(0, 256, (3, 20, 40), dtype=torch.uint8)
    assert torch.equal(rotate_equirectangular(panorama, 9 * 3), panorama.roll(-3, -1))
    assert torch.equal(rotate_equirectangular(panorama, 0), panorama)


def test_dtype_and_batch(photo_like):
    batch = torch.stack([photo_like, photo_like])
    turned = rotate_equirectangular(batch, 10, 20, 30)
    assert turned.shape == batch.shape
    assert turned.dtype == torch.uint8
    assert torch.equal(turned[0], turned[1])


def test_gradcheck():
    panorama = torch.rand(1, 4, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda erp: rotate_equirectangular(erp, 10, 20, 30), (panorama,))


def test_errors():
    with pytest.raises(PanoramaError, match="twice as wide"):
        rotate_equirectangular(torch.zeros(3, 4, 4), 10)


def test_tensors_of_angles_are_the_numbers(photo_like, smooth_panorama):
    """One rotation per panorama, with and without gradients."""
    batch = torch.stack([photo_like, photo_like.flip(-1), photo_like])
    yaw, roll = torch.tensor([0.0, 90.0, 33.3]), [0.0, 0.0, 20.0]
    turned = rotate_equirectangular(batch, yaw, 0.0, roll)
    for one, panorama, of_yaw, of_roll in zip(turned, batch, yaw, roll, strict=True):
        assert torch.equal(one, rotate_equirectangular(panorama, float(of_yaw), 0.0, of_roll))
    array = batch.movedim(1, -1).numpy()
    np.testing.assert_array_equal(rotate_equirectangular(array, yaw.numpy(), 0.0, roll), turned.movedim(1, -1))
    floats = torch.stack([smooth_panorama] * 2).float()
    expected = torch.stack([rotate_equirectangular(floats[0], *pose) for pose in POSES[2:]])
    angles = torch.tensor(POSES[2:], dtype=torch.float64, requires_grad=True)
    with_gradient = rotate_equirectangular(floats, *angles.unbind(-1))
    assert with_gradient.dtype == torch.float32
    torch.testing.assert_close(with_gradient.detach(), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(rotate_equirectangular(floats, *angles.detach().unbind(-1)), expected)
    one = rotate_equirectangular(floats[0], torch.tensor(30.0, requires_grad=True))
    torch.testing.assert_close(one.detach(), rotate_equirectangular(floats[0], 30.0), atol=1e-4, rtol=0)
    assert rotate_equirectangular(floats[:0], torch.zeros(0)).shape == (0, *floats.shape[1:])


def test_torch_compile():
    """In a new process, because dynamo cannot trace the shape checker of the tests."""
    code = """
import torch
from panollava_geometry import rotate_equirectangular
panorama, angles = torch.rand(2, 3, 16, 32), torch.tensor([[10.0, 20, 30], [100, -80, 0]], requires_grad=True)
function = lambda erp, angles: rotate_equirectangular(erp, *angles.unbind(-1))
compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
torch.testing.assert_close(compiled(panorama, angles), function(panorama, angles))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_gradcheck_of_angles():
    panoramas = torch.rand(2, 1, 4, 8, dtype=torch.float64, requires_grad=True)
    angles = torch.tensor([[10.1, 20.2, 30.3], [170.4, -80.5, 0.6]], dtype=torch.float64, requires_grad=True)
    function = lambda erp, angles: rotate_equirectangular(erp, *angles.unbind(-1))  # noqa: E731
    assert torch.autograd.gradcheck(function, (panoramas, angles), eps=1e-7, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("pose", [(30, 0, 0), (0, 0, -40), (170, 60, 80), (10, 90, 0)])
def test_the_gradient_of_angles_is_that_of_the_formula(formulas, smooth_panorama, pose, monkeypatch):
    """Also in strips, whose places are computed again for the gradient."""
    weight = np.random.default_rng(0).normal(size=smooth_panorama.shape) / smooth_panorama.numel()
    scene = lambda angles: formulas.smooth(formulas.panorama(256) @ rotation_matrix(*angles).T)  # noqa: E731
    gradients = []
    for strip in (_turning._STRIP, 40 * 512):
        monkeypatch.setattr(_turning, "_STRIP", strip)
        angles = torch.tensor(pose, dtype=torch.float64, requires_grad=True)
        (rotate_equirectangular(smooth_panorama, *angles) * torch.from_numpy(weight)).sum().backward()
        gradients.append(angles.grad.numpy())
    np.testing.assert_allclose(*gradients)
    for axis, step in enumerate(np.eye(3) * 1e-4):
        slope = (scene(np.array(pose) + step) - scene(np.array(pose) - step)) / 2e-4
        scale = np.abs(slope * weight).sum()
        assert abs(gradients[0][axis] - (slope * weight).sum()) <= 0.01 * scale + 1e-9, axis


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("panorama", "angles", "message"),
    [
        (torch.zeros(2, 1, 4, 8), (torch.zeros(3),), r"yaw_deg must be .* batch shape \(2,\), got shape \(3,\)"),
        (torch.zeros(1, 4, 8), (0.0, torch.zeros(1)), r"pitch_deg must be .* batch shape \(\), got shape \(1,\)"),
        (torch.zeros(2, 1, 4, 8), ([0.0, np.nan],), r"yaw_deg\[1\] must be a finite number of degrees, got nan"),
        (torch.zeros(2, 1, 4, 8), (torch.zeros(2).half(),), "yaw_deg must be float32 or float64"),
        (
            torch.zeros(1, 4, 8, dtype=torch.uint8),
            (torch.zeros((), requires_grad=True),),
            "torch.uint8 has no gradient",
        ),
        (np.zeros((4, 8), np.float32), (torch.zeros((), requires_grad=True),), "an array or an image has no gradient"),
        (torch.zeros(1, 4, 8), ("3",), "yaw_deg must be a number"),
    ],
)
def test_tensors_of_angles_that_do_not_fit(panorama, angles, message):
    with pytest.raises(PanoramaError, match=message):
        rotate_equirectangular(panorama, *angles)
    with pytest.raises(PanoramaError, match="'nearest' has no gradient with respect to angles"):
        rotate_equirectangular(torch.zeros(1, 4, 8), torch.zeros((), requires_grad=True), interpolation="nearest")
