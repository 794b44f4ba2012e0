import numpy as np
import pytest
from panollava_geometry import EquirectangularView, PanoramaError, PerspectiveView, plan_views


@pytest.mark.parametrize(
    ("strategy", "options", "count"),
    [
        ("anyres_e2p", {}, 7),
        ("anyres_e2p", {"num_views": 8}, 9),
        ("e2p", {}, 6),
        ("e2p", {"overlap_ratio": 0.0}, 4),
        ("e2p", {"overlap_ratio": 0.5}, 8),
        ("e2p", {"num_rings": 3, "num_views": 5}, 15),
        ("e2p", {"num_rings": None}, 18),
        ("cubemap", {}, 6),
        ("cubemap", {"num_views": 4}, 4),
        ("sliding_window", {}, 6),
        ("anyres", {}, 9),
        ("anyres_max", {}, 9),
        ("anyres_max", {"num_views": 20}, 19),
        ("resize", {}, 1),
    ],
)
def test_number_of_views(strategy, options, count):
    assert len(plan_views(strategy, **options)) == count


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        ("e3p", {}, "unknown strategy 'e3p': choose from anyres_e2p"),
        ("e2p", {"fov_deg": 180.0}, "fov_deg must be between 0 and 180 degrees, got 180"),
        ("e2p", {"fov_deg": float("nan")}, "fov_deg"),
        ("e2p", {"overlap_ratio": 1.0}, r"overlap_ratio must be in \[0, 1\), got 1"),
        ("e2p", {"overlap_ratio": -0.1}, "overlap_ratio"),
        ("e2p", {"num_views": 0}, "num_views must be at least 1"),
        ("e2p", {"num_rings": 0}, "num_rings must be at least 1"),
        ("e2p", {"pitch_range_deg": (45.0, -45.0)}, "pitch_range_deg must be"),
        ("cubemap", {"fov_deg": 80.0}, "has gaps: pass fov_deg=90"),
        ("cubemap", {"num_views": 5}, "6 views"),
        ("anyres", {"num_views": 5}, "2 x 4 patches"),
        ("anyres_max", {"num_views": 1}, "num_views >= 2"),
        # Bounds on the number of views, reported before anything is computed.
        ("e2p", {"fov_deg": 1e-3}, "more than 10000 views: increase fov_deg"),
        ("anyres_e2p", {"overlap_ratio": 0.99999999}, "more than 10000 views"),
        ("e2p", {"overlap_ratio": 1 - 2**-53}, "more than 10000 views"),
        ("e2p", {"fov_deg": 5e-324}, "more than 10000 views"),
        ("e2p", {"num_views": 10**7}, "num_views must be at least 1 and at most 10000"),
        ("e2p", {"num_views": 5000, "num_rings": 3}, "more than 10000 views"),
        ("e2p", {"fov_deg": (90.0, 1e-5), "num_rings": None}, "more than 10000 views"),
        ("sliding_window", {"fov_deg": 1e-6}, "more than 10000 views"),
        ("anyres", {"fov_deg": 0.1}, "more than 10000 views"),
        ("anyres_max", {"num_views": 10**12}, "at most 10000"),
        # Values of other types and sizes, as a damaged configuration has them.
        ("e2p", {"fov_deg": "90"}, "fov_deg must be a finite number, got '90'"),
        ("e2p", {"fov_deg": 10**400}, "fov_deg must be a finite number"),
        ("e2p", {"fov_deg": [90.0]}, "fov_deg must be a pair"),
        ("e2p", {"fov_deg": None}, "fov_deg"),
        ("e2p", {"overlap_ratio": None}, "overlap_ratio"),
        ("e2p", {"num_views": 4.5}, "num_views"),
        ("e2p", {"num_views": 10**5000}, "num_views"),
        ("e2p", {"pitch_range_deg": 5}, "pitch_range_deg must be a pair"),
        (["e2p"], {}, "unknown strategy"),
        ("x" * 10**6, {}, "unknown strategy"),
    ],
)
@pytest.mark.usefixtures("uninstrumented")
def test_errors(strategy, options, message):
    with pytest.raises(PanoramaError, match=message) as caught:
        plan_views(strategy, **options)
    assert len(str(caught.value)) < 300


@pytest.mark.usefixtures("uninstrumented")
def test_other_numbers_are_numbers():
    options = {"fov_deg": np.float32(90), "overlap_ratio": np.float64(0.3), "num_views": np.int64(5)}
    assert plan_views("e2p", **options) == plan_views("e2p", num_views=5)
    assert len(plan_views("e2p", num_views=5000, num_rings=2)) == 10_000


def test_a_ring_is_closed_and_starts_ahead():
    yaws = [view.yaw_deg for view in plan_views("e2p", fov_deg=75.0, overlap_ratio=0.2)]
    assert yaws[0] == 0
    np.testing.assert_allclose(np.diff(np.unwrap([*yaws, yaws[0] + 360], period=360)), 360 / 6)


def test_the_global_view_is_first():
    first, *tiles = plan_views("anyres_e2p")
    assert first == EquirectangularView()
    assert all(isinstance(tile, PerspectiveView) and tile.pitch_deg == 0 for tile in tiles)


def test_rings_go_down():
    plan = plan_views("e2p", num_views=2, num_rings=3, pitch_range_deg=(-60.0, 60.0))
    assert [view.pitch_deg for view in plan] == [60, 60, 0, 0, -60, -60]


def test_different_horizontal_and_vertical_fields_of_view():
    assert plan_views("e2p", fov_deg=(100.0, 60.0))[0].fov_deg == (100, 60)


@pytest.mark.parametrize("strategy", ["cubemap", "sliding_window", "anyres", "anyres_max", "resize", "anyres_e2p"])
def test_strategies_that_cover_the_sphere(strategy):
    assert plan_views(strategy).coverage().seen == pytest.approx(1)
