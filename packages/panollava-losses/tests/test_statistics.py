"""The pieces of both kernels against plain operations."""

import pytest
import torch
from panollava_losses._statistics import (
    add_outer,
    hinge,
    hinge_gradient,
    mirror,
    second_moments,
    second_moments_gradient,
    squared_distance,
    squared_distance_gradient,
    statistics_dtype,
)


@pytest.mark.parametrize("n", [3, 255, 256, 259, 515])
def test_product_with_the_own_transpose(n, tolerances):
    a, b = torch.randn(2, 2, n, 7, dtype=torch.float64)
    total = mirror(add_outer(add_outer(None, a), b), b)
    torch.testing.assert_close(total, a @ a.mT + b @ b.mT, **tolerances[torch.float64])


def test_hinge_gradient_is_that_of_autograd(tolerances):
    var = torch.rand(3, 50, dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(hinge(var, 0.8, 1e-3).sum(), var)[0]
    assert (expected == 0).any()
    assert (expected != 0).any()
    torch.testing.assert_close(hinge_gradient(var, 0.8, 1e-3), expected, **tolerances[torch.float64])


@pytest.mark.parametrize("gram", [False, True])
def test_second_moments_gradient_is_that_of_autograd(gram, tolerances):
    v = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    grad_energy, by_columns = torch.rand(2, dtype=torch.float64), torch.rand(2, 6, dtype=torch.float64)
    full = v.mT @ v
    diagonal = full.diagonal(dim1=-2, dim2=-1)
    energy = full.square().sum(dim=(-2, -1)) - diagonal.square().sum(dim=-1)
    (expected,) = torch.autograd.grad((energy * grad_energy).sum() + (diagonal * by_columns).sum(), v)
    matrix, columns = second_moments(v.detach(), gram)
    torch.testing.assert_close(columns, diagonal.detach(), **tolerances[torch.float64])
    got = second_moments_gradient(v.detach(), matrix, columns, grad_energy, by_columns, gram)
    torch.testing.assert_close(got, expected, **tolerances[torch.float64])


@pytest.mark.parametrize("weighted", [False, True])
def test_squared_distance_gradient_is_that_of_autograd(weighted, tolerances):
    x, y = torch.randn(2, 2, 4, 6, dtype=torch.float64)
    x.requires_grad_()
    p = torch.rand(2, 4, dtype=torch.float64)
    p = p / p.sum(dim=-1, keepdim=True) if weighted else None
    by = torch.rand(2, dtype=torch.float64)
    (expected,) = torch.autograd.grad((squared_distance(x, y, p, torch.float64) * by).sum(), x)
    got = squared_distance_gradient(x.detach(), y, p, by, torch.float64)
    torch.testing.assert_close(got, expected, **tolerances[torch.float64])


def test_statistics_dtype():
    assert [statistics_dtype(d) for d in (torch.float16, torch.bfloat16, torch.float32, torch.float64)] == [
        torch.float32
    ] * 3 + [torch.float64]
