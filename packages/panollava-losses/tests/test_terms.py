"""The terms alone are those of the paper."""

import pytest
import torch
from panollava_losses import vicreg_covariance, vicreg_invariance, vicreg_variance


@pytest.mark.parametrize("shape", [(3, 8, 12), (3, 12, 8)])
@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_equal_the_paper(shape, correction, masked, sides, tolerances, textbook):
    x, y = sides(shape)
    keep = torch.rand(shape[:2]) < 0.6
    keep[:, :2] = True
    weight = {"weight": keep} if masked else {}
    _, invariance, variance, covariance = textbook(
        x, y, correction=correction, gamma=1.4, eps=1e-3, keep=keep if masked else None
    )
    close = tolerances[torch.float64]
    torch.testing.assert_close(vicreg_invariance(x, y, **weight), invariance, **close)
    options = {"gamma": 1.4, "eps": 1e-3, "variance_correction": correction}
    torch.testing.assert_close(sum(vicreg_variance(z, **options, **weight) for z in (x, y)) / 2, variance, **close)
    torch.testing.assert_close(sum(vicreg_covariance(z, **weight) for z in (x, y)) / 2, covariance, **close)


def test_half_precision_has_float32_statistics(tolerances):
    x = torch.randn(2, 6, 8).to(torch.bfloat16)
    for term in (vicreg_variance, vicreg_covariance):
        assert term(x).dtype == torch.float32
        torch.testing.assert_close(term(x), term(x.float()), **tolerances[torch.float32])
    torch.testing.assert_close(
        vicreg_invariance(x, -x), vicreg_invariance(x.float(), -x.float()), **tolerances[torch.float32]
    )
