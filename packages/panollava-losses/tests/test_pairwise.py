"""The kernel of pairwise statistics: chunks and threads change nothing, and nothing of the features' size is kept."""

import pytest
import torch
from panollava_losses import _pairwise
from panollava_losses._formula import TermOptions
from panollava_losses._pairwise import pairwise_terms


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("shape", [(7, 6, 5), (7, 5, 6)])
def test_chunks_and_threads_equal_the_paper(shape, correction, threads, sides, tolerances, textbook, monkeypatch):
    monkeypatch.setattr(_pairwise, "CACHE_BYTES", 2 * 6 * 5 * 8)  # four chunks
    x, y = sides(shape)
    terms = pairwise_terms(x, y, None, TermOptions(correction=correction))
    total, *theirs = textbook(x, y, correction=correction)
    close = tolerances[torch.float64]
    torch.testing.assert_close([t.mean() for t in terms], theirs, **close)
    ours = (25 * terms.invariance + 25 * terms.variance + terms.covariance).mean()
    torch.testing.assert_close(torch.autograd.grad(ours, (x, y)), torch.autograd.grad(total, (x, y)), **close)


def test_chunks_and_threads_with_weights_equal_the_paper(threads, sides, tolerances, textbook, monkeypatch):
    monkeypatch.setattr(_pairwise, "CACHE_BYTES", 6 * 5 * 8)
    x, y = sides((5, 6, 5))
    keep = torch.rand(5, 6) < 0.6
    keep[:, :2] = True
    terms = pairwise_terms(x, y, keep.double() / keep.sum(dim=-1, keepdim=True), TermOptions())
    total, *theirs = textbook(x, y, keep=keep)
    close = tolerances[torch.float64]
    torch.testing.assert_close([t.mean() for t in terms], theirs, **close)
    ours = (25 * terms.invariance + 25 * terms.variance + terms.covariance).mean()
    torch.testing.assert_close(torch.autograd.grad(ours, (x, y)), torch.autograd.grad(total, (x, y)), **close)


def test_inference_mode(threads, sides, monkeypatch):
    monkeypatch.setattr(_pairwise, "CACHE_BYTES", 1)
    x, y = sides((4, 6, 5))
    with torch.inference_mode():
        terms = pairwise_terms(x, y, None, TermOptions())
    torch.testing.assert_close(terms, pairwise_terms(x, y, None, TermOptions()), rtol=0, atol=0)


def test_repeated_runs_are_bitwise_equal(threads, monkeypatch):
    monkeypatch.setattr(_pairwise, "CACHE_BYTES", 1)
    x, y = torch.randn(2, 16, 32, 48)
    first = pairwise_terms(x, y, None, TermOptions())
    for _ in range(5):
        torch.testing.assert_close(pairwise_terms(x, y, None, TermOptions()), first, rtol=0, atol=0)


def test_the_backward_pass_keeps_nothing_of_the_features_size():
    x, y = torch.randn(2, 4, 8, 64)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        pairwise_terms(x.requires_grad_(), y, None, TermOptions())
    others = [t for t in kept if t.data_ptr() not in (x.data_ptr(), y.data_ptr())]
    assert others
    assert max(t.numel() for t in others) < x.numel() / 2


def test_torch_func_differentiates(sides, tolerances):
    x, y = sides((3, 5, 6))

    def loss(x):
        return sum(t.sum() for t in pairwise_terms(x, y.detach(), None, TermOptions()))

    torch.testing.assert_close(
        torch.func.grad(loss)(x.detach()), torch.autograd.grad(loss(x), x)[0], **tolerances[torch.float64]
    )
