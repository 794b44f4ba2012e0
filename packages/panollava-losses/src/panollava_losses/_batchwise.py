"""VICReg terms with one set of statistics: the rows of both sides of all pairs, on all ranks.

Ranks exchange the sums behind the mean and one second-moment matrix, `D + 2` and `D·D` numbers, however many rows
there are. In one process the `rows×rows` matrix replaces the `D×D` one where it is smaller.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from panollava_losses._distributed import all_reduce
from panollava_losses._statistics import (
    add_outer,
    centred,
    chunks,
    gram_is_smaller,
    hinge,
    hinge_slope,
    masked,
    mirror,
    no_autocast,
    second_moments,
    second_moments_gradient,
    split_diagonal,
    squared_distance,
    squared_distance_gradient,
    statistics_dtype,
)


class _Options(NamedTuple):
    gamma: float
    eps: float
    correction: int
    ranks: int


class _Kept(NamedTuple):
    """What the backward pass needs besides the inputs; `total` is the weight of all rows of all ranks."""

    mean: Tensor
    total: Tensor
    biased: Tensor
    unbiased: Tensor
    matrix: Tensor
    columns: Tensor


def _take(p: Tensor | None, part: slice) -> Tensor | None:
    return None if p is None else p[part]


def _uses_gram(x: Tensor, ranks: int) -> bool:
    return ranks == 1 and gram_is_smaller(2 * x.shape[0] * x.shape[1], x.shape[2])


def _parts(x: Tensor) -> list[slice]:
    return list(chunks(x.shape[0], x[0].numel() * statistics_dtype(x.dtype).itemsize, x.device))


def _mean(x: Tensor, y: Tensor, weight: Tensor | None, ranks: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean `[1, 1, D]`, total weight, and the scales of biased and unbiased variances."""
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


def _forward(
    x: Tensor, y: Tensor, weight: Tensor | None, options: _Options
) -> tuple[tuple[Tensor, Tensor, Tensor], _Kept]:
    """Invariance `[pairs]`, variance and covariance as scalars, and what the backward pass needs."""
    dtype = statistics_dtype(x.dtype)
    features = x.shape[-1]
    mean, total, biased, unbiased = _mean(x, y, weight, options.ranks)
    p = None if weight is None else weight / total
    if _uses_gram(x, options.ranks):
        rows = torch.cat([centred(z, mean, p) for z in (x, y)]).view(1, -1, features)
        matrix, columns, energy = second_moments(rows, gram=True)
    else:
        rows, product = x, torch.zeros(1, features, features, dtype=dtype, device=x.device)
        for part in _parts(x):
            for z in (x, y):
                rows = centred(z[part], mean, _take(p, part)).view(1, -1, features)
                product = add_outer(product, rows.mT)
        product = mirror(product, rows.mT)
        matrix, columns, energy = split_diagonal(all_reduce(product) if options.ranks > 1 else product)
    spread = hinge(columns * (unbiased if options.correction else biased), options.gamma, options.eps)
    each = None if weight is None else weight / weight.sum(dim=-1, keepdim=True)
    invariance = torch.cat([squared_distance(x[part], y[part], _take(each, part), dtype) for part in _parts(x)])
    covariance = energy[0] * unbiased.square() / features
    return (invariance, spread[0], covariance), _Kept(mean, total, biased, unbiased, matrix, columns)


def _gradients(
    x: Tensor, y: Tensor, weight: Tensor | None, kept: _Kept, grads: tuple[Tensor, Tensor, Tensor], options: _Options
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Gradients by `x` and `y` from the gradients by the three terms, part by part."""
    dtype = statistics_dtype(x.dtype)
    features = x.shape[-1]
    by_invariance, by_spread, by_covariance = grads
    if options.ranks > 1:
        by_spread, by_covariance = all_reduce(torch.stack([by_spread, by_covariance])).unbind()
    factor = kept.unbiased if options.correction else kept.biased
    by_columns = by_spread * factor * hinge_slope(kept.columns * factor, options.gamma, options.eps)
    by_energy = (by_covariance * kept.unbiased.square() / features).view(1)
    gram = _uses_gram(x, options.ranks)
    p = None if weight is None else weight / kept.total
    each = None if weight is None else weight / weight.sum(dim=-1, keepdim=True)
    for part in [slice(None)] if gram else _parts(x):
        rows = torch.stack([centred(z[part], kept.mean, _take(p, part)) for z in (x, y)])
        grad = second_moments_gradient(
            rows.view(1, -1, features), kept.matrix, kept.columns, by_energy, by_columns, gram
        ).view_as(rows)
        if p is not None:
            grad = grad * p[part].sqrt().unsqueeze(-1)
        pull = squared_distance_gradient(x[part], y[part], _take(each, part), by_invariance[part], dtype)
        yield part, grad[0] + pull, grad[1] - pull


class BatchwiseTerms(torch.autograd.Function):
    """`(x, y, weight, options) → (invariance [pairs], variance, covariance)`."""

    @staticmethod
    def forward(x: Tensor, y: Tensor, weight: Tensor | None, options: _Options) -> tuple[Tensor, ...]:
        with no_autocast(x.device):
            terms, kept = _forward(x, y, weight, options)
        return (*terms, *kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, y, weight, ctx.options = inputs
        ctx.mark_non_differentiable(*output[3:])
        ctx.save_for_backward(x, y, weight, *output[3:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, *tensors = ctx.saved_tensors
        kept = _Kept(*tensors)
        with no_autocast(x.device):
            if torch.is_grad_enabled():  # create_graph=True: what was kept must depend on x and y again
                if ctx.options.ranks > 1:
                    raise NotImplementedError(
                        "batchwise statistics over several ranks have no second derivative: "
                        "call backward without create_graph, or set gather_distributed=False"
                    )
                kept = _forward(x, y, weight, ctx.options)[1]
            parts = _gradients(x, y, weight, kept, (grads[0], grads[1], grads[2]), ctx.options)
            if torch.is_grad_enabled():
                _, dx, dy = zip(*parts, strict=True)
                return torch.cat(dx).to(x.dtype), torch.cat(dy).to(y.dtype), None, None
            out_x, out_y = torch.empty_like(x), torch.empty_like(y)
            for part, part_x, part_y in parts:
                out_x[part], out_y[part] = part_x, part_y
        return out_x, out_y, None, None


def batchwise_terms(
    x: Float[Tensor, "pairs tokens features"],
    y: Float[Tensor, "pairs tokens features"],
    weight: Float[Tensor, "pairs tokens"] | None,
    gamma: float,
    eps: float,
    correction: int,
    ranks: int,
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, ""], Float[Tensor, ""]]:
    """Invariance of every pair; variance and covariance of all rows of both sides on `ranks` ranks."""
    options = _Options(gamma, eps, correction, ranks)
    invariance, variance, covariance = BatchwiseTerms.apply(x, y, weight, options)[:3]
    return invariance, variance, covariance
