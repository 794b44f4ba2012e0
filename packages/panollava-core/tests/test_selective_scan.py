"""The scan against the plain recurrence, one token at a time, in float64."""

from itertools import product

import pytest
import torch
from panollava_core import _scan_kernels, _selective_scan, selective_scan
from panollava_core._scan_kernels import Plan


def plain_recurrence(u, delta, A, B, C, D=None):
    batch, length, channels = u.shape
    share = channels // B.shape[2]
    state = u.new_zeros(batch, channels, A.shape[1])
    outputs = []
    for t in range(length):
        into, out_of = (x[:, t].repeat_interleave(share, dim=1) for x in (B, C))
        state = torch.exp(delta[:, t, :, None] * A) * state + (delta[:, t] * u[:, t])[..., None] * into
        outputs.append((state * out_of).sum(dim=-1))
    output = torch.stack(outputs, dim=1)
    return output if D is None else output + D * u


def inputs(batch, length, channels, states, groups, dtype=torch.float64, grad=True):
    tensors = (
        torch.randn(batch, length, channels, dtype=dtype),
        torch.rand(batch, length, channels, dtype=dtype) * 3,
        -torch.rand(channels, states, dtype=dtype) * 4,
        torch.randn(batch, length, groups, states, dtype=dtype),
        torch.randn(batch, length, groups, states, dtype=dtype),
        torch.randn(channels, dtype=dtype),
    )
    return [t.requires_grad_(grad) for t in tensors]


@pytest.fixture
def cut(monkeypatch):
    """Force a plan, so that small tensors go through many chunks, segments and blocks."""

    def force(plan):
        for module in (_scan_kernels, _selective_scan):
            monkeypatch.setattr(module, "plan_scan", lambda *_: plan)

    return force


SHAPES = [(2, 37, 6, 3, 2), (3, 64, 8, 4, 1), (1, 1, 4, 2, 1), (2, 100, 4, 5, 4)]
PLANS = [None, Plan(4, 1, 2, 3), Plan(4, 3, 2, 3), Plan(4, 8, 1, 2), Plan(2, 5, 3, 64), Plan(16, 2, 2, 1)]


@pytest.mark.parametrize(("shape", "plan"), list(product(SHAPES, PLANS)))
def test_values_and_gradients_equal_the_recurrence(shape, plan, cut):
    if plan is not None:
        cut(plan)
    tensors = inputs(*shape)
    expected, found = plain_recurrence(*tensors), selective_scan(*tensors)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    grad = torch.randn_like(expected)
    expected_grads = torch.autograd.grad(expected, tensors, grad)
    found_grads = torch.autograd.grad(found, tensors, grad)
    for found_grad, expected_grad in zip(found_grads, expected_grads, strict=True):
        torch.testing.assert_close(found_grad, expected_grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("plan", [None, Plan(2, 2, 1, 2)])
def test_gradcheck(plan, cut):
    if plan is not None:
        cut(plan)
    assert torch.autograd.gradcheck(selective_scan, inputs(1, 5, 4, 2, 2))


def test_float32_stays_close_to_float64():
    tensors = inputs(2, 300, 32, 16, 2, grad=False)
    expected = selective_scan(*tensors)
    found = selective_scan(*(t.float() for t in tensors))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_strong_decay_and_long_sequences_stay_finite():
    """Products of decays underflow to zero, never the other way: no infinities, and gradients too."""
    u, delta, A, B, C, D = inputs(1, 4096, 2, 2, 1, dtype=torch.float32)
    output = selective_scan(u, delta * 100, A * 100, B, C, D)
    grads = torch.autograd.grad(output.sum(), (u, delta, A, B, C, D))
    assert all(torch.isfinite(t).all() for t in (output, *grads))


def test_half_precision_inputs_are_computed_in_float32():
    tensors = inputs(1, 20, 4, 4, 1, dtype=torch.bfloat16)
    output = selective_scan(*tensors)
    assert output.dtype == torch.bfloat16
    expected = plain_recurrence(*(t.detach().float() for t in tensors))
    torch.testing.assert_close(output.float(), expected, rtol=2e-2, atol=2e-2)
    output.sum().backward()
    assert all(t.grad.dtype == torch.bfloat16 for t in tensors)


def test_autocast_does_not_reach_inside():
    tensors = inputs(1, 20, 4, 4, 1, dtype=torch.float32)
    expected = selective_scan(*tensors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = selective_scan(*tensors)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_channels_must_divide_among_groups():
    u, delta, A, B, C, _ = inputs(1, 4, 6, 2, 4)
    with pytest.raises(ValueError, match="the number of channels must be a multiple of the 4 groups of B, got 6"):
        selective_scan(u, delta, A, B, C)


def test_nothing_is_kept_for_backward_without_gradients():
    tensors = inputs(1, 32, 4, 4, 1, dtype=torch.float32, grad=False)
    _, starts = _selective_scan._scan(*tensors[:5], False)
    assert starts.numel() == 0


def test_only_chunk_starts_are_kept():
    """What is saved is a state per chunk, not `[B, L, D, N]`."""
    batch, length, channels, states = 2, 256, 2048, 16
    tensors = inputs(batch, length, channels, states, 1, dtype=torch.float32)
    _, starts = _selective_scan._scan(*tensors[:5], True)
    assert starts.numel() * 16 <= batch * length * channels * states


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # opcheck's own doing
def test_operator_registration():
    """Fake kernels, autograd and aliasing as torch itself checks them."""
    tensors = inputs(2, 37, 6, 3, 2, dtype=torch.float32)
    torch.library.opcheck(_selective_scan._scan, (*tensors[:5], True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_mamba_ssm_kernel_is_equal():
    pytest.importorskip("mamba_ssm")
    tensors = [t.cuda() for t in inputs(2, 100, 64, 16, 1, dtype=torch.float32, grad=False)]
    expected = plain_recurrence(*tensors)
    torch.testing.assert_close(selective_scan(*tensors), expected, rtol=1e-3, atol=1e-3)


def test_mamba_ssm_kernel_is_called_in_its_own_layout(monkeypatch):
    """Without a GPU: a stand-in with mamba-ssm's signature and layout, reached by tensors that claim to be on CUDA."""
    seen = {}

    def selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
        seen["shapes"] = [tuple(t.shape) for t in (u, delta, A, B, C)]
        output = plain_recurrence(u.mT, delta.mT, A, B.permute(0, 3, 1, 2), C.permute(0, 3, 1, 2), D)
        return output.mT

    monkeypatch.setattr(_selective_scan, "_kernel_for", lambda _: selective_scan_fn)
    tensors = inputs(2, 10, 6, 3, 2, dtype=torch.float32)
    torch.testing.assert_close(selective_scan(*tensors), plain_recurrence(*tensors))
    assert seen["shapes"] == [(2, 6, 10), (2, 6, 10), (6, 3), (2, 2, 3, 10), (2, 2, 3, 10)]
