"""VICReg terms with the statistics of each pair of token sets, in parallel chunks and with a closed-form gradient.

The result is that of `pairwise_formula`. The backward pass keeps the means, the squared column norms and the smaller
matrix of second moments of each side, and centres the features again, so nothing of the size of the features is
stored twice.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from panollava_losses._formula import TermOptions, Terms, formula_gradients, pairwise_formula, squared_norm
from panollava_losses._parallel import chunks, map_chunks, rows_of
from panollava_losses._statistics import (
    centred,
    gram_is_smaller,
    hinge,
    hinge_gradient,
    no_autocast,
    off_diagonal_energy,
    scales,
    second_moments,
    second_moments_gradient,
    squared_distance,
    squared_distance_gradient,
    statistics_dtype,
    weighted_mean,
)

#: Features of one chunk on a CPU: they stay in the core's cache between the operations on them.
CACHE_BYTES = 2**20


def pairwise_terms(
    x: Float[Tensor, "pairs tokens features"],
    y: Float[Tensor, "pairs tokens features"],
    p: Float[Tensor, "pairs tokens"] | None,
    options: TermOptions,
) -> Terms:
    """Invariance, variance and covariance `[pairs]`; `p` sums to 1 per pair, None means equal weights."""
    return Terms(*_PairwiseTerms.apply(x, y, p, options)[:3])


class _PairwiseTerms(torch.autograd.Function):
    """`(x, y, p, options) → (invariance, variance, covariance, *moments of x, *moments of y)`."""

    @staticmethod
    def forward(x: Tensor, y: Tensor, p: Tensor | None, options: TermOptions) -> tuple[Tensor, ...]:
        gamma, eps, correction = options
        dtype = statistics_dtype(x.dtype)

        def work(part: slice) -> tuple[Tensor, ...]:
            weights = rows_of(p, part)
            distance = squared_distance(x[part], y[part], weights, dtype)
            return distance, *_moments(x[part], weights), *_moments(y[part], weights)

        with no_autocast(x.device):
            found = map_chunks(work, _chunks(x), x)
            distance, *moments = (torch.cat(column) for column in zip(*found, strict=True))
            (energy_x, *moments_x), (energy_y, *moments_y) = moments[:4], moments[4:]
            scale = scales(x, p, dtype)
            hinges, energies = [], []
            for energy, columns in ((energy_x, moments_x[2]), (energy_y, moments_y[2])):
                hinges.append(hinge(columns * scale.variance(correction), gamma, eps))
                energies.append(off_diagonal_energy(energy, columns, gram_is_smaller(*x.shape[-2:])))
            variance = (hinges[0] + hinges[1]) / 2
            covariance = (energies[0] + energies[1]) * scale.unbiased.square() / (2 * x.shape[-1])
        return distance, variance, covariance, *moments_x, *moments_y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, y, p, ctx.options = inputs
        ctx.mark_non_differentiable(*output[3:])
        ctx.save_for_backward(x, y, p, *output[3:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, y, p, *moments = ctx.saved_tensors
        with no_autocast(x.device):
            if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # create_graph=True
                dx, dy = formula_gradients(pairwise_formula, x, y, p, grads[:3], ctx.options)
            else:
                dx, dy = _gradients(x, y, p, moments, Terms(*grads[:3]), ctx.options)
        return dx, dy, None, None


def _chunks(x: Tensor) -> list[slice]:
    return chunks(x.shape[0], x[0].numel() * statistics_dtype(x.dtype).itemsize, x.device, CACHE_BYTES)


def _moments(z: Tensor, p: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Squared norm of the matrix of second moments, mean, matrix, and squared column norms of one side."""
    mean = weighted_mean(z, p, statistics_dtype(z.dtype))
    matrix, columns = second_moments(centred(z, mean, p), gram_is_smaller(z.shape[-2], z.shape[-1]))
    return squared_norm(matrix, (-2, -1)), mean, matrix, columns


def _gradients(
    x: Tensor, y: Tensor, p: Tensor | None, moments: list[Tensor], grads: Terms, options: TermOptions
) -> tuple[Tensor, Tensor]:
    """Gradients by `x` and `y` from the gradients by the three terms of each pair."""
    gamma, eps, correction = options
    dtype = statistics_dtype(x.dtype)
    gram = gram_is_smaller(x.shape[-2], x.shape[-1])
    scale = scales(x, p, dtype)
    factor = scale.variance(correction)
    grad_energy = grads.covariance * scale.unbiased.square() / (2 * x.shape[-1])
    sides = []
    for z, (mean, matrix, columns), sign in ((x, moments[:3], 1), (y, moments[3:], -1)):
        grad_columns = (grads.variance / 2).unsqueeze(-1) * factor * hinge_gradient(columns * factor, gamma, eps)
        sides.append((z, mean, matrix, columns, grad_columns, sign, torch.empty_like(z)))

    def work(part: slice) -> None:
        weights = rows_of(p, part)
        difference = squared_distance_gradient(x[part], y[part], weights, grads.invariance[part], dtype)
        for z, mean, matrix, columns, grad_columns, sign, out in sides:
            grad = second_moments_gradient(
                centred(z[part], mean[part], weights),
                matrix[part],
                columns[part],
                grad_energy[part],
                grad_columns[part],
                gram,
            )
            if weights is not None:
                grad = grad * weights.sqrt().unsqueeze(-1)
            out[part] = grad.add_(difference, alpha=sign)

    map_chunks(work, _chunks(x), x)
    return sides[0][-1], sides[1][-1]
