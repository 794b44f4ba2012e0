"""The overlap loss on ragged, fractional correspondences, against a loop over pairs with `grid_sample`."""

from types import SimpleNamespace

import pytest
import torch
from panollava_losses import OverlapVICRegLoss, column_correspondences, group_correspondences, vicreg
from torch.nn import functional

GRID = (5, 6)


def random_correspondences(views=4, grid=GRID, n=60, dtype=torch.float64):
    """Every view meets the next one and, more rarely, the one after; places may lie in the border's half token."""
    source = torch.randint(0, views, (n,))
    return SimpleNamespace(
        source_view=source,
        target_view=(source + 1 + (torch.rand(n) < 0.2)) % views,
        source_index=torch.randint(0, grid[0] * grid[1], (n,)),
        target_xy=torch.rand(n, 2, dtype=dtype) * torch.tensor([grid[1], grid[0]]),
        weight=torch.rand(n, dtype=dtype) + 0.1,
    )


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
def test_pairwise_equals_a_loop(size, tolerances):
    features, c = random_features(size=size), random_correspondences()
    loop = [vicreg(x, y, weight=w) for x, y, w in sampled_pairs(features, c)]
    expected = tuple(torch.stack(values).mean() for values in zip(*loop, strict=True))
    ours = OverlapVICRegLoss()(features, c)
    close = tolerances[torch.float64]
    torch.testing.assert_close(tuple(ours), expected, **close)
    got, wanted = (torch.autograd.grad(total, features)[0] for total in (ours.total, expected[0]))
    torch.testing.assert_close(got, wanted, **close)


def test_batchwise_pools_the_weighted_rows_of_both_sides(tolerances):
    features, c = random_features(), random_correspondences()
    x, y, w = zip(*sampled_pairs(features, c), strict=True)
    pooled = vicreg(torch.cat([*x, *y]), torch.cat([*y, *x]), weight=torch.cat([*w, *w]))
    invariance = torch.stack([vicreg(*pair[:2], weight=pair[2]).invariance for pair in zip(x, y, w, strict=True)])
    ours = OverlapVICRegLoss(mode="batchwise")(features, c)
    close = tolerances[torch.float64]
    torch.testing.assert_close((ours.variance, ours.covariance), (pooled.variance, pooled.covariance), **close)
    torch.testing.assert_close(ours.invariance, invariance.mean(), **close)


def test_weight_zero_is_absence(tolerances):
    features, c = random_features(), random_correspondences()
    gone = torch.arange(60) % 5 == 0
    masked = SimpleNamespace(**{**vars(c), "weight": c.weight.masked_fill(gone, 0)})
    left = SimpleNamespace(**{name: value[~gone] for name, value in vars(c).items()})
    loss = OverlapVICRegLoss()
    torch.testing.assert_close(loss(features, masked), loss(features, left), **tolerances[torch.float64])


def test_only_ratios_of_weights_inside_a_pair_matter(tolerances):
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


def test_border_takes_the_outermost_token():
    features = torch.randn(1, 2, 3, 4, 5, dtype=torch.float64)
    pair = SimpleNamespace(
        source_view=torch.zeros(4, dtype=torch.long),
        target_view=torch.ones(4, dtype=torch.long),
        source_index=torch.tensor([0, 3, 8, 11]),
        target_xy=torch.tensor([[0.0, 0.0], [4.0, 0.2], [0.1, 3.0], [3.7, 2.9]]),
        weight=torch.ones(4),
    )
    corners = vicreg(features[0, 0].flatten(0, 1)[[0, 3, 8, 11]], features[0, 1].flatten(0, 1)[[0, 3, 8, 11]])
    torch.testing.assert_close(OverlapVICRegLoss()(features, pair), corners, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("mode", ["pairwise", "batchwise"])
def test_gradcheck(mode):
    features, c = random_features(batch=1, views=2, grid=(2, 3), size=2), near_correspondences(12)
    loss = OverlapVICRegLoss(mode=mode, gamma=1.3)
    assert torch.autograd.gradcheck(lambda f: tuple(loss(f, c)), (features,))
    assert torch.autograd.gradgradcheck(lambda f: loss(f, c).total, (features,))


def test_half_precision_features(tolerances):
    c = random_correspondences(dtype=torch.float32)
    features = random_features(dtype=torch.float32)
    half = features.detach().bfloat16().requires_grad_()
    loss = OverlapVICRegLoss()
    ours, theirs = loss(half, c).total, loss(half.detach().float(), c).total
    torch.testing.assert_close(ours, theirs, **tolerances[torch.float32])
    (grad,) = torch.autograd.grad(ours, half)
    assert grad.dtype == torch.bfloat16
    assert bool(grad.isfinite().all())


def test_the_plan_is_kept_and_renewed(tolerances, monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return group_correspondences(*arguments)

    monkeypatch.setattr("panollava_losses._grouping.group_correspondences", counted)
    features, c, loss = random_features(), random_correspondences(), OverlapVICRegLoss()
    first = loss(features, c)
    loss(features + 1, c)
    assert len(calls) == 1
    c.weight.mul_(torch.linspace(0.5, 2, 60))  # changed in place
    changed = loss(features, c)
    assert len(calls) == 2
    torch.testing.assert_close(changed, OverlapVICRegLoss()(features, c), **tolerances[torch.float64])
    assert changed.total != first.total
    loss(features, random_correspondences())
    assert len(calls) == 4


def test_a_plan_is_itself_correspondences(tolerances):
    features, c = random_features(), random_correspondences()
    plan = group_correspondences(c, 4, GRID)
    loss = OverlapVICRegLoss()
    torch.testing.assert_close(loss(features, plan), loss(features, c), **tolerances[torch.float64])
    again = group_correspondences(SimpleNamespace(**{n: getattr(plan, n) for n in vars(c)}), 4, GRID)
    torch.testing.assert_close(loss(features, again), loss(features, c), **tolerances[torch.float64])
    assert sum(plan.lengths) == 60


def changed(**fields):
    return SimpleNamespace(**{**vars(random_correspondences()), **fields})


def only(source, target):
    return changed(source_view=torch.full((60,), source), target_view=target)


def nothing():
    return SimpleNamespace(**{name: value[:0] for name, value in vars(random_correspondences()).items()})


FEATURES = torch.randn(1, 4, *GRID, 3)
BAD = {
    "1 view .*raise num_views": (FEATURES[:, :1], random_correspondences),
    "and no 0": (FEATURES[:0], random_correspondences),
    "no overlap: 0.*overlap_ratio": (FEATURES, nothing),
    "no overlap: 60.*overlap_ratio": (FEATURES, lambda: changed(weight=torch.zeros(60))),
    "weight holds negative": (FEATURES, lambda: changed(weight=-torch.ones(60))),
    r"weight has shape \(59,\), expected \(60,\)": (FEATURES, lambda: changed(weight=torch.ones(59))),
    "views 0 and 2 share 1 token.*overlap_ratio": (FEATURES, lambda: only(0, torch.tensor([1] * 59 + [2]))),
    "a view with itself": (FEATURES, lambda: only(1, torch.ones(60, dtype=torch.long))),
    r"target_view spans 4\.\.4.*num_views": (FEATURES, lambda: only(1, torch.full((60,), 4))),
    r"source_index spans 30\.\.30.*grid": (FEATURES, lambda: changed(source_index=torch.full((60,), 30))),
    r"target_xy spans x 6\.500.*grid": (FEATURES, lambda: changed(target_xy=torch.full((60, 2), 6.5))),
    "target_xy spans x nan": (FEATURES, lambda: changed(target_xy=torch.full((60, 2), float("nan")))),
    "are for 5 views.*features have 4 views": (FEATURES, lambda: column_correspondences(5, GRID, 0.5)),
    r"of \(6, 5\) tokens.*of \(5, 6\): make": (FEATURES, lambda: column_correspondences(4, (6, 5), 0.5)),
}


@pytest.mark.parametrize("match", BAD)
def test_errors_name_the_parameter(match):
    features, make = BAD[match]
    with pytest.raises(ValueError, match=match):
        OverlapVICRegLoss()(features, make())


def test_errors_without_the_checker(uninstrumented):
    with pytest.raises(ValueError, match=r"shape \(4, 5, 6, 3\), expected \[batch, views, height, width, features\]"):
        OverlapVICRegLoss()(FEATURES[0], random_correspondences())
    with pytest.raises(ValueError, match=r"dtype torch\.int64"):
        OverlapVICRegLoss()(FEATURES.long(), random_correspondences())
