import math

import numpy as np
import pytest
import torch
from panollava_geometry import (
    Correspondences,
    EquirectangularView,
    PanoramaError,
    PerspectiveView,
    ViewPlan,
    find_correspondences,
)
from panollava_geometry import plan_views as plan_of

PLANS = {
    "ring": plan_of("e2p"),
    "global and ring": plan_of("anyres_e2p"),
    "three rings": plan_of("anyres_e2p", num_rings=3, fov_deg=(90, 70)),
    "windows": plan_of("sliding_window"),
    "loose": ViewPlan([PerspectiveView(0, 10, 30, 80, 60), PerspectiveView(40, -20, -75), PerspectiveView(20, 80)]),
}


def pairs_of(found):
    return sorted(set(zip(found.source_view.tolist(), found.target_view.tolist(), strict=True)))


def bilinear(values, xy):
    """Values [h, w] at token places (x, y), from the formula."""
    x, y = xy[:, 0] - 0.5, xy[:, 1] - 0.5
    c = np.clip(np.floor(x).astype(int), 0, values.shape[1] - 2)
    r = np.clip(np.floor(y).astype(int), 0, values.shape[0] - 2)
    u, v = x - c, y - r
    top = values[r, c] * (1 - u) + values[r, c + 1] * u
    return top * (1 - v) + (values[r + 1, c] * (1 - u) + values[r + 1, c + 1] * u) * v


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("pairs", ["adjacent", "all"])
def test_both_ends_see_the_same_direction(name, pairs):
    plan, grid = PLANS[name], (12, 16)
    found = find_correspondences(plan, grid, pairs)
    for source, target in pairs_of(found):
        mine = ((found.source_view == source) & (found.target_view == target)).numpy()
        rays = plan[source].rays(grid).reshape(-1, 3)[found.source_index.numpy()[mine]]
        theirs = plan[target].pixels_to_rays(found.target_xy.double().numpy()[mine], grid)
        np.testing.assert_allclose(rays, theirs, atol=2e-6)


@pytest.mark.parametrize("name", PLANS)
def test_paired_values_agree(name, formulas):
    """Sampled on a fine grid, a function of direction has the same value at both ends."""
    plan, grid = PLANS[name], 64
    values = np.stack([formulas.smooth(view.rays((grid, grid)))[0] for view in plan])
    found = find_correspondences(plan, grid, "all")
    source = values.reshape(len(plan), -1)[found.source_view, found.source_index]
    for target in found.target_view.unique().tolist():
        mine = (found.target_view == target).numpy()
        np.testing.assert_allclose(bilinear(values[target], found.target_xy.numpy()[mine]), source[mine], atol=4e-3)


def test_fixed_columns_do_not_agree(formulas):
    """The error of the original pairing, last columns with first columns, is a hundred times larger."""
    plan, grid = PLANS["ring"], 64
    values = np.stack([formulas.smooth(view.rays((grid, grid)))[0] for view in plan])
    columns = int(grid * 0.3)
    fixed = np.abs(values[:, :, -columns:] - np.roll(values, -1, 0)[:, :, :columns]).mean()
    found = find_correspondences(plan, grid)
    source = values.reshape(len(plan), -1)[found.source_view, found.source_index]
    exact = [
        np.abs(bilinear(values[t], found.target_xy.numpy()[found.target_view == t]) - source[found.target_view == t])
        for t in range(len(plan))
    ]
    assert fixed > 0.03 > 0.0003 > np.concatenate(exact).mean()


def test_types_and_range():
    found = find_correspondences(PLANS["global and ring"], (6, 8), "all")
    assert [t.dtype for t in (found.source_view, found.target_view, found.source_index)] == [torch.int64] * 3
    assert found.target_xy.dtype == found.weight.dtype == torch.float32
    assert found.target_xy.shape == (len(found), 2)
    assert found.source_index.max() < 48
    assert (found.target_xy >= 0.5 - 1e-5).all()
    assert (found.target_xy <= torch.tensor([7.5, 5.5]) + 1e-5).all()
    assert found.to("cpu").weight.equal(found.weight)


def test_weights_are_solid_angles_per_pair_of_views():
    plan = PLANS["three rings"]
    found = find_correspondences(plan, 10, "all")
    for source, target in pairs_of(found):
        mine = (found.source_view == source) & (found.target_view == target)
        assert float(found.weight[mine].sum()) == pytest.approx(1, abs=1e-5)
        angle = torch.from_numpy(plan[source].solid_angles((10, 10)).copy()).flatten()[found.source_index[mine]]
        torch.testing.assert_close(found.weight[mine], (angle / angle.sum()).float())


def test_adjacent_views_that_do_not_overlap_are_left_out():
    plan = ViewPlan([PerspectiveView(0), PerspectiveView(-60), PerspectiveView(60), PerspectiveView(120)])
    assert pairs_of(find_correspondences(plan, 8)) == [(0, 2), (1, 0), (2, 3)]


def test_all_includes_global_and_tile_both_ways():
    found = set(pairs_of(find_correspondences(PLANS["global and ring"], 8, "all")))
    assert {(0, 3), (3, 0)} <= found


def test_overlap_is_the_geometry():
    """The share of tokens with a partner is the share of the tile that the next tile sees."""
    found = find_correspondences(plan_of("e2p", num_views=8), 100, [(0, 1)])
    # Tokens with x > tan(0) are inside the next tile horizontally. Its top and bottom edges limit the rows.
    x = (2 * (np.arange(100) + 0.5) / 100 - 1)[None]
    y = x.T
    turned = math.sqrt(0.5) * (1 + x)
    inside = (np.abs(math.sqrt(0.5) * (x - 1) / turned) <= 0.99) & (np.abs(y / turned) <= 0.99)
    assert len(found) == pytest.approx(inside.sum(), rel=0.02)


@pytest.mark.parametrize(
    ("plan", "pairs", "message"),
    [
        (plan_of("cubemap"), "all", "increase fov_deg or overlap_ratio"),
        (plan_of("resize"), "adjacent", "no token"),
    ],
)
def test_errors(plan, pairs, message):
    with pytest.raises(PanoramaError, match=message):
        find_correspondences(plan, 8, pairs)


def test_window_across_the_seam():
    plan = ViewPlan([EquirectangularView((120, 200), (-40, 40)), PerspectiveView(180)])
    found = find_correspondences(plan, 16, "all")
    assert pairs_of(found) == [(0, 1), (1, 0)]


def test_the_grid_is_kept():
    found = find_correspondences(plan_of("e2p"), (4, 6))
    assert found.grid == found.to("cpu").grid == (4, 6)
    assert find_correspondences(list(plan_of("e2p")), 8).grid == (8, 8)
    fields = [getattr(found, name) for name in ("source_view", "target_view", "source_index", "target_xy", "weight")]
    assert Correspondences(*fields).grid is None
