"""Invalid arguments are errors that say what to change."""

import pytest
import torch
from panollava_losses import VICRegLoss, vicreg, vicreg_covariance, vicreg_variance

X = torch.randn(2, 4, 3)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: vicreg(X[:, :1], X[:, :1]), "1 token per pair.*overlap_ratio"),
        (lambda: vicreg(X[:, :1], X[:, :1], mode="batchwise"), "1 token per pair.*raise the overlap_ratio"),
        (lambda: vicreg(X[:0], X[:0]), "at least one pair"),
        (lambda: vicreg(X, X.double()), "convert both to one dtype"),
        (lambda: vicreg(X, X, mode="tokenwise"), "mode is 'tokenwise', expected one of 'pairwise', 'batchwise'"),
        (lambda: vicreg(X, X, variance_correction=2), "variance_correction is 2"),
        (lambda: vicreg(X, X, weight=-torch.ones(2, 4)), "negative or non-finite"),
        (lambda: vicreg(X, X, weight=torch.full((2, 4), float("nan"))), "non-finite values"),
        (lambda: vicreg(X, X, weight=torch.eye(4)[:2]), "a pair with 1 token"),
        (lambda: vicreg(X, X, weight=torch.zeros(2, 4)), "a pair with 0 token"),
        (lambda: vicreg(X, X, weight=torch.ones(2, 4, requires_grad=True)), "weight.detach"),
        (lambda: VICRegLoss(mode="all"), "mode is 'all'"),
        (lambda: vicreg_variance(X, variance_correction=3), "variance_correction is 3"),
        (lambda: vicreg_covariance(X[:, :1]), "1 token per pair"),
    ],
)
def test_errors_say_what_to_change(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_errors_without_the_checker(uninstrumented):
    """What jaxtyping refuses under test, the library itself refuses for users."""
    with pytest.raises(ValueError, match=r"shapes \(2, 4, 3\) and \(2, 4, 2\), expected one shape"):
        vicreg(X, X[..., :2])
    with pytest.raises(ValueError, match=r"dtype torch\.int64, expected a floating dtype"):
        vicreg(X.long(), X.long())
    with pytest.raises(ValueError, match=r"weight has shape \(2, 3\), expected one weight per token: \(2, 4\)"):
        vicreg(X, X, weight=torch.ones(2, 3))
