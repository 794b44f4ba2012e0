"""Plans: kept while the same tensors come back, moved as a whole, and refused when they do not fit the features."""

from types import SimpleNamespace

import pytest
import torch
from panollava_losses import OverlapInfoNCELoss, OverlapVICRegLoss, column_correspondences, group_correspondences
from panollava_losses._grouping import Grouper
from panollava_losses._protocols import FIELDS

GRID = (5, 6)


def test_the_plan_is_kept_and_renewed(tolerances, monkeypatch, random_correspondences):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return group_correspondences(*arguments)

    monkeypatch.setattr("panollava_losses._grouping.group_correspondences", counted)
    features, c, loss = torch.randn(2, 4, *GRID, 7, dtype=torch.float64), random_correspondences(), OverlapVICRegLoss()
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


def test_a_plan_is_itself_correspondences(tolerances, random_correspondences):
    features, c = torch.randn(2, 4, *GRID, 7, dtype=torch.float64), random_correspondences()
    plan = group_correspondences(c, 4, GRID)
    loss = OverlapVICRegLoss()
    torch.testing.assert_close(loss(features, plan), loss(features, c), **tolerances[torch.float64])
    again = group_correspondences(SimpleNamespace(**{n: getattr(plan, n) for n in vars(c)}), 4, GRID)
    torch.testing.assert_close(loss(features, again), loss(features, c), **tolerances[torch.float64])
    assert sum(plan.lengths) == 60


def test_a_plan_moves_with_all_its_tensors(random_correspondences):
    plan = group_correspondences(random_correspondences(), 4, GRID)
    moved = plan.to("meta")
    tensors = [value for value in vars(moved).values() if isinstance(value, torch.Tensor)]
    tensors += [*moved.source_rows, *moved.target_rows]
    assert len(tensors) == 6 + 12
    assert {t.device.type for t in tensors} == {"meta"}
    assert (moved.num_views, moved.grid, moved.lengths) == (plan.num_views, plan.grid, plan.lengths)


def test_the_plan_is_on_the_device_of_the_features(random_correspondences):
    features = torch.empty(1, 4, *GRID, 3, device="meta")
    grouper, c = Grouper(), random_correspondences()
    plan = grouper(features, c)
    assert plan.weight.device.type == "meta"
    assert grouper(features, c) is plan


def test_groups_are_sorted_padded_and_complete(random_correspondences):
    c = random_correspondences()
    plan = group_correspondences(c, 4, GRID)
    pairs = list(zip(c.source_view.tolist(), c.target_view.tolist(), strict=True))
    assert plan.lengths == tuple(pairs.count(pair) for pair in sorted(set(pairs)))
    assert (plan.row_weight > 0).sum(dim=1).tolist() == list(plan.lengths)
    torch.testing.assert_close(plan.row_weight.sum(), c.weight.sum())


FEATURES = torch.randn(1, 4, *GRID, 3)
SIXTY_ONES = torch.ones(60, dtype=torch.long)
BAD_FIELDS = {
    "no overlap: none of 60 .*overlap_ratio": {"weight": torch.zeros(60)},
    "weight has negative": {"weight": -torch.ones(60)},
    r"weight has shape \(59,\), expected \(60,\)": {"weight": torch.ones(59)},
    "views 0 and 2 share 1 token.*overlap_ratio": {
        "source_view": 0 * SIXTY_ONES,
        "target_view": torch.tensor([1] * 59 + [2]),
    },
    "a view with itself": {"source_view": SIXTY_ONES, "target_view": SIXTY_ONES},
    r"target_view spans 4\.\.4.*num_views": {"target_view": 4 * SIXTY_ONES},
    r"source_index spans 30\.\.30.*grid": {"source_index": 30 * SIXTY_ONES},
    r"target_xy spans x 6\.500.*grid": {"target_xy": torch.full((60, 2), 6.5)},
    "target_xy spans x nan": {"target_xy": torch.full((60, 2), float("nan"))},
}


@pytest.mark.parametrize("match", BAD_FIELDS)
def test_errors_name_the_parameter(match, random_correspondences):
    bad = SimpleNamespace(**{**vars(random_correspondences()), **BAD_FIELDS[match]})
    with pytest.raises(ValueError, match=match):
        OverlapVICRegLoss()(FEATURES, bad)


def test_no_correspondences_are_an_error(random_correspondences):
    nothing = SimpleNamespace(**{name: value[:0] for name, value in vars(random_correspondences()).items()})
    with pytest.raises(ValueError, match=r"no overlap: none of 0 .*overlap_ratio"):
        OverlapVICRegLoss()(FEATURES, nothing)


@pytest.mark.parametrize(
    ("features", "views", "grid", "match"),
    [
        (FEATURES[:, :1], 4, GRID, "1 view .*raise num_views"),
        (FEATURES[:0], 4, GRID, "and no 0"),
        (FEATURES, 5, GRID, "are for 5 views.*features have 4 views"),
        (FEATURES, 4, (6, 5), r"of \(6, 5\) tokens.*of \(5, 6\): make"),
    ],
)
def test_features_that_do_not_fit_are_an_error(features, views, grid, match):
    with pytest.raises(ValueError, match=match):
        OverlapVICRegLoss()(features, column_correspondences(views, grid, 0.5))


def test_errors_without_the_checker(uninstrumented, random_correspondences):
    with pytest.raises(ValueError, match=r"shape \(4, 5, 6, 3\), expected \[batch, views, height, width, features\]"):
        OverlapVICRegLoss()(FEATURES[0], random_correspondences())
    with pytest.raises(ValueError, match=r"dtype torch\.int64"):
        OverlapVICRegLoss()(FEATURES.long(), random_correspondences())


@pytest.mark.parametrize("loss", [OverlapVICRegLoss(), OverlapInfoNCELoss()])
@pytest.mark.parametrize("grid", [(14, 14), (5, 6), (6, 5)])
@pytest.mark.parametrize("kind", ["columns", "plan", "namespace"])
def test_features_of_another_layout_are_an_error(loss, grid, kind):
    """Channels first, as convolutions return them: tokens and places are inside that grid too."""
    plan = column_correspondences(4, grid, 0.5)
    tensors = {name: getattr(plan, name) for name in FIELDS}
    found = {
        "columns": plan,
        "plan": group_correspondences(SimpleNamespace(**tensors), 4, grid),
        "namespace": SimpleNamespace(**tensors, grid=list(grid)),
    }[kind]
    features = torch.randn(2, 4, 32, *grid)
    message = r"\(2, 4, 32, \d+, \d+\).* expected \[batch, views, height, width, features\].*permute\(0, 1, 3, 4, 2\)"
    with pytest.raises(ValueError, match=message):
        loss(features, found)
    value = loss(features.permute(0, 1, 3, 4, 2), found)
    assert torch.as_tensor(value.total if isinstance(value, tuple) else value).isfinite()
    with pytest.raises(ValueError, match=r"find the correspondences with that grid|make them with that"):
        loss(torch.randn(2, 4, grid[0] + 1, grid[1], 32), found)


def test_a_carried_grid_is_checked_without_features_too():
    plan = column_correspondences(4, (4, 4), 0.5)
    carried = SimpleNamespace(**{name: getattr(plan, name) for name in FIELDS}, grid=(4, 4))
    assert group_correspondences(carried, 4, (4, 4)).lengths == plan.lengths
    with pytest.raises(ValueError, match=r"for a grid of \(4, 4\) tokens, but the features have \(8, 8\)"):
        group_correspondences(carried, 4, (8, 8))


@pytest.mark.parametrize("grid", [None, "unknown", torch.zeros(2)])
def test_without_a_grid_only_the_bounds_are_checked(grid, random_correspondences):
    c = SimpleNamespace(**vars(random_correspondences()), grid=grid)
    assert OverlapVICRegLoss()(torch.randn(2, 4, *GRID, 7), c).total.isfinite()
    with pytest.raises(ValueError, match=r"source_index spans|target_xy spans"):
        OverlapVICRegLoss()(torch.randn(2, 4, 3, 3, 7), c)
