"""Resampling maps: what is cached and shared. Their values are tested through `extract_views`."""

import numpy as np
import pytest
from panollava_geometry import EquirectangularView, PerspectiveView, plan_views
from panollava_geometry._sampling._resampling import clear_cache, find_resampling_maps
from panollava_geometry._sampling._sampled_grid import SampledGrid
from panollava_geometry._sampling._separable_filter import SeparableFilter

OPTIONS = {"size": (16, 16), "erp": (128, 256), "antialias": True, "align_corners": False, "precise": False}


def test_a_ring_with_a_spacing_of_whole_columns_shares_one_map():
    maps = find_resampling_maps(plan_views("e2p", num_views=8), **OPTIONS)
    assert len({id(resampling) for resampling, _ in maps}) == 1
    assert [anchor for _, anchor in maps] == [(128 + 32 * index) % 256 for index in range(8)]


def test_maps_are_cached_until_cleared():
    plan = plan_views("e2p", num_views=1)
    ((first, _),), ((second, _),) = (find_resampling_maps(plan, **OPTIONS) for _ in range(2))
    assert first is second
    clear_cache()
    ((third, _),) = find_resampling_maps(plan, **OPTIONS)
    assert third is not first


def test_the_kind_of_map_and_its_precision():
    views = [PerspectiveView(0), EquirectangularView()]
    for precise, dtype in ((False, np.float32), (True, np.float64)):
        (grid, _), (separable, _) = find_resampling_maps(views, **{**OPTIONS, "precise": precise})
        assert isinstance(grid, SampledGrid)
        assert isinstance(separable, SeparableFilter)
        assert grid.x.dtype == separable.row_weight.dtype == dtype
    ((points, _),) = find_resampling_maps(views[1:], **{**OPTIONS, "antialias": False})
    assert isinstance(points, SampledGrid)
    assert points.points == 1


@pytest.mark.parametrize(("minification", "reached"), [(3.7, True), (7.3, True), (30.0, True), (20.0, False)])
def test_blocks_interpolation_and_points_add_up_to_the_footprint(minification, reached):
    """In the middle of a narrow view the map is linear, so the variances can be added by hand.

    At 20 the blocks and the interpolation alone blur more than the footprint, so the points coincide.
    """
    width, size = 8192, 9
    fov = np.degrees(2 * np.arctan(size * minification * np.pi / width))
    view = PerspectiveView(0, 0, 20, fov)
    ((grid, _),) = find_resampling_maps([view], (size, size), (width // 2, width), True, False, True)
    level, points = grid.patch.reduce_columns, grid.points
    middle = slice(4 * points, 5 * points)
    spread = np.cov(np.stack([grid.x[middle, middle].ravel(), grid.y[middle, middle].ravel()]), bias=True) * level**2
    blur = (level**2 - 1) / 12 + level**2 / 6  # block means, then bilinear interpolation (on average over its phase)
    footprint = minification**2 / 12
    expected = footprint - blur if reached else 0.0
    np.testing.assert_allclose(spread, expected * np.eye(2), atol=0.02 * footprint)
    assert (blur < footprint) == reached
