"""The symmetric cross-entropy in blocks against the whole matrix of similarities."""

import pytest
import torch
from panollava_losses import _similarity
from panollava_losses._similarity import symmetric_cross_entropy, unit
from torch.nn import functional


def whole_matrix(x, y, p, temperature):
    """`torch.nn.functional.cross_entropy` on each group, in both directions."""
    losses = []
    for a, b, weight in zip(x, y, p, strict=True):
        s = functional.normalize(a, dim=-1) @ functional.normalize(b, dim=-1).T / temperature
        target = torch.arange(len(a))
        each = functional.cross_entropy(s, target, reduction="none") + functional.cross_entropy(
            s.T, target, reduction="none"
        )
        losses.append((weight * each).sum() / 2)
    return torch.stack(losses)


@pytest.fixture(params=[None, 1, 3], ids=["one block", "one row per block", "three rows per block"])
def rows_per_block(request, monkeypatch):
    """Blocks of this many rows, in three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    if request.param:
        monkeypatch.setattr(_similarity, "BLOCK_BYTES", 1)
        monkeypatch.setattr(_similarity, "BLOCK_ROWS", request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("temperature", [0.3, 0.01])
def test_blocks_equal_the_whole_matrix(rows_per_block, temperature, sides, tolerances):
    x, y = sides((2, 7, 4))
    p = torch.rand(2, 7, dtype=torch.float64)
    ours, theirs = symmetric_cross_entropy(x, y, p, temperature, 1, False), whole_matrix(x, y, p, temperature)
    close = tolerances[torch.float64]
    torch.testing.assert_close(ours, theirs, **close)
    got, expected = (torch.autograd.grad(t.sum(), (x, y), create_graph=True) for t in (ours, theirs))
    torch.testing.assert_close(got, expected, **close)
    penalties = [sum(g.square().sum() for g in gradients) for gradients in (got, expected)]
    second, wanted = (torch.autograd.grad(penalty, (x, y)) for penalty in penalties)
    torch.testing.assert_close(second, wanted, **close)


def test_rows_without_weight_are_left_out(rows_per_block, sides, tolerances):
    x, y = sides((2, 6, 4))
    keep = torch.tensor([[1, 1, 0, 1, 0, 1], [0, 1, 1, 1, 1, 1]], dtype=torch.float64)
    p = keep * torch.rand(2, 6, dtype=torch.float64)
    ours = symmetric_cross_entropy(x, y, p, 0.2, 1, True)
    kept = [[z[k > 0] for z, k in zip(side, keep, strict=True)] for side in (x, y, p)]
    theirs = torch.cat([whole_matrix(a[None], b[None], w[None], 0.2) for a, b, w in zip(*kept, strict=True)])
    close = tolerances[torch.float64]
    torch.testing.assert_close(ours, theirs, **close)
    got, expected = (torch.autograd.grad(t.sum(), (x, y)) for t in (ours, theirs))
    torch.testing.assert_close(got, expected, **close)


def kept_bytes(function):
    """Size of what the backward pass keeps."""
    kept = {}

    def keep(t):
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        function()
    return sum(kept.values())


def test_blocks_are_not_kept(monkeypatch):
    x, y = torch.randn(2, 1, 256, 8).requires_grad_()
    p, matrix = torch.full((1, 256), 1 / 256), 256 * 256 * 4
    assert kept_bytes(lambda: symmetric_cross_entropy(x, y, p, 0.2, 1, False)) > matrix
    monkeypatch.setattr(_similarity, "BLOCK_BYTES", 2**14)
    assert kept_bytes(lambda: symmetric_cross_entropy(x, y, p, 0.2, 1, False)) < matrix / 4


def test_a_matrix_smaller_than_the_features_is_one_block(monkeypatch):
    monkeypatch.setattr(_similarity, "BLOCK_BYTES", 1)
    monkeypatch.setattr(_similarity, "BLOCK_ROWS", 1)
    monkeypatch.setattr(_similarity, "_SumsInBlocks", None)
    x = torch.randn(3, 6, 8)
    assert symmetric_cross_entropy(x, x, torch.full((3, 6), 1 / 6), 0.2, 1, False).shape == (3,)
    with pytest.raises(AttributeError):
        symmetric_cross_entropy(x[..., :5], x[..., :5], torch.full((3, 6), 1 / 6), 0.2, 1, False)


def test_float32_needs_no_more_precision_at_small_temperatures(sides):
    """Similarities of ±1 at τ = 0.003: exponents span 667, which float32 cannot hold."""
    x = torch.eye(4)[None]
    for y in (x, -x):
        loss = symmetric_cross_entropy(x, y, torch.full((1, 4), 0.25), 0.003, 1, False)
        expected = whole_matrix(x.double(), y.double(), torch.full((1, 4), 0.25).double(), 0.003)
        torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-5)


def test_unit_has_the_length_and_survives_zeros(tolerances):
    z = torch.randn(3, 4, dtype=torch.float64)
    z[1] = 0
    z.requires_grad_()
    rows = unit(z, 2.0)
    torch.testing.assert_close(rows.norm(dim=-1), torch.tensor([2.0, 0, 2]).double(), **tolerances[torch.float64])
    rows.sum().backward()
    assert bool(z.grad.isfinite().all())
