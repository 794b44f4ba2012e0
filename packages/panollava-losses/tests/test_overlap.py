"""Matching tokens against `grid_sample`, one pair of views at a time."""

import torch
from panollava_losses import column_correspondences, group_correspondences
from panollava_losses._overlap import match_tokens
from torch.nn import functional

GRID = (5, 6)


def test_source_tokens_and_bilinear_samples(random_correspondences, tolerances):
    features, c = torch.randn(2, 4, *GRID, 7, dtype=torch.float64), random_correspondences()
    source, target, weight = match_tokens(features, group_correspondences(c, 4, GRID))
    assert weight.dtype == torch.float64
    row = 0
    for item in features:
        for pair in sorted(set(zip(c.source_view.tolist(), c.target_view.tolist(), strict=True))):
            chosen = (c.source_view == pair[0]) & (c.target_view == pair[1])
            n = int(chosen.sum())
            places = 2 * c.target_xy[chosen] / torch.tensor([GRID[1], GRID[0]]) - 1
            view = item[pair[1]].permute(2, 0, 1)[None]
            sampled = functional.grid_sample(view, places[None, None], padding_mode="border", align_corners=False)
            tokens = item[pair[0]].flatten(0, 1)[c.source_index[chosen]]
            torch.testing.assert_close(source[row, :n], tokens, **tolerances[torch.float64])
            torch.testing.assert_close(target[row, :n], sampled[0, :, 0].T, **tolerances[torch.float64])
            torch.testing.assert_close(weight[row, :n], c.weight[chosen])
            assert bool((weight[row, n:] == 0).all())
            row += 1
    assert row == len(source)


def test_even_pairs_need_no_weights_and_half_precision_becomes_float32():
    features = torch.randn(1, 3, 2, 4, 5).to(torch.bfloat16)
    source, target, weight = match_tokens(features, column_correspondences(3, (2, 4), 0.5))
    assert weight is None
    assert source.dtype == target.dtype == torch.float32
    torch.testing.assert_close(source, features[0, :, :, 2:].flatten(1, 2).float(), rtol=0, atol=0)
    torch.testing.assert_close(target, features[0, [1, 2, 0], :, :2].flatten(1, 2).float(), rtol=0, atol=0)
