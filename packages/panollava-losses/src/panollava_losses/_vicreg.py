"""VICReg of two sets of matching features: the function and the module.

Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
ICLR 2022, https://arxiv.org/abs/2105.04906; statistics of each pair over its tokens after the local term of VICRegL,
Bardes, Ponce and LeCun, NeurIPS 2022, https://arxiv.org/abs/2210.01571. The formulas are in `_formula`.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from panollava_losses._batchwise import batchwise_terms
from panollava_losses._checks import check_choice, check_features, check_weight
from panollava_losses._distributed import mean_over_pairs, world_size
from panollava_losses._formula import TermOptions, Terms
from panollava_losses._pairwise import pairwise_terms
from panollava_losses._statistics import statistics_dtype


class VICRegTerms(NamedTuple):
    """The weighted sum and its three unweighted terms, all scalars in float32 (float64 for float64 features)."""

    total: Float[Tensor, ""]
    invariance: Float[Tensor, ""]
    variance: Float[Tensor, ""]
    covariance: Float[Tensor, ""]


class VICRegOptions(NamedTuple):
    """The options of `vicreg`."""

    similarity_weight: float = 25.0
    variance_weight: float = 25.0
    covariance_weight: float = 1.0
    gamma: float = 1.0
    eps: float = 1e-4
    mode: str = "pairwise"
    variance_correction: int = 0
    gather_distributed: bool = False

    def checked(self) -> "VICRegOptions":
        """The same options, or a `ValueError`."""
        check_choice("mode", self.mode, ("pairwise", "batchwise"))
        check_choice("variance_correction", self.variance_correction, (0, 1))
        return self


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
    r"""VICReg of pairs of token sets, where token `l` of `x[p]` matches token `l` of `y[p]`.

    With `D` features and `L` tokens per pair:

    - invariance: mean over tokens and features of `(x − y)²`;
    - variance: mean over features of `relu(γ − sqrt(var + ε))`, mean of both sides;
    - covariance: sum over `i ≠ j` of `cov_ij² / D` with the denominator `L − 1`, mean of both sides;
    - total: the weighted sum of the three. Each term is the mean over pairs.

    `mode="pairwise"` computes variance and covariance over the tokens of each pair, `mode="batchwise"` once over the
    `2·P·L` rows of both sides of all `P` pairs.

    Weights turn every mean into a weighted mean, and the covariance's denominator into `1 − Σp²` with `p = w / Σw`.
    A token of weight 0 has no effect at all, and the scale of the weights does not matter. They are normalised within
    each pair; only the statistics of `"batchwise"` normalise them over all rows. Statistics are float32 under autocast
    and for half precision. The loss has first and second derivatives by `x` and `y`, and none by `weight`.

    The paper's code and `lightly.loss.VICRegLoss` take the unbiased variance and the *sum* of both sides' covariance
    terms. For `[N, D]` features their loss is `vicreg(z_a, z_b, covariance_weight=2 * nu, variance_correction=1)`.

    Args:
        x: Features of one side; `[N, D]` is one pair of `N` tokens.
        y: Features of the other side.
        similarity_weight: Weight of the invariance.
        variance_weight: Weight of the variance term.
        covariance_weight: Weight of the covariance term.
        gamma: Target standard deviation; smaller ones are penalised.
        eps: Added to the variance under the root.
        mode: `"pairwise"` or `"batchwise"` statistics.
        weight: Weight of each token pair, not negative; False or 0 masks it.
        variance_correction: 0 for the biased variance in the variance term, 1 for the unbiased one, as in `torch.var`.
        gather_distributed: Take means over pairs, and batchwise statistics, over all ranks. Each rank then returns the
            global loss, and gradients are correct after averaging over ranks, as DistributedDataParallel does.

    Returns:
        `VICRegTerms(total, invariance, variance, covariance)`.

    Raises:
        ValueError: If shapes, dtypes or options are invalid, a pair has fewer than two tokens of positive weight, or
            a weight is negative or not finite (weights are not checked under `torch.compile`).

    Example:
        >>> from panollava_losses import vicreg
        >>> import torch
        >>> z = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
        >>> [round(term.item(), 3) for term in vicreg(z, z + 0.1)]  # standard deviation 1, no correlation
        [0.25, 0.01, 0.0, 0.0]
    """
    check_features(x, y)
    options = VICRegOptions(
        similarity_weight, variance_weight, covariance_weight, gamma, eps, mode, variance_correction, gather_distributed
    ).checked()
    if weight is not None:
        check_weight(weight, x)
    return vicreg_unchecked(x, y, weight, options)


def vicreg_unchecked(x: Tensor, y: Tensor, weight: Tensor | None, options: VICRegOptions) -> VICRegTerms:
    """`vicreg` on checked arguments; nothing here depends on the values of a tensor."""
    x, y = x.reshape(-1, *x.shape[-2:]), y.reshape(-1, *y.shape[-2:])
    if weight is not None:
        weight = weight.reshape(x.shape[:-1]).to(statistics_dtype(x.dtype))
    ranks = world_size(options.gather_distributed)
    of_variance = TermOptions(options.gamma, options.eps, options.variance_correction)
    if options.mode == "pairwise":
        p = None if weight is None else weight / weight.sum(dim=-1, keepdim=True)
        of_pairs = torch.stack(pairwise_terms(x, y, p, of_variance), dim=1)
        terms = Terms(*mean_over_pairs(of_pairs, ranks).unbind())
    else:
        terms = batchwise_terms(x, y, weight, of_variance, ranks)
        terms = terms._replace(invariance=mean_over_pairs(terms.invariance, ranks))
    weights = (options.similarity_weight, options.variance_weight, options.covariance_weight)
    total = weights[0] * terms.invariance + weights[1] * terms.variance + weights[2] * terms.covariance
    return VICRegTerms(total, *terms)


class VICRegLoss(nn.Module):
    """`vicreg` as a module.

    Args:
        similarity_weight: Weight of the invariance.
        variance_weight: Weight of the variance term.
        covariance_weight: Weight of the covariance term.
        gamma: Target standard deviation; smaller ones are penalised.
        eps: Added to the variance under the root.
        mode: `"pairwise"` or `"batchwise"` statistics.
        variance_correction: 0 for the biased variance in the variance term, 1 for the unbiased one.
        gather_distributed: Take means and batchwise statistics over all ranks.

    Raises:
        ValueError: If `mode` or `variance_correction` is invalid.

    Example:
        >>> from panollava_losses import VICRegLoss
        >>> import torch
        >>> loss = VICRegLoss()
        >>> z = torch.randn(256, 32, requires_grad=True)  # 256 embeddings of 32 features
        >>> loss(z, z + 0.1 * torch.randn(256, 32)).total.backward()
    """

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
        self.options = VICRegOptions(
            similarity_weight,
            variance_weight,
            covariance_weight,
            gamma,
            eps,
            mode,
            variance_correction,
            gather_distributed,
        ).checked()

    def forward(
        self,
        x: Float[Tensor, "*pairs tokens features"],
        y: Float[Tensor, "*pairs tokens features"],
        weight: Float[Tensor, "*pairs tokens"] | Bool[Tensor, "*pairs tokens"] | None = None,
    ) -> VICRegTerms:
        """The weighted sum and its three terms; see `vicreg`."""
        return vicreg(x, y, weight=weight, **self.options._asdict())

    def extra_repr(self) -> str:
        """The options that differ from their defaults."""
        defaults = VICRegOptions()._asdict()
        return ", ".join(
            f"{name}={value!r}" for name, value in self.options._asdict().items() if value != defaults[name]
        )
