"""Plans in float32 against plans in float64, which take another way, and against the formula."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import PerspectiveView, extract_views
from panollava_geometry._arrays._workspace import workspace
from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._projections._array_views import extract_arrays
from panollava_geometry._sampling import _opencv_backend as opencv_backend
from panollava_geometry._sampling import _resampling as resampling
from panollava_geometry._sampling._sampled_grid import SampledGrid, plan_rotated_strip, plan_sampled_grid
from panollava_geometry._sampling._torch_backend import _block_means
from panollava_geometry._views._sphere import equirect_to_rays, rays_to_equirect, rotated_rays, rotation_matrix
from panollava_geometry._views._view_base import pixel_centres
from PIL import Image

angle = st.floats(-180, 180)


def on_panorama(grid: SampledGrid) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of the points on the panorama, where the anchor is column 0."""
    patch = grid.patch
    x = (grid.x.astype(np.float64) - patch.wrap_columns + 0.5) * patch.reduce_columns + patch.columns[0]
    y = (grid.y.astype(np.float64) - patch.pole_rows[0] + 0.5) * patch.reduce_rows + patch.rows[0]
    return x, y


def moments(grid: SampledGrid, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the points of each pixel: longitude and latitude of their centre, and their covariance, in panorama rows."""
    points = grid.points
    shape = (grid.x.shape[0] // points, points, grid.x.shape[1] // points, points)
    x, y = (values.reshape(shape) for values in on_panorama(grid))
    first = x[:, :1, :, :1]
    x = first + (x - first + height) % (2 * height) - height
    column, row = x.mean((1, 3)), y.mean((1, 3))
    cosine = np.abs(np.cos((0.5 - row / height) * np.pi))
    across, down = (x - column[:, None, :, None]) * cosine[:, None, :, None], y - row[:, None, :, None]
    spread = np.stack([(across**2).mean((1, 3)), (across * down).mean((1, 3)), (down**2).mean((1, 3))])
    return column, row, spread


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.floats(-0.05, 0.05),
    st.sampled_from([0.0, 45.0, 90.0, -90.0]) | st.floats(-90, 90),
    st.just(0.0) | angle,
    st.floats(40, 110),
    st.integers(90, 260),
    st.sampled_from([256, 1024, 4096]),
    st.booleans(),
)
def test_float32_plans_agree_with_float64(yaw, pitch, roll, fov, side, height, align_corners):
    view = PerspectiveView(yaw, pitch, roll, fov)
    arguments = (view, (side, side), (height, 2 * height), True, align_corners)
    quick, exact = plan_sampled_grid(*arguments, precise=False), plan_sampled_grid(*arguments, precise=True)
    assert (quick.x.dtype, exact.x.dtype) == (np.float32, np.float64)
    assert quick.patch.reduce_rows == exact.patch.reduce_rows
    assert quick.points in {exact.points, max(exact.points, 2)}
    assert quick.patch.polar_bands[:1] == exact.patch.polar_bands[:1]
    pixel = max(np.tan(np.deg2rad(fov) / 2) * 2 / side * height / np.pi, 1)
    (column, row, spread), (true_column, true_row, true_spread) = moments(quick, height), moments(exact, height)
    far = np.abs(90 - np.abs((0.5 - true_row / height) * 180)) > 3 * np.rad2deg(pixel * np.pi / height)
    across = ((column - true_column + height) % (2 * height) - height) * np.cos((0.5 - true_row / height) * np.pi)
    assert np.hypot(across, row - true_row)[far].max() <= 0.02 * pixel
    error = np.abs(spread - true_spread)[:, far] / pixel**2
    assert np.quantile(error, 0.98) <= 0.01
    assert error.max() <= 0.12  # where the width of the smoothing changes within a block of pixels


@pytest.mark.parametrize(("pitch", "roll"), [(0.0, 0.0), (30.0, 20.0), (-75.0, -140.0), (90.0, 0.0)])
@pytest.mark.parametrize("point", [(0.5, 0.5), (0.2, 0.9)])
def test_centres_are_those_of_the_formula(pitch, roll, point):
    view = PerspectiveView(0.0, pitch, roll, 80.0, 60.0, point)
    grid = plan_sampled_grid(view, (150, 200), (1024, 2048), False, False, precise=False)
    xy = rays_to_equirect(view.rays((150, 200)), (1024, 2048)) - [1024, 0]
    x, y = on_panorama(grid)
    across = np.abs((x - xy[..., 0] + 1024) % 2048 - 1024) * np.abs(np.cos((0.5 - xy[..., 1] / 1024) * np.pi))
    assert max(float(across.max()), float(np.abs(y - xy[..., 1]).max())) < 1e-3


needs_opencv = pytest.mark.skipif(not opencv_backend.is_installed(), reason="OpenCV is not installed")


@needs_opencv
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    angle, st.floats(-90, 90), angle, st.floats(20, 130), st.integers(40, 90), st.sampled_from([1, 3, 4]), st.booleans()
)
def test_columns_that_are_not_needed_are_not_read(yaw, pitch, roll, fov, side, channels, antialias):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (512, 1024, channels), np.uint8)
    ((grid, anchor),) = resampling.find_resampling_maps(
        [PerspectiveView(yaw, pitch, roll, fov)], (side, side), (512, 1024), antialias, False, False
    )
    workspace("patch", (2 * image.size,))[:] = 0
    dark = opencv_backend.sample(image, grid, anchor).copy()
    workspace("patch", (2 * image.size,))[:] = 255
    light = opencv_backend.sample(image, grid, anchor).copy()
    whole = opencv_backend.sample(image, replace(grid, patch=replace(grid.patch, needed=())), anchor)
    assert np.array_equal(dark, light)
    assert np.array_equal(dark, whole)


@needs_opencv
def test_a_polar_view_needs_less_than_its_patch():
    ((grid, _),) = resampling.find_resampling_maps(
        [PerspectiveView(0.0, 60.0)], (336, 336), (4096, 8192), True, False, False
    )
    patch = grid.patch
    whole = (patch.rows[1] - patch.rows[0]) * (patch.columns[1] - patch.columns[0]) / 4
    assert patch.full_turn
    assert sum((bottom - top) * (right - left) for top, bottom, left, right in patch.needed) < 0.75 * whole


@needs_opencv
def test_a_map_is_cached_from_the_second_time_on():
    resampling.clear_cache()
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3), np.uint8)
    results = []
    for expected in (0, 1, 1):
        results.append(extract_arrays(image, ViewPlan([PerspectiveView(20.0, 40.0)]), (48, 48), True, False))
        assert len(resampling._cache) == expected
    assert all(np.array_equal(result, results[0]) for result in results[1:])
    for yaw in range(50):
        extract_arrays(image, ViewPlan([PerspectiveView(yaw / 7, 10.0)]), (48, 48), True, False)
    assert len(resampling._cache) == 1


@needs_opencv
def test_the_views_of_a_plan_do_not_share_their_memory():
    image = np.random.default_rng(1).integers(0, 256, (64, 128, 3), np.uint8)
    views = [PerspectiveView(float(yaw), 15.0 + yaw / 10) for yaw in range(0, 90, 30)]
    resampling.clear_cache()
    together = extract_views(image, views, 150)
    for view, expected in zip(views, together, strict=True):
        assert np.array_equal(extract_views(image, [view], 150)[0], expected)


@needs_opencv
def test_arrays_and_images_do_not_import_torch():
    program = (
        "import sys, numpy as np; from PIL import Image; from panollava_geometry import extract_views, plan_views\n"
        "views = extract_views(np.zeros((64, 128, 3), np.uint8), plan_views('anyres_e2p'), 32)\n"
        "images = extract_views(Image.new('RGB', (128, 64)), plan_views('cubemap'), 32)\n"
        "print(views.shape, images[0].size, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    exact = opencv_backend.is_exact()
    assert done.stdout.split("\n")[0] == f"(7, 32, 32, 3) (32, 32) {not exact}"


@needs_opencv
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_arrays_images_and_tensors_have_the_same_views(mode):
    rng = np.random.default_rng(2)
    array = rng.integers(0, 256, (64, 128, len(mode)), np.uint8)
    plan = [PerspectiveView(10.0, 70.0), PerspectiveView(-120.0)]
    of_tensor = extract_views(torch.from_numpy(array).permute(2, 0, 1), plan, 40).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(extract_views(array, plan, 40), of_tensor)
    image = Image.fromarray(array[..., 0] if mode == "L" else array, mode)
    images = extract_views(image, plan, 40)
    assert [view.mode for view in images] == [mode, mode]
    assert np.array_equal(np.stack([np.asarray(view).reshape(40, 40, -1) for view in images]), of_tensor)


def test_rotated_rays_are_those_of_the_formula():
    rotation = rotation_matrix(30.0, -50.0, 110.0)
    expected = equirect_to_rays(pixel_centres((10, 64), 7), (32, 64)) @ rotation.T
    found = np.stack(rotated_rays(rotation, (32, 64), (7, 17), (0, 64)), axis=-1)
    assert np.abs(found - expected).max() < 1e-12
    single = np.stack(rotated_rays(rotation, (32, 64), (7, 17), (0, 64), np.float32), axis=-1)
    assert single.dtype == np.float32
    assert np.abs(single - expected).max() < 1e-6


@pytest.mark.parametrize("precise", [True, False])
def test_rotated_strips_are_those_of_the_formula(precise):
    rotation = rotation_matrix(200.0, 65.0, -20.0)
    grid = plan_rotated_strip(rotation, (512, 1024), 100, 160, precise)
    xy = rays_to_equirect(equirect_to_rays(pixel_centres((60, 1024), 100), (512, 1024)) @ rotation.T, (512, 1024))
    x, y = on_panorama(grid)
    across = np.abs((x - (xy[..., 0] - 512) + 512) % 1024 - 512) * np.cos((0.5 - xy[..., 1] / 512) * np.pi)
    assert max(float(across.max()), float(np.abs(y - xy[..., 1]).max())) < (1e-9 if precise else 1e-3)


@pytest.mark.parametrize("block", [(1, 1), (2, 2), (4, 2), (1, 8), (8, 8)])
def test_block_means(block):
    image = torch.rand(2, 3, 32, 64, dtype=torch.float64, requires_grad=True)
    means = _block_means(image[..., 8:24, :48], *block)
    assert torch.allclose(means, functional.avg_pool2d(image[..., 8:24, :48], block), atol=1e-12)
    means.sum().backward()
    assert torch.allclose(image.grad[..., 8:24, :48], torch.tensor(1 / (block[0] * block[1]), dtype=torch.float64))
