"""Symmetric cross-entropy of matching rows, in plain operations on blocks of the similarity matrix.

For anchor weights `p` and `s_ij = cos(x_i, y_j) / τ`, where row `i` of `x` matches row `i` of `y`,

    loss = Σ_i p_i · (½ log Σ_j exp(s_ij) + ½ log Σ_j exp(s_ji) − s_ii).

Cosines are at most 1, so `exp(s_ij − 1/τ)` cannot overflow, and one matrix of them has the sums along rows and along
columns. If it needs more than one block, the backward pass computes each block again, so that memory grows with the
block instead of the matrix. With several ranks, each rank has its own rows of `x` and all rows of `y`,
and the column sums are added over ranks, so no similarity is computed twice.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from panollava_losses._distributed import gather_rows, sum_over_ranks
from panollava_losses._parallel import chunk_size
from panollava_losses._statistics import no_autocast

#: Largest range of exponents, `2/τ`, for which float32 keeps full precision; a smaller τ takes float64.
FLOAT32_RANGE = 80.0
#: Similarities of one block on a CPU: large enough that operations take milliseconds; the backward pass holds three.
BLOCK_BYTES = 2**24


class Sums(NamedTuple):
    """Sums of `exp(s − 1/τ)` along rows and columns of a block, and its entries where a row meets its own match."""

    of_rows: Float[Tensor, "groups rows"]
    of_columns: Float[Tensor, "groups keys"]
    matching: Float[Tensor, "groups rows"]


def symmetric_cross_entropy(
    x: Float[Tensor, "groups rows features"],
    y: Float[Tensor, "groups rows features"],
    p: Float[Tensor, "groups rows"],
    temperature: float,
    ranks: int,
    masked: bool,
) -> Float[Tensor, " groups"]:
    """Loss of each group; with several ranks, of the one group that they form together.

    If `masked`, rows with `p = 0` are neither anchors nor candidates.
    """
    keys, key_p, first = (unit(y), p, 0) if ranks == 1 else gather_rows(unit(y), p)
    row_bytes = keys.shape[1] * x.dtype.itemsize
    groups = chunk_size(x.shape[0], x.shape[1] * row_bytes, x.device, BLOCK_BYTES)
    rows = chunk_size(x.shape[1], groups * row_bytes, x.device, BLOCK_BYTES)
    one_block = (groups, rows) == tuple(x.shape[:2])
    sums: Callable[..., tuple[Tensor, ...]] = block_sums if one_block else _RecomputedSums.apply

    def loss(x: Tensor, keys: Tensor, p: Tensor, key_p: Tensor) -> Tensor:
        parts = zip(_split(x, rows, 1), _split(p, rows, 1), itertools.count(first, rows), strict=False)
        blocks = [sums(part, keys, part_p, key_p, offset, temperature, masked) for part, part_p, offset in parts]
        of_rows, of_columns, matching = zip(*blocks, strict=True)
        all_columns = torch.stack(of_columns).sum(dim=0)
        if ranks > 1:
            all_columns = sum_over_ranks(all_columns)
        log_rows, log_columns, log_matching = (
            torch.where(p > 0, e, 1.0).log()
            for e in (torch.cat(of_rows, 1), all_columns[:, first : first + x.shape[1]], torch.cat(matching, 1))
        )
        return (((log_rows + log_columns) / 2 - log_matching).to(p.dtype) * p).sum(dim=-1)

    losses = torch.cat(
        [loss(*group) for group in zip(*(_split(z, groups, 0) for z in (x, keys, p, key_p)), strict=True)]
    )
    return losses if ranks == 1 else sum_over_ranks(losses)


def block_sums(
    x: Float[Tensor, "groups rows features"],
    keys: Float[Tensor, "groups keys features"],
    p: Float[Tensor, "groups rows"],
    key_p: Float[Tensor, "groups keys"],
    offset: int,
    temperature: float,
    masked: bool,
) -> Sums:
    """The sums of one block; row `i` of `x` matches key `i + offset`."""
    s: Tensor = _ShiftedProduct.apply(unit(x, 1 / temperature), keys, -1 / temperature)
    if masked:
        s.masked_fill_((p == 0).unsqueeze(-1), float("-inf")).masked_fill_((key_p == 0).unsqueeze(-2), float("-inf"))
    if 2 / temperature > FLOAT32_RANGE:
        s = s.double()
    e = s.exp_()
    return Sums(e.sum(dim=-1), e.sum(dim=-2), e.diagonal(offset, -2, -1)[:, : x.shape[1]])


class _RecomputedSums(torch.autograd.Function):
    """`block_sums` that keeps only its inputs.

    `torch.utils.checkpoint` does the same, but it loads the compiler at its first call.
    """

    @staticmethod
    def forward(x: Tensor, keys: Tensor, *others: Any) -> tuple[Tensor, ...]:
        with no_autocast(x.device):
            return tuple(block_sums(x, keys, *others))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs[:4])
        ctx.options = inputs[4:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, keys, *weights = ctx.saved_tensors

        def sums(x: Tensor, keys: Tensor) -> tuple[Tensor, ...]:
            return tuple(block_sums(x, keys, *weights, *ctx.options))

        with no_autocast(x.device):
            if torch.is_grad_enabled():  # create_graph=True
                dx, dkeys = torch.func.vjp(sums, x, keys)[1](grads)
            else:
                with torch.enable_grad():
                    inputs = [z.detach().requires_grad_() for z in (x, keys)]
                    dx, dkeys = torch.autograd.grad(sums(*inputs), inputs, grads)
        return dx, dkeys, *[None] * 5


class _ShiftedProduct(torch.autograd.Function):
    """`q·kᵀ + shift`, whose backward pass ignores autocast, as the forward pass does."""

    @staticmethod
    def forward(q: Tensor, k: Tensor, shift: float) -> Tensor:
        return torch.baddbmm(q.new_full((1, 1, 1), shift), q, k.mT)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k = ctx.saved_tensors
        with no_autocast(q.device):
            return torch.bmm(grads[0], k), torch.bmm(grads[0].mT, q), None


def unit(z: Float[Tensor, "*rows features"], length: float = 1.0) -> Float[Tensor, "*rows features"]:
    """Rows with this length; rows shorter than 1e-6 are scaled by a constant."""
    norm: Tensor = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    return z * (length / norm.clamp_min(1e-6))


def _split(z: Tensor, size: int, dim: int) -> Sequence[Tensor]:
    """`z.split`, without a copy of the gradient if there is one part."""
    return (z,) if size >= z.shape[dim] else torch.split(z, size, dim)
