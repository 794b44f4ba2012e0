"""The kernel of batchwise statistics: blocks change nothing, and few rows take the formula."""

import pytest
import torch
from panollava_losses import _batchwise
from panollava_losses._batchwise import batchwise_terms
from panollava_losses._formula import TermOptions


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_chunks_equal_the_paper(masked, correction, sides, tolerances, textbook, monkeypatch):
    monkeypatch.setattr(_batchwise, "CACHE_BYTES", 2 * 6 * 5 * 8)  # four chunks
    x, y = sides((7, 6, 5))
    keep = torch.rand(7, 6) < 0.6
    keep[:, :2] = True
    terms = batchwise_terms(x, y, keep.double() if masked else None, TermOptions(correction=correction), 1)
    total, *theirs = textbook(x, y, "batchwise", correction, keep=keep if masked else None)
    close = tolerances[torch.float64]
    torch.testing.assert_close([t.mean() for t in terms], theirs, **close)
    ours = 25 * terms.invariance.mean() + 25 * terms.variance + terms.covariance
    torch.testing.assert_close(torch.autograd.grad(ours, (x, y)), torch.autograd.grad(total, (x, y)), **close)


def test_fewer_rows_than_features(sides, tolerances, textbook):
    """Twelve rows of 20 features: the 12×12 product, without a kernel."""
    x, y = sides((2, 3, 20))
    terms = batchwise_terms(x, y, None, TermOptions(), 1)
    assert "BatchwiseTerms" not in type(terms.variance.grad_fn).__name__
    torch.testing.assert_close(
        [t.mean() for t in terms], list(textbook(x, y, "batchwise")[1:]), **tolerances[torch.float64]
    )


def test_half_precision_with_fewer_rows_than_features(tolerances):
    x, y = torch.randn(2, 2, 3, 20).to(torch.bfloat16)
    ours, theirs = (batchwise_terms(*z, None, TermOptions(), 1) for z in ((x, y), (x.float(), y.float())))
    assert {t.dtype for t in ours} == {torch.float32}
    torch.testing.assert_close(ours, theirs, **tolerances[torch.float32])
