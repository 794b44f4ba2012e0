"""The three terms of VICReg, one at a time."""

from jaxtyping import Bool, Float
from torch import Tensor

from panollava_losses import _formula
from panollava_losses._checks import check_choice, check_features, check_weight
from panollava_losses._statistics import equal_weights, no_autocast, statistics_dtype


def vicreg_invariance(
    x: Float[Tensor, "*pairs tokens features"],
    y: Float[Tensor, "*pairs tokens features"],
    *,
    weight: Float[Tensor, "*pairs tokens"] | Bool[Tensor, "*pairs tokens"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over pairs of the weighted mean over tokens of `mean_j (x − y)²`.

    Args:
        x: Features of one side.
        y: Features of the other side.
        weight: Weight of each token pair, not negative; False or 0 masks it.

    Raises:
        ValueError: For the same reasons as `vicreg`.

    Example:
        >>> from panollava_losses import vicreg_invariance
        >>> import torch
        >>> vicreg_invariance(torch.zeros(2, 3, 4), torch.ones(2, 3, 4)).item()
        1.0
    """
    check_features(x, y)
    (x, p), (y, _) = _prepared(x, weight), _prepared(y, None)
    return _formula.invariance(x, y, p).mean()


def vicreg_variance(
    x: Float[Tensor, "*pairs tokens features"],
    *,
    gamma: float = 1.0,
    eps: float = 1e-4,
    weight: Float[Tensor, "*pairs tokens"] | Bool[Tensor, "*pairs tokens"] | None = None,
    variance_correction: int = 0,
) -> Float[Tensor, ""]:
    """Mean over pairs and features of `relu(γ − sqrt(var + ε))`, for one side.

    Args:
        x: Features of the side.
        gamma: Target standard deviation; smaller ones are penalised.
        eps: Added to the variance under the root.
        weight: Weight of each token, not negative; False or 0 masks it.
        variance_correction: 0 for the biased variance, 1 for the unbiased one.

    Raises:
        ValueError: For the same reasons as `vicreg`.

    Example:
        >>> from panollava_losses import vicreg_variance
        >>> import torch
        >>> vicreg_variance(torch.ones(4, 8), eps=0.25).item()  # constant features: 1 − sqrt(0.25)
        0.5
    """
    check_features(x, x)
    check_choice("variance_correction", variance_correction, (0, 1))
    x, p = _prepared(x, weight)
    return _formula.variance(x, p, _formula.TermOptions(gamma, eps, variance_correction)).mean()


def vicreg_covariance(
    x: Float[Tensor, "*pairs tokens features"],
    *,
    weight: Float[Tensor, "*pairs tokens"] | Bool[Tensor, "*pairs tokens"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over pairs of `Σ_{i≠j} cov_ij² / D`, for one side.

    Args:
        x: Features of the side.
        weight: Weight of each token, not negative; False or 0 masks it.

    Raises:
        ValueError: For the same reasons as `vicreg`.

    Example:
        >>> from panollava_losses import vicreg_covariance
        >>> import torch
        >>> column = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
        >>> round(vicreg_covariance(column.expand(4, 2)).item(), 4)  # two equal features: 2 · (4/3)² / 2
        1.7778
    """
    check_features(x, x)
    x, p = _prepared(x, weight)
    with no_autocast(x.device):
        return _formula.covariance(x, p).mean()


def _prepared(x: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """`[pairs, tokens, features]` in the statistics' dtype, and weights that sum to 1 per pair."""
    if weight is not None:
        check_weight(weight, x)
    x = x.reshape(-1, *x.shape[-2:]).to(statistics_dtype(x.dtype))
    weight = equal_weights(x) if weight is None else weight.reshape(x.shape[:2]).to(x.dtype)
    return x, weight / weight.sum(dim=-1, keepdim=True)
