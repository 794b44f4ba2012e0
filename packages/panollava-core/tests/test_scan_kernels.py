"""How the scan is divided, and the kernels on their own; values and gradients are tested in test_selective_scan."""

import pytest
import torch
from panollava_core import _scan_kernels
from panollava_core._scan_kernels import Plan, plan_scan, scan_backward, scan_forward


def test_a_plan_follows_the_device_and_the_size_of_the_state():
    small, large = plan_scan(1, 16, 64, "cpu"), plan_scan(2, 64, 4096, "cpu")
    assert small.segments > 1
    assert large.segments == 1
    assert large.channel_block < 4096
    assert plan_scan(1, 16, 64, "cuda").segments >= small.segments


@pytest.mark.parametrize("states", [1, 16, 64])
@pytest.mark.parametrize("channels", [8, 768, 4096])
def test_a_chunk_on_a_cpu_fits_into_the_cache(states, channels):
    plan = plan_scan(2, states, channels, "cpu")
    assert plan.chunk == plan.steps * plan.segments
    assert plan.chunk * plan.batch_block * 2 * states * plan.channel_block <= 2**20


def test_kernels_take_time_first(monkeypatch):
    """One channel, one state, decay 1/2 per step: outputs, chunk starts and gradients can be written down."""
    monkeypatch.setattr(_scan_kernels, "plan_scan", lambda *_: Plan(2, 1, 1, 1))
    one = torch.ones(4, 1, 1, 1, dtype=torch.float64)
    rates = -torch.full((1, 1, 1), 2.0, dtype=torch.float64).log()
    outputs, starts = scan_forward(one, one, rates, one, one, True)
    assert outputs.flatten().tolist() == pytest.approx([1, 1.5, 1.75, 1.875])
    assert starts.flatten().tolist() == pytest.approx([0, 1.5])
    assert scan_forward(one, one, rates, one, one, False)[1].numel() == 0
    grad_u, _, _, grad_B, grad_C = scan_backward(one, one, one, rates, one, one, starts)
    assert grad_u.flatten().tolist() == pytest.approx([1.875, 1.75, 1.5, 1])
    assert grad_B.flatten().tolist() == pytest.approx([1.875, 1.75, 1.5, 1])
    assert grad_C.flatten().tolist() == pytest.approx([1, 1.5, 1.75, 1.875])
