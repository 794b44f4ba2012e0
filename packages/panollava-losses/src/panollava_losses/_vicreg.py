"""VICReg: invariance, variance and covariance of two sets of matching features.

Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
ICLR 2022, https://arxiv.org/abs/2105.04906; per-pair statistics over tokens after the local term of VICRegL,
Bardes, Ponce and LeCun, NeurIPS 2022, https://arxiv.org/abs/2210.01571.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from panollava_losses._batchwise import batchwise_terms
from panollava_losses._checks import check_choice, check_features, check_weight
from panollava_losses._distributed import mean_over_pairs, world_size
from panollava_losses._pairwise import pairwise_terms
from panollava_losses._statistics import (
    centred,
    gram_is_smaller,
    hinge,
    no_autocast,
    scales,
    second_moments,
    squared_distance,
    statistics_dtype,
    weighted_mean,
)


class VICRegTerms(NamedTuple):
    """The weighted sum and its three unweighted terms, all scalars in float32 (float64 for float64 features)."""

    total: Float[Tensor, ""]
    invariance: Float[Tensor, ""]
    variance: Float[Tensor, ""]
    covariance: Float[Tensor, ""]


def vicreg(
    x: Float[Tensor, "*pairs tokens features"],
    y: Float[Tensor, "*pairs tokens features"],
    *,
    similarity_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    gamma: float = 1.0,
    eps: float = 1e-4,
    mode: str = "pairwise",
    weight: Float[Tensor, "*pairs tokens"] | Bool[Tensor, "*pairs tokens"] | None = None,
    variance_correction: int = 0,
    gather_distributed: bool = False,
) -> VICRegTerms:
    r"""VICReg of pairs of token sets, where token `l` of `x[p]` should mean the same as token `l` of `y[p]`.

    With `D` features and, per pair, `L` tokens:

    - invariance: mean over tokens and features of `(x − y)²`;
    - variance: mean over features of `relu(γ − sqrt(var + ε))`, mean of both sides;
    - covariance: sum over `i ≠ j` of `cov_ij² / D` with the denominator `L − 1`, mean of both sides;
    - total: the weighted sum, and every term is the mean over pairs.

    `mode="pairwise"` takes variance and covariance over each pair's tokens, `"batchwise"` once over the `2·P·L` rows
    of both sides of all pairs.

    Weights make every mean a weighted mean and the covariance's denominator `1 − Σp²` with `p = w / Σw`, so that zeros
    mask tokens exactly, and only ratios matter: inside a pair for `"pairwise"` and the invariance, among all rows for
    the statistics of `"batchwise"`. Statistics are float32 under autocast and for half precision. Gradients are closed
    form; the second derivative exists, the derivative by `weight` does not.

    Relation to other code: the paper's code and `lightly.loss.VICRegLoss` take the unbiased variance and the *sum* of
    both sides' covariance terms. For `[N, D]` features their loss is
    `vicreg(z_a, z_b, covariance_weight=2 * nu, variance_correction=1)`.

    Args:
        x: Features of one side; `[N, D]` is one pair of `N` tokens.
        y: Features of the other side.
        similarity_weight: Weight of the invariance.
        variance_weight: Weight of the variance term.
        covariance_weight: Weight of the covariance term.
        gamma: Standard deviation below which a feature is pushed apart.
        eps: Added to the variance under the root.
        mode: Rows that share statistics.
        weight: Weight of each token pair, not negative; False or 0 masks it.
        variance_correction: 0 for the biased variance in the variance term, 1 for the unbiased one, as in `torch.var`.
        gather_distributed: Take means over pairs, and batchwise statistics, over all ranks. Every rank then returns
            the global loss, and gradients are right once averaged over ranks, as DistributedDataParallel does.

    Returns:
        `VICRegTerms(total, invariance, variance, covariance)`.

    Raises:
        ValueError: If shapes, dtypes or options do not fit, a pair has fewer than two tokens of positive weight, or
            a weight is negative or not finite (weights are not looked at under `torch.compile`).

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
        >>> [round(term.item(), 3) for term in vicreg(z, z + 0.1)]  # standard deviation 1, no correlation
        [0.25, 0.01, 0.0, 0.0]
    """
    check_features(x, y)
    check_choice("mode", mode, ("pairwise", "batchwise"))
    check_choice("variance_correction", variance_correction, (0, 1))
    if weight is not None:
        check_weight(weight, x)
    return vicreg_unchecked(
        x,
        y,
        weight,
        VICRegOptions(
            similarity_weight,
            variance_weight,
            covariance_weight,
            gamma,
            eps,
            mode,
            variance_correction,
            gather_distributed,
        ),
    )


class VICRegOptions(NamedTuple):
    """The keywords of `vicreg` that are no tensors."""

    similarity_weight: float = 25.0
    variance_weight: float = 25.0
    covariance_weight: float = 1.0
    gamma: float = 1.0
    eps: float = 1e-4
    mode: str = "pairwise"
    variance_correction: int = 0
    gather_distributed: bool = False

    def changed(self) -> str:
        """What differs from the defaults."""
        defaults = VICRegOptions()
        return ", ".join(f"{n}={v!r}" for n, v, d in zip(self._fields, self, defaults, strict=True) if v != d)


def vicreg_unchecked(x: Tensor, y: Tensor, weight: Tensor | None, o: VICRegOptions) -> VICRegTerms:
    """`vicreg` on arguments known to be good; nothing here looks at a value."""
    x, y = x.reshape(-1, *x.shape[-2:]), y.reshape(-1, *y.shape[-2:])
    ranks = world_size(o.gather_distributed)
    if weight is not None:
        weight = weight.reshape(x.shape[:-1]).to(statistics_dtype(x.dtype))
    if o.mode == "pairwise":
        p = None if weight is None else weight / weight.sum(dim=-1, keepdim=True)
        terms = torch.stack(pairwise_terms(x, y, p, o.gamma, o.eps, o.variance_correction), dim=1)
        invariance, variance, covariance = mean_over_pairs(terms, ranks).unbind()
    else:
        each, variance, covariance = batchwise_terms(x, y, weight, o.gamma, o.eps, o.variance_correction, ranks)
        invariance = mean_over_pairs(each, ranks)
    total = o.similarity_weight * invariance + o.variance_weight * variance + o.covariance_weight * covariance
    return VICRegTerms(total, invariance, variance, covariance)


class VICRegModule(nn.Module):
    """Holds the options of `vicreg`; what they mean stands there."""

    def __init__(
        self,
        similarity_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
        *,
        gamma: float = 1.0,
        eps: float = 1e-4,
        mode: str = "pairwise",
        variance_correction: int = 0,
        gather_distributed: bool = False,
    ) -> None:
        super().__init__()
        check_choice("mode", mode, ("pairwise", "batchwise"))
        check_choice("variance_correction", variance_correction, (0, 1))
        self.options = VICRegOptions(
            similarity_weight,
            variance_weight,
            covariance_weight,
            gamma,
            eps,
            mode,
            variance_correction,
            gather_distributed,
        )
        self._set_up()

    def _set_up(self) -> None:
        """What a subclass needs besides the options."""

    def extra_repr(self) -> str:
        """The options that differ from their defaults."""
        return self.options.changed()


class VICRegLoss(VICRegModule):
    """`vicreg` as a module.

    Args:
        similarity_weight: Weight of the invariance.
        variance_weight: Weight of the variance term.
        covariance_weight: Weight of the covariance term.
        gamma: Standard deviation below which a feature is pushed apart.
        eps: Added to the variance under the root.
        mode: `"pairwise"` or `"batchwise"` statistics.
        variance_correction: 0 for the biased variance in the variance term, 1 for the unbiased one.
        gather_distributed: Take means and batchwise statistics over all ranks.

    Example:
        >>> import torch
        >>> loss = VICRegLoss()
        >>> z = torch.randn(256, 32, requires_grad=True)  # 256 embeddings of 32 features
        >>> loss(z, z + 0.1 * torch.randn(256, 32)).total.backward()
    """

    def forward(
        self,
        x: Float[Tensor, "*pairs tokens features"],
        y: Float[Tensor, "*pairs tokens features"],
        weight: Float[Tensor, "*pairs tokens"] | Bool[Tensor, "*pairs tokens"] | None = None,
    ) -> VICRegTerms:
        """The weighted sum and its three terms; see `vicreg`."""
        return vicreg(x, y, weight=weight, **self.options._asdict())


def vicreg_invariance(
    x: Float[Tensor, "*pairs tokens features"],
    y: Float[Tensor, "*pairs tokens features"],
    *,
    weight: Float[Tensor, "*pairs tokens"] | Bool[Tensor, "*pairs tokens"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over pairs of the weighted mean over tokens of `mean_j (x − y)²`.

    Raises:
        ValueError: As `vicreg` does.

    Example:
        >>> import torch
        >>> vicreg_invariance(torch.zeros(2, 3, 4), torch.ones(2, 3, 4)).item()
        1.0
    """
    check_features(x, y)
    x, y, p = _one_batch(x, weight), _one_batch(y, None), _probability(x, weight)
    return squared_distance(x, y, p, statistics_dtype(x.dtype)).mean()


def vicreg_variance(
    x: Float[Tensor, "*pairs tokens features"],
    *,
    gamma: float = 1.0,
    eps: float = 1e-4,
    weight: Float[Tensor, "*pairs tokens"] | Bool[Tensor, "*pairs tokens"] | None = None,
    variance_correction: int = 0,
) -> Float[Tensor, ""]:
    """Mean over pairs and features of `relu(γ − sqrt(var + ε))`, for one side.

    Raises:
        ValueError: As `vicreg` does.

    Example:
        >>> import torch
        >>> vicreg_variance(torch.ones(4, 8), eps=0.25).item()  # constant features: 1 − sqrt(0.25)
        0.5
    """
    check_features(x, x)
    check_choice("variance_correction", variance_correction, (0, 1))
    x, p = _one_batch(x, weight), _probability(x, weight)
    dtype = statistics_dtype(x.dtype)
    energies = centred(x, weighted_mean(x, p, dtype), p).square().sum(dim=-2)
    return hinge(energies * scales(x, p, dtype).variance(variance_correction), gamma, eps).mean()


def vicreg_covariance(
    x: Float[Tensor, "*pairs tokens features"],
    *,
    weight: Float[Tensor, "*pairs tokens"] | Bool[Tensor, "*pairs tokens"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over pairs of `Σ_{i≠j} cov_ij² / D`, for one side.

    Raises:
        ValueError: As `vicreg` does.

    Example:
        >>> import torch
        >>> column = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
        >>> round(vicreg_covariance(column.expand(4, 2)).item(), 4)  # two equal features: 2 · (4/3)² / 2
        1.7778
    """
    check_features(x, x)
    x, p = _one_batch(x, weight), _probability(x, weight)
    dtype = statistics_dtype(x.dtype)
    with no_autocast(x.device):
        v = centred(x, weighted_mean(x, p, dtype), p)
        energy = second_moments(v, gram_is_smaller(x.shape[-2], x.shape[-1]))[2]
    return (energy * scales(x, p, dtype).unbiased.square()).mean() / x.shape[-1]


def _one_batch(x: Tensor, weight: Tensor | None) -> Tensor:
    if weight is not None:
        check_weight(weight, x)
    return x.reshape(-1, *x.shape[-2:])


def _probability(x: Tensor, weight: Tensor | None) -> Tensor | None:
    if weight is None:
        return None
    weight = weight.reshape(-1, x.shape[-2]).to(statistics_dtype(x.dtype))
    return weight / weight.sum(dim=-1, keepdim=True)
