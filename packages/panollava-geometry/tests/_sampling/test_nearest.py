"""`interpolation="nearest"` against the formulas in float64, for labels of every dtype."""

import math

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
    cubemap_to_equirect,
    equirect_to_cubemap,
    extract_views,
    paste_views,
    plan_views,
    rotate_equirectangular,
)

DTYPES = [
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64", "complex64", "complex128", ">i2", ">u4", ">f8", "longdouble"),
]
POSES = [(0, 0, 0, 90), (137, 20, -30, 100), (180, 0, 0, 60), (-100, 90, 30, 90), (5, -85, 0, 120)]


def labels(height=64, classes=20, dtype="int64", channels=None):
    shape = (height, 2 * height) if channels is None else (height, 2 * height, channels)
    return np.random.default_rng(0).integers(0, classes, shape).astype(dtype)


def witness(erp, rays):
    """The pixel in each direction, from the formula, and how near (in pixels) it is to the border of two pixels."""
    height, width = erp.shape[:2]
    x, y, z = np.moveaxis(rays, -1, 0)
    column = (np.arctan2(x, z) / (2 * math.pi) + 0.5) * width
    row = (0.5 - np.arcsin(np.clip(y, -1, 1)) / math.pi) * height
    clear = np.minimum(np.abs(column - np.round(column)), np.abs(row - np.round(row))) > 1e-6
    return erp[np.clip(row.astype(int), 0, height - 1), column.astype(int) % width], clear


@pytest.mark.parametrize("pose", POSES)
def test_a_view_is_the_pixels_at_the_centres(formulas, pose):
    erp = labels()
    found = extract_views(erp, PerspectiveView(*pose), (40, 56), interpolation="nearest")[0]
    yaw, pitch, roll, fov = pose
    expected, clear = witness(erp, formulas.view(yaw, pitch, roll, fov, fov, 40, 56))
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[clear], expected[clear])


@pytest.mark.parametrize("pose", [(30, 0, 0), (0, 25, 0), (170, 60, 80)])
def test_a_rotated_panorama_is_the_pixels_at_the_centres(formulas, pose):
    erp = labels()
    found = rotate_equirectangular(erp, *pose, interpolation="nearest")
    rays = formulas.panorama(64)
    yaw, pitch, roll = (math.radians(angle) for angle in pose)
    x, y, z = np.moveaxis(rays, -1, 0)
    x, y = math.cos(roll) * x + math.sin(roll) * y, -math.sin(roll) * x + math.cos(roll) * y
    y, z = math.cos(pitch) * y + math.sin(pitch) * z, -math.sin(pitch) * y + math.cos(pitch) * z
    x, z = math.cos(yaw) * x + math.sin(yaw) * z, -math.sin(yaw) * x + math.cos(yaw) * z
    expected, clear = witness(erp, np.stack([x, y, z], -1))
    np.testing.assert_array_equal(found[clear], expected[clear])


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_stays(dtype):
    erp, plan = labels(dtype=dtype), plan_views("anyres_e2p")
    views = extract_views(erp, plan, 32, interpolation="nearest")
    back, coverage = paste_views(views, plan, 64, interpolation="nearest")
    turned = rotate_equirectangular(erp, 10, 20, 30, interpolation="nearest")
    faces = equirect_to_cubemap(erp, 32, interpolation="nearest")
    joined = cubemap_to_equirect(faces, 64, interpolation="nearest")
    for values in (views, back, turned, faces, joined):
        assert values.dtype == erp.dtype
        assert np.isin(values, np.unique(erp)).all()
    assert coverage.min() >= 1


@pytest.mark.parametrize("name", ["bool", "uint16", "uint32", "uint64", "int64", "bfloat16", "float8_e4m3fn"])
def test_every_dtype_of_tensors_stays(name):
    dtype = getattr(torch, name)
    erp = torch.from_numpy(labels(classes=2, dtype="float32"))[None].to(dtype)
    plan = plan_views("cubemap")
    views = extract_views(erp, plan, 16, interpolation="nearest")
    back, _ = paste_views(views, plan, 32, interpolation="nearest", fill=1)
    turned = rotate_equirectangular(erp, 1, 2, 3, interpolation="nearest")
    assert views.dtype == back.dtype == turned.dtype == dtype
    assert set(views.float().unique().tolist()) == {0.0, 1.0}


def test_labels_come_back():
    """Twenty classes in large regions: through views and back, only pixels at their borders may differ."""
    erp = np.kron(labels(8), np.ones((32, 32), np.int64))
    plan = plan_views("anyres_e2p", fov_deg=90)
    back, _ = paste_views(extract_views(erp, plan, 256, interpolation="nearest"), plan, 256, interpolation="nearest")
    assert len(np.unique(back)) == len(np.unique(erp))
    assert (back == erp).mean() > 0.95
    full = EquirectangularView()
    same, counts = paste_views(
        extract_views(erp, full, (256, 512), interpolation="nearest"), full, 256, interpolation="nearest"
    )
    np.testing.assert_array_equal(same, erp)
    assert (counts == 1).all()


def test_masks_and_fill():
    plan = ViewPlan([PerspectiveView(0)])
    mask = np.ones((1, 16, 16), bool)
    pasted, coverage = paste_views(mask, plan, 32, interpolation="nearest")
    np.testing.assert_array_equal(pasted, coverage > 0)
    ignored, _ = paste_views(np.full((1, 16, 16, 2), 7, np.uint16), plan, 32, interpolation="nearest", fill=65535)
    assert set(np.unique(ignored)) == {7, 65535}
    np.testing.assert_array_equal((ignored == 7).all(-1), coverage > 0)
    heat, _ = paste_views(torch.ones(1, 1, 4, 4), plan, 16, fill=math.nan)
    assert heat.isnan().any()
    assert not heat.isnan().all()


def test_the_view_with_the_smaller_pixels_wins():
    plan = [EquirectangularView(), PerspectiveView(0, hfov_deg=40)]
    views = np.stack([np.zeros((16, 16), np.int64), np.ones((16, 16), np.int64)])
    pasted, _ = paste_views(views, plan, 64, interpolation="nearest")
    assert pasted[32, 64] == 1
    assert pasted[32, 0] == 0


@pytest.mark.parametrize(
    ("values", "fill", "message"),
    [
        (np.zeros((1, 4, 4), np.uint8), 256, "fill must be a whole number from 0 to 255 for uint8, got 256"),
        (np.zeros((1, 4, 4), np.int64), 0.5, "fill must be a whole number"),
        (np.zeros((1, 4, 4), bool), 2, "from 0 to 1 for bool, got 2"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.int8), -129, "from -128 to 127"),
    ],
)
def test_fills_that_do_not_fit(values, fill, message):
    with pytest.raises(PanoramaError, match=message):
        paste_views(values, PerspectiveView(0), 8, interpolation="nearest", fill=fill)


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize("fill", ["a", None, [0]])
def test_fills_that_are_not_numbers(fill):
    with pytest.raises(PanoramaError, match="fill must be a number, got "):
        paste_views(np.zeros((1, 4, 4)), PerspectiveView(0), 8, fill=fill)


def test_floating_point_values_have_gradients():
    erp = torch.rand(1, 8, 16, dtype=torch.float64, requires_grad=True)
    view = PerspectiveView(20, 10)
    assert torch.autograd.gradcheck(lambda e: extract_views(e, view, 4, interpolation="nearest"), (erp,))
    assert torch.autograd.gradcheck(lambda e: rotate_equirectangular(e, 5, 6, 7, interpolation="nearest"), (erp,))
    views = torch.rand(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: paste_views(v, view, 8, interpolation="nearest")[0], (views,))


def test_batches_and_memory_order():
    erp = torch.from_numpy(labels(channels=3)).permute(2, 0, 1)
    batch = torch.stack([erp, erp + 1])
    plan = plan_views("cubemap")
    both = extract_views(batch, plan, 8, interpolation="nearest")
    assert both.shape == (2, 6, 3, 8, 8)
    assert torch.equal(both[1], extract_views(erp, plan, 8, interpolation="nearest") + 1)
    back, _ = paste_views(both, plan, 16, interpolation="nearest")
    assert torch.equal(back[0] + 1, back[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interpolation": "cubic"}, "unknown interpolation 'cubic': choose from bilinear, nearest"),
        ({"interpolation": "nearest", "backend": "opencv"}, "backend='opencv' has no interpolation='nearest'"),
        ({"interpolation": "nearest", "backend": "jax"}, "unknown backend 'jax'"),
    ],
)
@pytest.mark.usefixtures("uninstrumented")
def test_errors(options, message):
    with pytest.raises(PanoramaError, match=message):
        extract_views(labels(), PerspectiveView(0), 8, **options)


@pytest.mark.parametrize("array", [np.zeros((8, 16), object), np.zeros((8, 16), "U3"), np.zeros((8, 16), "i4,i4")])
def test_arrays_without_numbers(array):
    with pytest.raises(PanoramaError, match="a panorama array must have numbers or booleans, got "):
        extract_views(array, PerspectiveView(0), 8, interpolation="nearest")


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.floats(-400, 400), st.floats(-90, 90), st.floats(-180, 180), st.floats(5, 150), st.integers(-40, 40))
def test_turning_by_columns_is_rolling(yaw, pitch, roll, fov, columns):
    erp = torch.from_numpy(labels(16, 1000))[None]
    here = extract_views(erp.roll(-columns, -1), PerspectiveView(yaw, pitch, roll, fov), 6, interpolation="nearest")
    there = extract_views(erp, PerspectiveView(yaw + columns * 360 / 32, pitch, roll, fov), 6, interpolation="nearest")
    assert torch.equal(here, there)
    assert torch.isin(here, erp).all()
