import numpy as np
import pytest
from panollava_geometry import EquirectangularView
from panollava_geometry._sampling._separable_filter import plan_separable_filter


@pytest.mark.parametrize("minification", [2.3, 3.7, 9.1])
def test_weights_have_the_mean_and_variance_of_the_footprint(minification):
    """Taps and block means together have the variance of the footprint, s²/12, on average over all phases."""
    count, height = 101, 2000
    extent = count * minification * 180 / height
    view = EquirectangularView((-60, 60), (-extent / 2, extent / 2))
    filter_ = plan_separable_filter(view, (count, 10), (height, 2 * height), False)
    level, first = filter_.patch.reduce_rows, filter_.patch.rows[0]
    position = first + (filter_.row_index + 0.5) * level  # the centre of each block, in rows of the panorama
    np.testing.assert_allclose(filter_.row_weight.sum(axis=1), 1)
    mean = (filter_.row_weight * position).sum(axis=1)
    centre = height / 2 + (np.arange(count) - (count - 1) / 2) * minification
    np.testing.assert_allclose(mean, centre, atol=0.1 * level)
    variance = (filter_.row_weight * (position - mean[:, None]) ** 2).sum(axis=1) + (level**2 - 1) / 12
    assert variance.mean() == pytest.approx(minification**2 / 12, rel=0.05)


def test_a_window_of_the_full_turn_wraps():
    filter_ = plan_separable_filter(EquirectangularView(), (8, 16), (64, 128), False)
    assert filter_.patch.full_turn
    assert filter_.column_index.min() >= 0
    assert filter_.column_index.max() < 128 // filter_.patch.reduce_columns + 2 * filter_.patch.wrap_columns
