"""VICReg as the papers write it, in plain operations.

Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
ICLR 2022, https://arxiv.org/abs/2105.04906, equations 1 to 4. Statistics of each pair of token sets follow the local
term of VICRegL, Bardes, Ponce and LeCun, NeurIPS 2022, https://arxiv.org/abs/2210.01571.

Every mean is a weighted mean with token probabilities `p` (`1/L` for `L` equal weights), and the unbiased denominator
is `1 − Σp²` in place of `(L − 1)/L`. `_pairwise` and `_batchwise` compute the same terms faster; they use this module
for second derivatives.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Terms(NamedTuple):
    """The three terms; each is `[pairs]`, except that batchwise variance and covariance are scalars."""

    invariance: Tensor
    variance: Tensor
    covariance: Tensor


class TermOptions(NamedTuple):
    """The options of the variance term."""

    gamma: float = 1.0
    eps: float = 1e-4
    correction: int = 0


def pairwise_formula(
    x: Float[Tensor, "pairs tokens features"],
    y: Float[Tensor, "pairs tokens features"],
    weight: Float[Tensor, "pairs tokens"],
    options: TermOptions,
) -> Terms:
    """Statistics over the tokens of each pair and side; variance and covariance are the mean of both sides."""
    p = weight / weight.sum(dim=-1, keepdim=True)
    return Terms(
        invariance(x, y, p),
        (variance(x, p, options) + variance(y, p, options)) / 2,
        (covariance(x, p) + covariance(y, p)) / 2,
    )


def batchwise_formula(
    x: Float[Tensor, "pairs tokens features"],
    y: Float[Tensor, "pairs tokens features"],
    weight: Float[Tensor, "pairs tokens"],
    options: TermOptions,
) -> Terms:
    """Statistics over the rows of both sides of all pairs, as one set."""
    rows = torch.cat([x, y]).flatten(0, 1).unsqueeze(0)
    p = torch.cat([weight, weight]).flatten().unsqueeze(0) / (2 * weight.sum())
    each = weight / weight.sum(dim=-1, keepdim=True)
    return Terms(invariance(x, y, each), variance(rows, p, options)[0], covariance(rows, p)[0])


def formula_gradients(
    formula: Callable[[Tensor, Tensor, Tensor, TermOptions], Terms],
    x: Float[Tensor, "pairs tokens features"],
    y: Float[Tensor, "pairs tokens features"],
    weight: Float[Tensor, "pairs tokens"] | None,
    grads: tuple[Tensor, ...],
    options: TermOptions,
) -> tuple[Tensor, Tensor]:
    """Gradients by `x` and `y` from the gradients by the terms, which can be differentiated again."""
    dtype = grads[0].dtype
    weight = torch.ones(x.shape[:2], dtype=dtype, device=x.device) if weight is None else weight

    def terms(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return tuple(formula(x.to(dtype), y.to(dtype), weight, options))

    dx, dy = torch.func.vjp(terms, x, y)[1](grads)
    return dx, dy


def invariance(
    x: Float[Tensor, "sets tokens features"], y: Float[Tensor, "sets tokens features"], p: Float[Tensor, "sets tokens"]
) -> Float[Tensor, " sets"]:
    """Mean over tokens and features of `(x − y)²`."""
    return (p * masked(x - y, p).square().mean(dim=-1)).sum(dim=-1)


def variance(
    z: Float[Tensor, "sets tokens features"], p: Float[Tensor, "sets tokens"], options: TermOptions
) -> Float[Tensor, " sets"]:
    """Mean over features of `relu(γ − sqrt(var + ε))`."""
    gamma, eps, correction = options
    var = centred(z, p).square().sum(dim=-2)
    if correction:
        var = var / unbiased(p).unsqueeze(-1)
    return torch.relu(gamma - (var + eps).sqrt()).mean(dim=-1)


def covariance(z: Float[Tensor, "sets tokens features"], p: Float[Tensor, "sets tokens"]) -> Float[Tensor, " sets"]:
    """`Σ_{i≠j} cov_ij² / D` with `cov = VᵀV / (1 − Σp²)`; `‖VᵀV‖ = ‖VVᵀ‖`, so the smaller product is enough."""
    v = centred(z, p)
    product = v @ v.mT if v.shape[-2] < v.shape[-1] else v.mT @ v
    all_entries, diagonal = squared_norm(product, (-2, -1)), squared_norm(v.square().sum(dim=-2), (-1,))
    off_diagonal = (all_entries - diagonal).clamp_min(0).to(v.dtype)
    return off_diagonal / unbiased(p).square() / v.shape[-1]


def centred(
    z: Float[Tensor, "sets tokens features"], p: Float[Tensor, "sets tokens"]
) -> Float[Tensor, "sets tokens features"]:
    """`V = sqrt(p)·(z − mean)`: its columns have the features' biased variances as squared norms."""
    z = masked(z, p)
    mean = (p.unsqueeze(-1) * z).sum(dim=-2, keepdim=True)
    return p.sqrt().unsqueeze(-1) * (z - mean)


def unbiased(p: Float[Tensor, "sets tokens"]) -> Float[Tensor, " sets"]:
    """`1 − Σp²`, which is `(L − 1)/L` for equal weights."""
    return 1 - p.square().sum(dim=-1)


def masked(
    z: Float[Tensor, "sets tokens features"], p: Float[Tensor, "sets tokens"]
) -> Float[Tensor, "sets tokens features"]:
    """Zero where the weight is zero. A masked token may hold NaN, and NaN times zero is NaN."""
    return torch.where(p.unsqueeze(-1) > 0, z, 0.0)


def squared_norm(z: Float[Tensor, "..."], dims: tuple[int, ...]) -> Float[Tensor, "..."]:
    """Sum of squares in float64 (MPS: float32, it has no float64), for differences of two large sums."""
    return z.square().sum(dim=dims, dtype=z.dtype if z.device.type == "mps" else torch.float64)
