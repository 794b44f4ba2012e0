import numpy as np
import pytest
import torch
from panollava_geometry import EquirectangularView, PanoramaError, PerspectiveView, ViewPlan, extract_views, paste_views
from panollava_geometry import plan_views as plan_of


@pytest.mark.parametrize("strategy", ["cubemap", "anyres_e2p", "sliding_window", "anyres"])
def test_extract_then_paste_is_the_panorama(smooth_panorama, strategy):
    plan = plan_of(strategy)
    back, coverage = paste_views(extract_views(smooth_panorama, plan, 128), plan, 128)
    expected = torch.nn.functional.avg_pool2d(smooth_panorama, 2)
    assert (coverage > 0).all()
    # Windows of the ERP are clamped in the half pixel at their borders.
    assert (back - expected).abs().max() < 0.03
    assert (back - expected).abs().mean() < 2e-3


def test_unseen_is_zero_and_uncovered():
    plan = ViewPlan([PerspectiveView(0)])
    back, coverage = paste_views(torch.ones(1, 1, 8, 8), plan, (64, 128))
    assert float(coverage[32, 64]) == 1
    assert float(back[0, 32, 64]) == 1
    assert float(coverage[32, 0]) == float(back[0, 32, 0]) == 0
    angle = np.cos(np.radians(90 - (np.arange(64) + 0.5) * 180 / 64))[:, None] * (np.pi / 64) ** 2
    assert float((coverage.numpy() * angle).sum()) == pytest.approx(4 * np.pi / 6, rel=0.01)


def test_coverage_counts_views():
    plan = ViewPlan([EquirectangularView(), PerspectiveView(0), PerspectiveView(10)])
    _, coverage = paste_views(torch.ones(3, 1, 4, 4), plan, 32)
    assert float(coverage[16, 32]) == 3
    assert float(coverage[16, 1]) == 1


def test_finer_views_count_more():
    plan = ViewPlan([EquirectangularView(), PerspectiveView(0, 0, 0, 30)])
    values = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)])
    back, _ = paste_views(values, plan, 64)
    assert float(back[0, 32, 64]) > 0.9


def test_heat_map_points_where_the_token_looks():
    plan = plan_of("e2p", num_views=6)
    heat = torch.zeros(6, 1, 7, 7)
    heat[2, 0, 3, 3] = 1  # the middle of the tile at yaw 120
    back, _ = paste_views(heat, plan, 90)
    row, column = divmod(int(back[0].argmax()), 180)
    assert abs(row + 0.5 - 45) <= 2
    assert abs((column + 0.5) * 2 - 180 - 120) <= 4


def test_batch_dtype_and_gradient():
    plan = plan_of("cubemap")
    views = torch.rand(2, 6, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    back, _ = paste_views(views, plan, 8)
    assert back.shape == (2, 3, 8, 16)
    assert paste_views(views.detach().bfloat16(), plan, 8)[0].dtype == torch.bfloat16
    small = torch.rand(6, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: paste_views(v, plan, 3)[0], (small,))


@pytest.mark.parametrize(
    ("views", "size", "message"),
    [
        (torch.zeros(5, 1, 4, 4), 8, "6 views"),
        (torch.zeros(6, 1, 4, 4), (8, 8), "erp_size must be"),
        (torch.zeros(6, 1, 4, 4), 0, "erp_size must be"),
        (
            torch.zeros(6, 1, 4, 4, dtype=torch.int64),
            8,
            "uint8 or floating point, got torch.int64: .* interpolation='nearest'",
        ),
    ],
)
def test_errors(views, size, message):
    with pytest.raises(PanoramaError, match=message):
        paste_views(views, plan_of("cubemap"), size)
