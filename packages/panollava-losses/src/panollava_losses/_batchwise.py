"""VICReg terms with one set of statistics: the rows of both sides of all pairs, on all ranks.

The result is that of `batchwise_formula`, with a closed-form gradient that keeps no copy of the features. Ranks
exchange the sums behind the mean and one matrix of second moments, `D + 2` and `D·D` numbers, however many rows there
are.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from panollava_losses._distributed import all_reduce
from panollava_losses._formula import TermOptions, Terms, batchwise_formula, formula_gradients, masked
from panollava_losses._parallel import map_chunks, parts_of, rows_of, spans
from panollava_losses._statistics import (
    add_outer,
    centred,
    equal_weights,
    gram_is_smaller,
    hinge,
    hinge_gradient,
    mirror,
    no_autocast,
    second_moments_gradient,
    split_diagonal,
    squared_distance,
    squared_distance_gradient,
    statistics_dtype,
)

#: Features of one chunk on a CPU: they stay in the core's cache between the operations on them.
CACHE_BYTES = 2**20


class _Moments(NamedTuple):
    """What the backward pass needs in addition to the inputs."""

    mean: Float[Tensor, "1 1 features"]
    total: Float[Tensor, ""]  # weight of all rows on all ranks
    biased: Float[Tensor, ""]  # factor from squared column norms to biased variances
    unbiased: Float[Tensor, ""]
    matrix: Float[Tensor, "1 features features"]
    columns: Float[Tensor, "1 features"]


def batchwise_terms(
    x: Float[Tensor, "pairs tokens features"],
    y: Float[Tensor, "pairs tokens features"],
    weight: Float[Tensor, "pairs tokens"] | None,
    options: TermOptions,
    ranks: int,
) -> Terms:
    """Invariance `[pairs]`; variance and covariance of all rows of both sides on `ranks` ranks, as scalars."""
    if ranks == 1 and gram_is_smaller(2 * x.shape[0] * x.shape[1], x.shape[2]):  # small inputs
        dtype, weight = statistics_dtype(x.dtype), equal_weights(x) if weight is None else weight
        with no_autocast(x.device):
            return batchwise_formula(x.to(dtype), y.to(dtype), weight, options)
    return Terms(*_BatchwiseTerms.apply(x, y, weight, options, ranks)[:3])


class _BatchwiseTerms(torch.autograd.Function):
    """`(x, y, weight, options, ranks) → (invariance, variance, covariance, *_Moments)`."""

    @staticmethod
    def forward(x: Tensor, y: Tensor, weight: Tensor | None, options: TermOptions, ranks: int) -> tuple[Tensor, ...]:
        with no_autocast(x.device):
            terms, moments = _forward(x, y, weight, options, ranks)
        return *terms, *moments

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, y, weight, ctx.options, ctx.ranks = inputs
        ctx.mark_non_differentiable(*output[3:])
        ctx.save_for_backward(x, y, weight, *output[3:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, *moments = ctx.saved_tensors
        with no_autocast(x.device):
            if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # create_graph=True
                if ctx.ranks > 1:
                    raise NotImplementedError(
                        "batchwise statistics over several ranks have no second derivative: "
                        "call backward without create_graph, or set gather_distributed=False"
                    )
                dx, dy = formula_gradients(batchwise_formula, x, y, weight, grads[:3], ctx.options)
            else:
                dx, dy = _backward(x, y, weight, _Moments(*moments), Terms(*grads[:3]), ctx.options, ctx.ranks)
        return dx, dy, None, None, None


def _forward(x: Tensor, y: Tensor, weight: Tensor | None, options: TermOptions, ranks: int) -> tuple[Terms, _Moments]:
    gamma, eps, correction = options
    features, dtype = x.shape[-1], statistics_dtype(x.dtype)
    mean, total, biased, unbiased = _mean(x, y, weight, ranks)
    p, each = _probabilities(weight, total)

    def work(span: slice) -> tuple[Tensor, Tensor]:
        rows, product, distances = x, torch.zeros(1, features, features, dtype=dtype, device=x.device), []
        for part in _chunks(x, span):
            for z in (x, y):
                rows = centred(z[part], mean, rows_of(p, part)).view(1, -1, features)
                product = add_outer(product, rows.mT)
            distances.append(squared_distance(x[part], y[part], rows_of(each, part), dtype))
        return mirror(product, rows.mT), torch.cat(distances)

    most = 2 * x.shape[0] * x.shape[1] // features  # each span has its own product; together they fit in the features
    products, distances = zip(*map_chunks(work, spans(x.shape[0], most, x), x), strict=True)
    product = torch.cat(products).sum(dim=0, keepdim=True)
    matrix, columns = split_diagonal(all_reduce(product) if ranks > 1 else product)
    variance = hinge(columns * (unbiased if correction else biased), gamma, eps)[0]
    covariance = matrix.square().sum() * unbiased.square() / features
    return Terms(torch.cat(distances), variance, covariance), _Moments(mean, total, biased, unbiased, matrix, columns)


def _backward(
    x: Tensor, y: Tensor, weight: Tensor | None, moments: _Moments, grads: Terms, options: TermOptions, ranks: int
) -> tuple[Tensor, Tensor]:
    """Gradients by `x` and `y` from the gradients by the three terms."""
    gamma, eps, correction = options
    features, dtype = x.shape[-1], statistics_dtype(x.dtype)
    grad_variance, grad_covariance = grads.variance, grads.covariance
    if ranks > 1:
        grad_variance, grad_covariance = all_reduce(torch.stack([grad_variance, grad_covariance])).unbind()
    factor = moments.unbiased if correction else moments.biased
    grad_columns = grad_variance * factor * hinge_gradient(moments.columns * factor, gamma, eps)
    grad_energy = (grad_covariance * moments.unbiased.square() / features).view(1)
    p, each = _probabilities(weight, moments.total)
    dx, dy = torch.empty_like(x), torch.empty_like(y)

    def work(part: slice) -> None:
        difference = squared_distance_gradient(x[part], y[part], rows_of(each, part), grads.invariance[part], dtype)
        for z, out, sign in ((x, dx, 1), (y, dy, -1)):
            rows = centred(z[part], moments.mean, rows_of(p, part))
            grad = second_moments_gradient(
                rows.view(1, -1, features), moments.matrix, moments.columns, grad_energy, grad_columns, gram=False
            ).view_as(rows)
            if p is not None:
                grad = grad * p[part].sqrt().unsqueeze(-1)
            out[part] = grad.add_(difference, alpha=sign)

    map_chunks(work, _chunks(x, slice(0, x.shape[0])), x)
    return dx, dy


def _mean(x: Tensor, y: Tensor, weight: Tensor | None, ranks: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean `[1, 1, D]`, total weight, and the factors of biased and unbiased variances."""
    dtype = statistics_dtype(x.dtype)
    if weight is None:
        count = torch.full((2,), 2 * x.shape[0] * x.shape[1], dtype=dtype, device=x.device)
        sums = x.sum(dim=(0, 1), dtype=dtype) + y.sum(dim=(0, 1), dtype=dtype)
    else:
        count = 2 * torch.stack([weight.sum(), weight.square().sum()])
        sums = torch.einsum("ptf,pt->f", masked(x.to(dtype), weight) + masked(y.to(dtype), weight), weight)
    if ranks > 1:
        reduced = all_reduce(torch.cat([sums, count]))
        sums, count = reduced[:-2], reduced[-2:]
    total = count[0]
    mean = (sums / total).view(1, 1, -1)
    if weight is None:
        return mean, total, 1 / total, 1 / (total - 1)
    return mean, total, torch.ones_like(total), 1 / (1 - count[1] / total.square())


def _probabilities(weight: Tensor | None, total: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Weights that sum to 1 over all rows, and over each pair."""
    return (None, None) if weight is None else (weight / total, weight / weight.sum(dim=-1, keepdim=True))


def _chunks(x: Tensor, span: slice) -> list[slice]:
    row_bytes = x[0].numel() * statistics_dtype(x.dtype).itemsize
    return parts_of(span, row_bytes, x.device, CACHE_BYTES)
