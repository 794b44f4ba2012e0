"""Symmetric cross-entropy of matching rows, without ever holding the whole matrix of similarities.

For queries `q`, keys `k` and anchor weights `p`, with `s_ij = q_i·k_j / τ` and row `i` matching column `i`,

    loss = ½ Σ_i p_i (logsumexp_j s_ij − s_ii) + ½ Σ_j p_j (logsumexp_i s_ij − s_jj).

Queries and keys are unit vectors, so `s ≤ 1/τ`, and one `e_ij = exp(s_ij − 1/τ)` serves both directions: with its row
sums `r` and column sums `c` the gradient by `s` is `½ e_ij (p_i/r_i + p_j/c_j) − diag(p)`. Both passes go through `e`
in blocks of rows; the backward pass makes each block anew. With several ranks every rank has its own rows and the keys
of all: the column sums are added over ranks, so that nobody computes a similarity twice.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from panollava_losses._distributed import all_reduce, gather_rows
from panollava_losses._statistics import chunks, no_autocast

#: Exponents `exp(−span)` that float32 holds with full precision; smaller temperatures take float64.
FLOAT32_SPAN = 80.0


class _Options(NamedTuple):
    temperature: float
    ranks: int
    masked: bool


def _blocks(q: Tensor, columns: int) -> list[tuple[slice, slice]]:
    """Groups and rows whose similarities fit a chunk."""
    groups, rows, row = q.shape[0], q.shape[1], columns * q.dtype.itemsize
    if torch.compiler.is_compiling():
        return [(slice(0, groups), slice(0, rows))]
    return [
        (group, part)
        for group in chunks(groups, rows * row, q.device)
        for part in chunks(rows, (group.stop - group.start) * row, q.device)
    ]


def _exponentials(q: Tensor, k: Tensor, p: Tensor, weights: Tensor, options: _Options) -> Tensor:
    """`exp(s − 1/τ)`, zero where a query or a key is masked."""
    s = torch.bmm(q, k.mT)
    if 2 / options.temperature > FLOAT32_SPAN:
        s = s.double()
    e = s.sub_(1).div_(options.temperature).exp_()
    if options.masked:
        e = e * (p > 0).unsqueeze(-1) * (weights > 0).unsqueeze(-2)
    return e


def _plain(q: Tensor, k: Tensor, p: Tensor, options: _Options) -> Tensor:
    """The loss in one piece, for second derivatives."""
    live = p > 0
    s = torch.bmm(q, k.mT) / options.temperature
    rows = s.masked_fill(~live.unsqueeze(-2), float("-inf")).logsumexp(dim=-1)
    columns = s.masked_fill(~live.unsqueeze(-1), float("-inf")).logsumexp(dim=-2)
    matching = (q * k).sum(dim=-1) / options.temperature
    return (torch.where(live, (rows + columns) / 2 - matching, 0.0) * p).sum(dim=-1)


class SymmetricCrossEntropy(torch.autograd.Function):
    """`(q, k, p, all keys, all p, first, options) → loss [groups]`; the gathered ones are None in one process."""

    @staticmethod
    def forward(
        q: Tensor, k: Tensor, p: Tensor, every_k: Tensor | None, every_p: Tensor | None, first: int, options: _Options
    ) -> tuple[Tensor, ...]:
        keys, weights = (k, p) if every_k is None or every_p is None else (every_k, every_p)
        wide = torch.float64 if 2 / options.temperature > FLOAT32_SPAN else q.dtype
        row_sum = torch.empty_like(p, dtype=wide)
        column_sum = torch.zeros_like(weights, dtype=wide)
        with no_autocast(q.device):
            for group, rows in _blocks(q, keys.shape[1]):
                e = _exponentials(q[group, rows], keys[group], p[group, rows], weights[group], options)
                row_sum[group, rows] = e.sum(dim=-1)
                column_sum[group] += e.sum(dim=-2)
        if options.ranks > 1:
            column_sum = all_reduce(column_sum)
        own = column_sum[:, first : first + q.shape[1]]
        spread = ((row_sum.log() + own.log()) / 2).to(q.dtype) + (1 - (q * k).sum(dim=-1)) / options.temperature
        loss = (torch.where(p > 0, spread, 0.0) * p).sum(dim=-1)
        return loss if options.ranks == 1 else all_reduce(loss), row_sum, column_sum

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.first, ctx.options = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*tensors, *output[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, p, every_k, every_p, row_sum, column_sum = ctx.saved_tensors
        grad, options = grads[0], ctx.options
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # create_graph=True
            if options.ranks > 1:
                raise NotImplementedError(
                    "negatives of several ranks have no second derivative: call backward without create_graph, or set "
                    "gather_distributed=False"
                )
            with no_autocast(q.device):
                loss = _plain(q, k, p, options)
            dq, dk = torch.autograd.grad(loss, (q, k), grad, create_graph=True)
            return dq, dk, *[None] * 5
        if options.ranks > 1:
            grad = all_reduce(grad)
        keys, weights = (k, p) if every_k is None else (every_k, every_p)
        scale = grad.view(-1, 1, 1) / options.temperature
        by_row, by_column = (
            torch.where(w > 0, w / total, 0.0) * (scale[..., 0] / 2)
            for w, total in ((p, row_sum), (weights, column_sum))
        )
        dq, dk = torch.empty_like(q), torch.zeros_like(keys)
        with no_autocast(q.device):
            for group, rows in _blocks(q, keys.shape[1]):
                e = _exponentials(q[group, rows], keys[group], p[group, rows], weights[group], options)
                slope = e.mul_(by_row[group, rows].unsqueeze(-1) + by_column[group].unsqueeze(-2)).to(q.dtype)
                dq[group, rows] = torch.bmm(slope, keys[group])
                dk[group] += torch.bmm(slope.mT, q[group, rows])
        if options.ranks > 1:
            dk = all_reduce(dk)
        matching = p.unsqueeze(-1) * scale
        return dq - matching * k, dk[:, ctx.first : ctx.first + k.shape[1]] - matching * q, *[None] * 5


def symmetric_cross_entropy(
    q: Float[Tensor, "groups rows features"],
    k: Float[Tensor, "groups rows features"],
    p: Float[Tensor, "groups rows"],
    temperature: float,
    ranks: int,
    masked: bool,
) -> Float[Tensor, " groups"]:
    """Loss of every group; with several ranks, of the one group that they form together."""
    every_k, every_p, first = (None, None, 0) if ranks == 1 else gather_rows(k, p)
    loss: Tensor = SymmetricCrossEntropy.apply(q, k, p, every_k, every_p, first, _Options(temperature, ranks, masked))[
        0
    ]
    return loss
