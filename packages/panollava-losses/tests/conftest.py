"""Fixtures of this package's tests, and the paper's formulas, written out with one covariance matrix at a time."""

import warnings
from types import SimpleNamespace

import jaxtyping
import pytest
import torch

# The first call of torch.func imports torch._dynamo, which is 800 modules of other projects. Inside a test, a warning
# of one of them would fail that test.
with warnings.catch_warnings():
    warnings.simplefilter("default")
    import torch._dynamo


@pytest.fixture
def uninstrumented():
    """Annotations unchecked, as users run the library."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _random_correspondences(views=4, grid=(5, 6), n=60, dtype=torch.float64):
    """Each view matches the next one and, more rarely, the one after; places may lie in the border's half token."""
    source = torch.randint(0, views, (n,))
    return SimpleNamespace(
        source_view=source,
        target_view=(source + 1 + (torch.rand(n) < 0.2)) % views,
        source_index=torch.randint(0, grid[0] * grid[1], (n,)),
        target_xy=torch.rand(n, 2, dtype=dtype) * torch.tensor([grid[1], grid[0]]),
        weight=torch.rand(n, dtype=dtype) + 0.1,
    )


@pytest.fixture
def random_correspondences():
    return _random_correspondences


def _rows_terms(rows, correction, gamma, eps):
    """Variance hinge and covariance term of `[n, D]` rows, from the D×D matrix."""
    spread = torch.relu(gamma - (rows.var(dim=0, correction=correction) + eps).sqrt()).mean()
    covariance = torch.cov(rows.T)
    off_diagonal = covariance - torch.diag(covariance.diagonal())
    return spread, off_diagonal.square().sum() / rows.shape[1]


def _textbook(x, y, mode="pairwise", correction=0, gamma=1.0, eps=1e-4, keep=None):
    """Total and terms from a list of `[L, D]` token sets; `keep` masks tokens by leaving them out."""
    keep = torch.ones(x.shape[:2], dtype=torch.bool) if keep is None else keep
    pairs = [(a[k], b[k]) for a, b, k in zip(x, y, keep, strict=True)]
    invariance = torch.stack([(a - b).square().mean() for a, b in pairs]).mean()
    if mode == "batchwise":
        spread, energy = _rows_terms(torch.cat([side for pair in pairs for side in pair]), correction, gamma, eps)
    else:
        each = [_rows_terms(side, correction, gamma, eps) for pair in pairs for side in pair]
        spread, energy = (torch.stack(values).mean() for values in zip(*each, strict=True))
    return 25 * invariance + 25 * spread + energy, invariance, spread, energy


def _sides(shape, dtype=torch.float64, scale=1.0, offset=0.0):
    """Two correlated sides."""
    x = torch.randn(shape, dtype=torch.float64)
    y = 0.6 * x + 0.5 * torch.randn(shape, dtype=torch.float64)
    return tuple((z * scale + offset).to(dtype).requires_grad_() for z in (x, y))


@pytest.fixture
def sides():
    return _sides


@pytest.fixture
def rows_terms():
    return _rows_terms


@pytest.fixture
def textbook():
    return _textbook
