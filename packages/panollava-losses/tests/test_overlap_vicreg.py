"""The overlap loss on uneven, fractional correspondences, against a loop over pairs with `grid_sample`."""

from types import SimpleNamespace

import pytest
import torch
from panollava_losses import OverlapVICRegLoss, VICRegLoss, vicreg
from torch.nn import functional

GRID = (5, 6)


def near_correspondences(n):
    """A small set in a 2×3 grid, for finite differences."""
    source = torch.arange(n) % 2
    xy = torch.rand(n, 2, dtype=torch.float64) * torch.tensor([3, 2])
    weight = torch.rand(n, dtype=torch.float64) + 0.1
    return SimpleNamespace(
        source_view=source, target_view=1 - source, source_index=torch.arange(n) % 6, target_xy=xy, weight=weight
    )


def sampled_pairs(features, c):
    """`(x, y, weight)` of every item and pair of views."""
    batch, _, height, width, size = features.shape
    for b in range(batch):
        for pair in sorted(set(zip(c.source_view.tolist(), c.target_view.tolist(), strict=True))):
            chosen = (c.source_view == pair[0]) & (c.target_view == pair[1]) & (c.weight > 0)
            grid = 2 * c.target_xy[chosen] / torch.tensor([width, height]) - 1
            target = functional.grid_sample(
                features[b, pair[1]].permute(2, 0, 1)[None],
                grid[None, None].to(features.dtype),
                padding_mode="border",
                align_corners=False,
            )
            source = features[b, pair[0]].reshape(-1, size)[c.source_index[chosen]]
            yield source, target[0, :, 0].T, c.weight[chosen]


def random_features(batch=2, views=4, grid=GRID, size=7, dtype=torch.float64):
    return torch.randn(batch, views, *grid, size, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("size", [7, 40])
def test_pairwise_equals_a_loop(size, tolerances, random_correspondences):
    features, c = random_features(size=size), random_correspondences()
    loop = [vicreg(x, y, weight=w) for x, y, w in sampled_pairs(features, c)]
    expected = tuple(torch.stack(values).mean() for values in zip(*loop, strict=True))
    ours = OverlapVICRegLoss()(features, c)
    close = tolerances[torch.float64]
    torch.testing.assert_close(tuple(ours), expected, **close)
    got, wanted = (torch.autograd.grad(total, features)[0] for total in (ours.total, expected[0]))
    torch.testing.assert_close(got, wanted, **close)


def test_batchwise_pools_the_weighted_rows_of_both_sides(tolerances, random_correspondences):
    features, c = random_features(), random_correspondences()
    x, y, w = zip(*sampled_pairs(features, c), strict=True)
    pooled = vicreg(torch.cat([*x, *y]), torch.cat([*y, *x]), weight=torch.cat([*w, *w]))
    invariance = torch.stack([vicreg(*pair[:2], weight=pair[2]).invariance for pair in zip(x, y, w, strict=True)])
    ours = OverlapVICRegLoss(mode="batchwise")(features, c)
    close = tolerances[torch.float64]
    torch.testing.assert_close((ours.variance, ours.covariance), (pooled.variance, pooled.covariance), **close)
    torch.testing.assert_close(ours.invariance, invariance.mean(), **close)


def test_weight_zero_is_absence(tolerances, random_correspondences):
    features, c = random_features(), random_correspondences()
    gone = torch.arange(60) % 5 == 0
    masked = SimpleNamespace(**{**vars(c), "weight": c.weight.masked_fill(gone, 0)})
    left = SimpleNamespace(**{name: value[~gone] for name, value in vars(c).items()})
    loss = OverlapVICRegLoss()
    torch.testing.assert_close(loss(features, masked), loss(features, left), **tolerances[torch.float64])


def test_only_ratios_of_weights_inside_a_pair_matter(tolerances, random_correspondences):
    features, c = random_features(), random_correspondences()
    scaled = SimpleNamespace(**{**vars(c), "weight": c.weight * (1.0 + c.source_view + 10 * c.target_view)})
    loss = OverlapVICRegLoss()
    torch.testing.assert_close(loss(features, c), loss(features, scaled), **tolerances[torch.float64])


def test_equal_views_have_no_invariance():
    """A linear ramp is reproduced by bilinear sampling wherever nothing is clamped."""
    rows, columns = torch.meshgrid(torch.arange(5.0) + 0.5, torch.arange(6.0) + 0.5, indexing="ij")
    ramp = torch.stack([rows, columns, rows + 2 * columns], dim=-1).double()
    index = torch.tensor([7, 8, 9, 14, 15, 20, 21])
    shift = torch.tensor([0.3, -0.4], dtype=torch.float64)
    xy = torch.stack([columns.flatten()[index], rows.flatten()[index]], dim=-1).double() + shift
    here = torch.zeros_like(index)
    pair = SimpleNamespace(
        source_view=here, target_view=here + 1, source_index=index, target_xy=xy, weight=torch.ones(7)
    )
    shifted = ramp - torch.stack([shift[1], shift[0], shift[1] + 2 * shift[0]])
    features = torch.stack([ramp, shifted])[None]
    assert OverlapVICRegLoss()(features, pair).invariance < 1e-20


@pytest.mark.parametrize("mode", ["pairwise", "batchwise"])
def test_gradcheck(mode):
    features, c = random_features(batch=1, views=2, grid=(2, 3), size=2), near_correspondences(12)
    loss = OverlapVICRegLoss(mode=mode, gamma=1.3)
    assert torch.autograd.gradcheck(lambda f: tuple(loss(f, c)), (features,))
    assert torch.autograd.gradgradcheck(lambda f: loss(f, c).total, (features,))


def test_half_precision_features(tolerances, random_correspondences):
    c = random_correspondences(dtype=torch.float32)
    features = random_features(dtype=torch.float32)
    half = features.detach().bfloat16().requires_grad_()
    loss = OverlapVICRegLoss()
    ours, theirs = loss(half, c).total, loss(half.detach().float(), c).total
    torch.testing.assert_close(ours, theirs, **tolerances[torch.float32])
    (grad,) = torch.autograd.grad(ours, half)
    assert grad.dtype == torch.bfloat16
    assert bool(grad.isfinite().all())


def test_it_has_a_vicreg_loss_and_no_weights():
    loss = OverlapVICRegLoss(10.0, mode="batchwise")
    assert isinstance(loss.vicreg, VICRegLoss)
    assert not loss.state_dict()
    assert "VICRegLoss(similarity_weight=10.0, mode='batchwise')" in repr(loss)
    loss.options = loss.options._replace(gather_distributed=True)
    assert loss.vicreg.options.gather_distributed
    with pytest.raises(ValueError, match="mode is 'all'"):
        OverlapVICRegLoss(mode="all")
