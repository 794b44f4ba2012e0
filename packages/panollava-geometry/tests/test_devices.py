"""Results and gradients on a GPU are those of the CPU, and stay on the GPU.

Every test also runs on the CPU. The device `meta` computes nothing, and refuses to mix with tensors of the CPU, so it
shows without a GPU whether an operation leaves the device.
"""

import pytest
import torch
from panollava_geometry import (
    CameraPoses,
    EquirectangularView,
    FisheyeView,
    PanoramaError,
    PerspectiveView,
    StereographicView,
    ViewPlan,
    cubemap_to_equirect,
    equirect_to_cubemap,
    extract_views,
    find_correspondences,
    paste_views,
    plan_views,
    radial_to_z_depth,
    rotate_equirectangular,
)

PLAN = ViewPlan(
    [
        PerspectiveView(0),
        PerspectiveView(137.3, 20, 25, 100, 60),
        PerspectiveView(180, -88),
        EquirectangularView(),
        EquirectangularView((140, 200), (-30, 50)),
        FisheyeView(30, hfov_deg=200),
        StereographicView(0, -90, hfov_deg=250),
    ]
)
#: Largest difference from the CPU, for values in [0, 1]. Positions in float32 differ by 2e-7 of the panorama's width.
LIMITS = {torch.float64: 1e-9, torch.float32: 2e-4, torch.bfloat16: 2**-8, torch.float16: 2**-10}
SMALL = (2, 3, 64, 128)


def panorama(dtype=torch.float32, shape=SMALL):
    generator = torch.Generator().manual_seed(0)
    if dtype in (torch.uint8, torch.int64, torch.bool):
        return torch.randint(0, 2 if dtype == torch.bool else 256, shape, generator=generator).to(dtype)
    return torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype)


def close(found, expected, device):
    """The result is on the device, and differs from the CPU's within the limit of its dtype."""
    assert found.device.type == device.type
    assert found.dtype == expected.dtype
    if expected.dtype == torch.uint8:
        assert int((found.cpu().int() - expected.int()).abs().max()) <= 1
    else:
        difference = (found.cpu().double() - expected.double()).abs().max()
        assert float(difference) <= LIMITS[expected.dtype] * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_views(device, dtype, antialias):
    erp = panorama(dtype)
    expected = extract_views(erp, PLAN, 24, antialias=antialias, backend="torch")
    close(extract_views(erp.to(device), PLAN, 24, antialias=antialias), expected, device)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8, torch.float32, torch.uint16])
def test_nearest_labels_are_equal(device, dtype):
    erp = panorama(torch.uint8).to(dtype)
    expected = extract_views(erp, PLAN, 24, interpolation="nearest")
    views = extract_views(erp.to(device), PLAN, 24, interpolation="nearest")
    assert views.device.type == device.type
    assert views.dtype == dtype
    assert views.cpu().equal(expected)
    turned = rotate_equirectangular(erp.to(device), 10, 20, 30, interpolation="nearest")
    assert turned.device.type == device.type
    assert turned.cpu().equal(rotate_equirectangular(erp, 10, 20, 30, interpolation="nearest"))
    pasted, coverage = paste_views(views, PLAN, 32, interpolation="nearest", fill=1)
    found, counts = paste_views(expected, PLAN, 32, interpolation="nearest", fill=1)
    assert pasted.device.type == coverage.device.type == device.type
    assert pasted.dtype == dtype
    assert pasted.cpu().equal(found)
    assert coverage.cpu().equal(counts)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_pasted_views(device, dtype):
    views = panorama(dtype, (2, len(PLAN), 3, 20, 20))
    expected, counts = paste_views(views, PLAN, 48)
    found, coverage = paste_views(views.to(device), PLAN, 48)
    close(found, expected, device)
    close(coverage, counts, device)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("angles", [(10, 20, 30), (90, 0, 0)])
def test_rotated(device, dtype, angles):
    erp = panorama(dtype)
    close(rotate_equirectangular(erp.to(device), *angles), rotate_equirectangular(erp, *angles), device)


def test_cubemaps_and_depth(device):
    erp = panorama()
    cubes = equirect_to_cubemap(erp, 24)
    close(equirect_to_cubemap(erp.to(device), 24), cubes, device)
    close(cubemap_to_equirect(cubes.to(device), 32), cubemap_to_equirect(cubes, 32), device)
    plan = plan_views("cubemap")
    depth = panorama(shape=(6, 1, 16, 16))
    close(radial_to_z_depth(depth.to(device), plan), radial_to_z_depth(depth, plan), device)


def test_correspondences_move(device):
    pairs = find_correspondences(plan_views("e2p"), 8)
    moved = pairs.to(device)
    features = panorama(shape=(8, 64, 5)).to(device)
    assert moved.target_xy.device.type == moved.weight.device.type == device.type
    assert moved.grid == pairs.grid
    tokens = features[moved.source_view, moved.source_index]
    assert tokens.device.type == device.type
    assert tokens.cpu().equal(features.cpu()[pairs.source_view, pairs.source_index])


@pytest.mark.parametrize("work", ["views", "nearest", "paste", "rotate"])
def test_gradients(device, work):
    functions = {
        "views": lambda erp: extract_views(erp, PLAN, 16),
        "nearest": lambda erp: extract_views(erp, PLAN, 16, interpolation="nearest"),
        "paste": lambda erp: paste_views(erp[:, None].expand(-1, len(PLAN), -1, -1, -1), PLAN, 32)[0],
        "rotate": lambda erp: rotate_equirectangular(erp, 10, 20, 30),
    }
    gradients = []
    for place in (torch.device("cpu"), device):
        erp = panorama().to(place).requires_grad_()
        result = functions[work](erp)
        weight = torch.linspace(-1, 1, result.numel(), device=place).reshape(result.shape)
        (result * weight).sum().backward()
        assert erp.grad.device.type == place.type
        gradients.append(erp.grad.cpu().double())
    expected, found = gradients
    assert float(expected.norm()) > 0
    assert float((found - expected).norm() / expected.norm()) < 1e-3


@pytest.mark.parametrize("antialias", [True, False])
def test_gradients_of_poses(device, antialias):
    """Gradients of every angle, one set of poses per panorama, with poses on the device and on the CPU."""
    erp = panorama(torch.float64)
    values = torch.tensor(
        [[[10.0, 20.0, 5.0, 80.0], [-170.0, -60.0, 0.0, 60.0]], [[95.3, 0.0, 30.0, 100.0]] * 2]
    ).double()
    found = []
    for image_device, pose_device in (("cpu", "cpu"), (device, device), (device, "cpu")):
        given = values.to(pose_device).detach().requires_grad_()
        views = extract_views(erp.to(image_device), CameraPoses(*given.unbind(-1)), 16, antialias=antialias)
        assert views.device.type == torch.device(image_device).type
        views.square().sum().backward()
        assert given.grad.device.type == torch.device(pose_device).type
        found.append((views.detach().cpu(), given.grad.cpu()))
    (expected, gradient), *others = found
    assert float(gradient.abs().min()) > 0
    for views, other in others:
        assert float((views - expected).abs().max()) < 1e-8
        assert float((other - gradient).norm() / gradient.norm()) < 1e-8


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("backend", ["opencv", "py360convert"])
def test_backends_of_the_cpu_refuse_a_gpu(backend):
    with pytest.raises(PanoramaError, match="use backend='torch'"):
        extract_views(panorama(torch.uint8).to("cuda"), PLAN, 16, backend=backend)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_no_operation_leaves_the_device(interpolation):
    erp = torch.empty(SMALL, device="meta")
    views = extract_views(erp, PLAN, 24, interpolation=interpolation)
    assert views.device.type == "meta"
    assert views.shape == (2, len(PLAN), 3, 24, 24)
    pasted, coverage = paste_views(views, PLAN, 48, interpolation=interpolation)
    assert pasted.device.type == "meta"
    assert pasted.shape == (2, 3, 48, 96)
    assert coverage.shape == (48, 96)
    turned = rotate_equirectangular(erp, 10, 20, 30, interpolation=interpolation)
    assert turned.device.type == "meta"
    assert turned.shape == erp.shape
    cubes = equirect_to_cubemap(erp, 24)
    assert cubes.device.type == "meta"
    assert cubemap_to_equirect(cubes, 32).device.type == "meta"
