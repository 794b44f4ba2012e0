"""The formula in plain operations against one covariance matrix at a time, written out in `textbook`."""

import pytest
import torch
from panollava_losses._formula import (
    TermOptions,
    batchwise_formula,
    covariance,
    formula_gradients,
    pairwise_formula,
    variance,
)

FORMULAS = {"pairwise": pairwise_formula, "batchwise": batchwise_formula}


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("mode", FORMULAS)
@pytest.mark.parametrize("shape", [(3, 5, 7), (3, 9, 7), (1, 2, 9), (2, 40, 64)])
def test_equals_the_paper(shape, mode, correction, sides, tolerances, textbook):
    x, y = sides(shape)
    keep = torch.rand(shape[:2]) < 0.7
    keep[:, :2] = True
    for mask in (torch.ones_like(keep), keep):
        terms = FORMULAS[mode](x, y, 0.3 * mask.double(), TermOptions(1.2, 1e-3, correction))
        theirs = textbook(x, y, mode, correction, gamma=1.2, eps=1e-3, keep=mask)[1:]
        torch.testing.assert_close(tuple(t.mean() for t in terms), theirs, **tolerances[torch.float64])


@pytest.mark.parametrize("shape", [(2, 5, 40), (2, 40, 5)])
def test_covariance_is_that_of_torch_cov_for_either_product(shape, sides, tolerances):
    z, _ = sides(shape)
    p = torch.full(shape[:2], 1 / shape[1], dtype=torch.float64)
    matrices = [torch.cov(one.T) for one in z]
    expected = torch.stack([(m - torch.diag(m.diagonal())).square().sum() / shape[2] for m in matrices])
    torch.testing.assert_close(covariance(z, p), expected, **tolerances[torch.float64])


@pytest.mark.parametrize("correction", [0, 1])
def test_variance_is_the_hinge_of_torch_var(correction, sides, tolerances):
    z, _ = sides((2, 6, 5))
    p = torch.full((2, 6), 1 / 6, dtype=torch.float64)
    expected = torch.relu(1.1 - (z.var(dim=1, correction=correction) + 0.01).sqrt()).mean(dim=1)
    torch.testing.assert_close(
        variance(z, p, TermOptions(1.1, 0.01, correction)), expected, **tolerances[torch.float64]
    )


@pytest.mark.parametrize("mode", FORMULAS)
def test_gradients_are_those_of_autograd_on_the_textbook(mode, sides, tolerances, textbook):
    x, y = sides((3, 6, 8))
    theirs = textbook(x, y, mode)
    shape = () if mode == "batchwise" else (3,)
    thirds = 1 if mode == "batchwise" else 3  # the textbook's terms are means over pairs
    grads = tuple(
        torch.full(size, value, dtype=torch.float64)
        for size, value in (((3,), 25 / 3), (shape, 25 / thirds), (shape, 1 / thirds))
    )
    ours = formula_gradients(FORMULAS[mode], x, y, None, grads, TermOptions())
    torch.testing.assert_close(ours, torch.autograd.grad(theirs[0], (x, y)), **tolerances[torch.float64])
