"""Bilinear sampling of token grids as one sparse matrix, kept with its transpose for the backward pass.

A sampled row is a weighted sum of at most four tokens, so it is one fused `embedding_bag`; the gradient of the tokens
is the same operation with the transposed matrix. A place within half a token of the grid's border gets the outermost
tokens' values, as `grid_sample(padding_mode="border", align_corners=False)` does: nothing is extrapolated.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


class SparseRows(NamedTuple):
    """A sparse matrix `[rows, tokens]` in compressed rows, and its transpose."""

    token: Int[Tensor, " entries"]
    offset: Int[Tensor, " rows+1"]
    value: Float[Tensor, " entries"]
    row: Int[Tensor, " entries"]
    row_offset: Int[Tensor, " tokens+1"]
    row_value: Float[Tensor, " entries"]


def sparse_rows(
    row: Int[Tensor, " entries"],
    token: Int[Tensor, " entries"],
    value: Float[Tensor, " entries"],
    rows: int,
    tokens: int,
) -> SparseRows:
    """The matrix and its transpose from coordinates."""
    return SparseRows(*_compress(row, token, value, rows), *_compress(token, row, value, tokens))


def _compress(key: Tensor, other: Tensor, value: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    order = torch.argsort(key, stable=True)
    offset = functional.pad(torch.bincount(key, minlength=count).cumsum(0), (1, 0))
    return other[order], offset, value[order]


def bilinear_taps(xy: Float[Tensor, "n 2"], grid: tuple[int, int]) -> tuple[Int[Tensor, "4 n"], Float[Tensor, "4 n"]]:
    """Row-major indices and weights of the four tokens around each place, given in token units."""
    axes = []
    for place, size in ((xy[:, 1], grid[0]), (xy[:, 0], grid[1])):
        inside = (place - 0.5).clamp(0, size - 1)
        low = inside.floor().clamp(max=max(size - 2, 0))
        upper = (inside - low).to(xy.dtype)
        first = low.to(torch.int64)
        axes.append(((first, 1 - upper), ((first + 1).clamp(max=size - 1), upper)))
    taps = [(r * grid[1] + c, wr * wc) for r, wr in axes[0] for c, wc in axes[1]]
    return torch.stack([index for index, _ in taps]), torch.stack([weight for _, weight in taps])


def _batched(index: Tensor, offset: Tensor, value: Tensor, batch: int, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """The block-diagonal matrix of `batch` copies."""
    steps = torch.arange(batch, device=index.device).unsqueeze(1)
    starts = (offset[:-1] + steps * index.shape[0]).reshape(-1)
    return (
        (index + steps * stride).reshape(-1),
        functional.pad(starts, (0, 1), value=batch * index.shape[0]),
        value.repeat(batch),
    )


def _sum_rows(table: Tensor, index: Tensor, offset: Tensor, value: Tensor) -> Tensor:
    return functional.embedding_bag(
        index, table, offset, mode="sum", per_sample_weights=value, include_last_offset=True
    )


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(table: Tensor, *matrices: Tensor) -> Tensor:
        return _sum_rows(table, *matrices[:3])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        matrices = ctx.saved_tensors
        grad = grads[0].contiguous()
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            table = _SparseProduct.apply(grad, *matrices[3:], *matrices[:3])
        else:
            table = _sum_rows(grad, *matrices[3:])
        return (table, *[None] * 6)


def sample_rows(
    tokens: Float[Tensor, "batch tokens features"], matrix: SparseRows
) -> Float[Tensor, "batch_rows features"]:
    """The sparse matrix applied to every item of the batch; rows of one item stay together."""
    batch, count, _ = tokens.shape
    forward = (matrix.token, matrix.offset, matrix.value.to(tokens.dtype))
    table = tokens.reshape(-1, tokens.shape[-1])
    if not torch.is_grad_enabled():  # no backward pass; the compiler cannot trace the function's context then
        return _sum_rows(table, *_batched(*forward, batch, count))
    transposed = (matrix.row, matrix.row_offset, matrix.row_value.to(tokens.dtype))
    rows: Tensor = _SparseProduct.apply(
        table,
        *_batched(*forward, batch, count),
        *_batched(*transposed, batch, matrix.offset.shape[0] - 1),
    )
    return rows
