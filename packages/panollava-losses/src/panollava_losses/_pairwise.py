"""VICReg terms with the statistics of each pair of token sets: cache-sized chunks, and a closed-form backward.

Kept for the backward pass: the means, the column energies and the smaller second-moment matrix of each side. The
centred features are recomputed from the inputs, so nothing of the size of the features is stored twice.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from panollava_losses._statistics import (
    centred,
    chunks,
    gram_is_smaller,
    hinge,
    hinge_slope,
    no_autocast,
    scales,
    second_moments,
    second_moments_gradient,
    squared_distance,
    squared_distance_gradient,
    statistics_dtype,
    weighted_mean,
)

Terms = tuple[Float[Tensor, " pairs"], Float[Tensor, " pairs"], Float[Tensor, " pairs"]]


def _forward(
    x: Tensor, y: Tensor, p: Tensor | None, gamma: float, eps: float, correction: int
) -> tuple[Terms, list[Tensor]]:
    """The three terms of every pair, and what the backward pass needs of each side."""
    dtype = statistics_dtype(x.dtype)
    scale = scales(x, p, dtype)
    gram = gram_is_smaller(x.shape[-2], x.shape[-1])
    spread, energy, kept = [], [], []
    for z in (x, y):
        mean = weighted_mean(z, p, dtype)
        matrix, columns, off_diagonal = second_moments(centred(z, mean, p), gram)
        spread.append(hinge(columns * scale.variance(correction), gamma, eps))
        energy.append(off_diagonal)
        kept += [mean, matrix, columns]
    covariance = (energy[0] + energy[1]) * scale.unbiased.square() / (2 * x.shape[-1])
    return (squared_distance(x, y, p, dtype), (spread[0] + spread[1]) / 2, covariance), kept


def _backward(
    x: Tensor, y: Tensor, p: Tensor | None, kept: list[Tensor], grads: Terms, gamma: float, eps: float, correction: int
) -> tuple[Tensor, Tensor]:
    """Gradients by `x` and `y` from the gradients by the three terms of every pair."""
    dtype = statistics_dtype(x.dtype)
    scale = scales(x, p, dtype)
    gram = gram_is_smaller(x.shape[-2], x.shape[-1])
    by_invariance, by_spread, by_covariance = grads
    by_energy = by_covariance * scale.unbiased.square() / (2 * x.shape[-1])
    pull = squared_distance_gradient(x, y, p, by_invariance, dtype)
    out = []
    for z, (mean, matrix, columns), sign in ((x, kept[:3], 1), (y, kept[3:], -1)):
        factor = scale.variance(correction)
        by_columns = (by_spread / 2).unsqueeze(-1) * factor * hinge_slope(columns * factor, gamma, eps)
        grad = second_moments_gradient(centred(z, mean, p), matrix, columns, by_energy, by_columns, gram)
        if p is not None:
            grad = grad * p.sqrt().unsqueeze(-1)
        out.append(grad.add_(pull, alpha=sign))
    return out[0], out[1]


class PairwiseTerms(torch.autograd.Function):
    """`(x, y, p, gamma, eps, correction) → (invariance, variance, covariance)`, each `[pairs]`."""

    @staticmethod
    def forward(
        x: Tensor, y: Tensor, p: Tensor | None, gamma: float, eps: float, correction: int
    ) -> tuple[Tensor, ...]:
        row = x[0].numel() * statistics_dtype(x.dtype).itemsize
        parts: list[tuple[Tensor, ...]] = []
        with no_autocast(x.device):
            for part in chunks(x.shape[0], row, x.device):
                terms, kept = _forward(x[part], y[part], None if p is None else p[part], gamma, eps, correction)
                parts.append((*terms, *kept))
        return parts[0] if len(parts) == 1 else tuple(torch.cat(column) for column in zip(*parts, strict=True))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, y, p, *ctx.options = inputs
        ctx.mark_non_differentiable(*output[3:])
        ctx.save_for_backward(x, y, p, *output[3:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, y, p, *kept = ctx.saved_tensors
        by_terms = (grads[0], grads[1], grads[2])
        with no_autocast(x.device):
            if torch.is_grad_enabled():  # create_graph=True: what was kept must depend on x and y again
                kept = _forward(x, y, p, *ctx.options)[1]
                dx, dy = _backward(x, y, p, kept, by_terms, *ctx.options)
                return dx.to(x.dtype), dy.to(y.dtype), None, None, None, None
            dx, dy = torch.empty_like(x), torch.empty_like(y)
            row = x[0].numel() * statistics_dtype(x.dtype).itemsize
            for part in chunks(x.shape[0], row, x.device):
                dx[part], dy[part] = _backward(
                    x[part],
                    y[part],
                    None if p is None else p[part],
                    [k[part] for k in kept],
                    (grads[0][part], grads[1][part], grads[2][part]),
                    *ctx.options,
                )
        return dx, dy, None, None, None, None


def pairwise_terms(
    x: Float[Tensor, "pairs tokens features"],
    y: Float[Tensor, "pairs tokens features"],
    p: Float[Tensor, "pairs tokens"] | None,
    gamma: float,
    eps: float,
    correction: int,
) -> Terms:
    """Invariance, variance and covariance of every pair; variance and covariance are the mean of both sides."""
    invariance, variance, covariance = PairwiseTerms.apply(x, y, p, gamma, eps, correction)[:3]
    return invariance, variance, covariance
