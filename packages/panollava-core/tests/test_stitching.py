"""Stitching against the originals' rules, rewritten here column by column."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from panollava_core import num_image_tokens
from panollava_core._stitching import check_stitching, stitch_columns, stitch_resampled

MODES = ["concat", "stride_views", "drop_overlap", "resample"]


def views_of(num_views=4, rows=3, width=5, features=2, batch=2):
    return torch.randn(batch, num_views, rows, width, features)


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.25, 0.3, 0.5])
@pytest.mark.parametrize("mode", ["concat", "stride_views", "drop_overlap"])
def test_columns_are_picked_as_the_rule_says(mode, overlap):
    views = views_of()
    shared = 0 if mode == "concat" else round(5 * overlap)
    expected = [
        views[:, view, row, column]
        for row in range(3)
        for view in range(4)
        for column in range(5)
        if view == 0 or column >= shared
    ]
    torch.testing.assert_close(stitch_columns(views, mode, overlap), torch.stack(expected, dim=1), rtol=0, atol=0)


def resampled_by_hand(views, overlap, to_view_width, interpolation):
    """The rule for one column at a time in float64: sample each view, weigh by its own interpolation weight."""
    views = views.double().numpy()
    batch, num_views, rows, width, features = views.shape
    shared = round(width * overlap)
    unique = num_views * width - (num_views - 1) * shared
    target = width if to_view_width else unique
    out = np.zeros((batch, rows, target, features))
    for index, place in enumerate(np.linspace(0, unique - 1, target)):
        total, weight_sum = 0.0, 0.0
        for view in range(num_views):
            local = place - view * (width - shared)
            if interpolation == "nearest":
                nearest = round(local)
                weights = {nearest: 1.0} if 0 <= nearest < width else {}
            else:
                low = math.floor(local)
                weights = {low: 1 - (local - low), low + 1: local - low}
                weights = {c: w for c, w in weights.items() if 0 <= c < width}
            weight = sum(weights.values())
            sample = sum((w * views[:, view, :, c] for c, w in weights.items()), np.zeros((batch, rows, features)))
            total = total + sample * weight
            weight_sum += weight
        out[:, :, index] = total / max(weight_sum, 1e-6)
    return torch.from_numpy(out).flatten(1, 2)


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@pytest.mark.parametrize("to_view_width", [False, True])
@pytest.mark.parametrize(
    ("num_views", "width", "overlap"), [(4, 8, 0.25), (3, 7, 0.3), (8, 8, 0.5), (1, 4, 0.3), (2, 5, 0)]
)
def test_resample_is_the_rule(num_views, width, overlap, to_view_width, interpolation):
    views = views_of(num_views, 3, width)
    found = stitch_resampled(views, overlap, to_view_width=to_view_width, interpolation=interpolation)
    expected = resampled_by_hand(views, overlap, to_view_width, interpolation).float()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_resample_without_overlap_is_concat():
    views = views_of()
    found = stitch_resampled(views, 0.0, to_view_width=False, interpolation="linear")
    torch.testing.assert_close(found, stitch_columns(views, "concat", 0.0), rtol=1e-5, atol=1e-5)


def test_resample_keeps_constants():
    """Wherever views cover the mosaic, blending weights sum to one in the interior."""
    views = torch.ones(1, 4, 2, 8, 1)
    found = stitch_resampled(views, 0.5, to_view_width=False, interpolation="linear")
    torch.testing.assert_close(found, torch.ones_like(found))


def test_resample_with_one_column():
    views = views_of(num_views=3, width=1)
    found = stitch_resampled(views, 0.2, to_view_width=False, interpolation="linear")
    torch.testing.assert_close(found, stitch_columns(views, "concat", 0.2))


@given(
    num_views=st.integers(1, 9),
    rows=st.integers(1, 4),
    width=st.integers(1, 9),
    overlap=st.floats(0, 0.99),
    mode=st.sampled_from(MODES),
    to_view_width=st.booleans(),
)
def test_count_is_what_stitching_returns(num_views, rows, width, overlap, mode, to_view_width):
    views = torch.zeros(1, num_views, rows, width, 1)

    def run():
        if mode == "resample":
            return stitch_resampled(views, overlap, to_view_width=to_view_width, interpolation="linear")
        return stitch_columns(views, mode, overlap)

    def count():
        return num_image_tokens(
            num_views, (rows, width), mode, overlap_ratio=overlap, stitch_target_to_view_width=to_view_width
        )

    if mode != "concat" and num_views > 1 and round(width * overlap) >= width:
        with pytest.raises(ValueError, match=f"removes all {width} columns of every view after the first"):
            count()
        with pytest.raises(ValueError, match=f"removes all {width} columns of every view after the first"):
            run()
    else:
        assert run().shape[1] == count()


def test_known_counts():
    """The fixtures' own numbers: 4 views of 8x8 at half overlap, and resampled to one view's width."""
    assert num_image_tokens(4, (8, 8), "concat", overlap_ratio=0.5) == 256
    assert num_image_tokens(4, (8, 8), "stride_views", overlap_ratio=0.5) == 160
    assert num_image_tokens(4, (8, 8), "resample", overlap_ratio=0.25, stitch_target_to_view_width=True) == 64


def test_errors():
    with pytest.raises(ValueError, match="unknown stitching_mode 'blend'; expected one of concat, stride_views"):
        check_stitching("blend", 0.3)
    with pytest.raises(ValueError, match=r"overlap_ratio must be in \[0, 1\), got 1.5"):
        check_stitching("concat", 1.5)
    with pytest.raises(ValueError, match="unknown stitch_interp 'cubic'; expected 'linear' or 'nearest'"):
        check_stitching("resample", 0.3, "cubic")
    with pytest.raises(ValueError, match="expected at least one view, row and column, got 0 views of 2x2 tokens"):
        num_image_tokens(0, (2, 2))
