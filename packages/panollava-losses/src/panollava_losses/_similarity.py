"""Symmetric cross-entropy of matching rows, from the matrix of their similarities.

For anchor weights `p` and `s_ij = cos(x_i, y_j) / τ`, where row `i` of `x` matches row `i` of `y`,

    loss = Σ_i p_i · (½ log Σ_j exp(s_ij) + ½ log Σ_j exp(s_ji) − s_ii).

Cosines are at most 1, so `exp(s_ij − 1/τ)` cannot overflow, and one matrix of them has the sums along rows and along
columns. With several ranks, each rank has its own rows of `x` and all rows of `y`, and the column sums are added over
ranks, so no similarity is computed twice.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from panollava_losses._distributed import gather_rows, sum_over_ranks
from panollava_losses._parallel import map_chunks, parts_of, spans
from panollava_losses._statistics import no_autocast

#: Largest range of exponents, `2/τ`, for which float32 keeps full precision; a smaller τ takes float64.
FLOAT32_RANGE = 80.0
#: Similarities of one block on a CPU, and the fewest rows of one block.
BLOCK_BYTES, BLOCK_ROWS = 2**22, 64
#: Most threads in the backward pass, because each of them has its own gradient of the keys.
KEY_GRADIENTS = 4


class Sums(NamedTuple):
    """Sums of `exp(s − 1/τ)` along rows and columns, and the entries where a row meets its own match."""

    of_rows: Float[Tensor, "groups rows"]
    of_columns: Float[Tensor, "groups keys"]
    matching: Float[Tensor, "groups rows"]


class SumOptions(NamedTuple):
    """Row `i` of `x` matches key `i + offset`; with `masked`, rows and keys of weight 0 have no exponentials."""

    temperature: float
    masked: bool
    offset: int

    def moved(self, rows: int) -> "SumOptions":
        """The options for a block that begins `rows` later."""
        return self._replace(offset=self.offset + rows)


def symmetric_cross_entropy(
    x: Float[Tensor, "groups rows features"],
    y: Float[Tensor, "groups rows features"],
    p: Float[Tensor, "groups rows"],
    temperature: float,
    ranks: int,
    masked: bool,
) -> Float[Tensor, " groups"]:
    """Loss of each group; with several ranks, of the one group that they form together.

    With `masked`, rows of weight 0 are neither anchors nor candidates.
    """
    keys, key_p, first = (unit(y), p, 0) if ranks == 1 else gather_rows(unit(y), p)
    in_blocks = keys.shape[1] > x.shape[2] and len(_row_blocks(x, keys, slice(0, x.shape[1]))) > 1
    sums = _SumsInBlocks.apply if in_blocks else exponential_sums
    of_rows, of_columns, matching = sums(x, keys, p, key_p, SumOptions(temperature, masked, first))
    if ranks > 1:
        of_columns = sum_over_ranks(of_columns)
    of_columns = of_columns[:, first : first + x.shape[1]]
    log_rows, log_columns, log_matching = (
        torch.where(p > 0, e, 1.0).log().to(p.dtype) for e in (of_rows, of_columns, matching)
    )
    loss = (((log_rows + log_columns) / 2 - log_matching) * p).sum(dim=-1)
    return loss if ranks == 1 else sum_over_ranks(loss)


def exponential_sums(
    x: Float[Tensor, "groups rows features"],
    keys: Float[Tensor, "groups keys features"],
    p: Float[Tensor, "groups rows"],
    key_p: Float[Tensor, "groups keys"],
    options: SumOptions,
) -> Sums:
    """The sums in plain operations; the keys have length 1."""
    e = _exponentials(unit(x, 1 / options.temperature), keys, p, key_p, options)
    return Sums(e.sum(dim=-1), e.sum(dim=-2), _matching(e, options))


def _exponentials(q: Tensor, keys: Tensor, p: Tensor, key_p: Tensor, options: SumOptions) -> Tensor:
    """`exp(q·kᵀ − 1/τ)`, zero where a row or a key is masked."""
    s: Tensor = _ShiftedProduct.apply(q, keys, -1 / options.temperature)
    if options.masked:
        s.masked_fill_((p == 0).unsqueeze(-1), float("-inf")).masked_fill_((key_p == 0).unsqueeze(-2), float("-inf"))
    return (s.double() if 2 / options.temperature > FLOAT32_RANGE else s).exp_()


def _matching(e: Tensor, options: SumOptions) -> Tensor:
    return e.diagonal(options.offset, -2, -1)[:, : e.shape[1]]


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


class _SumsInBlocks(torch.autograd.Function):
    """`exponential_sums` of a large matrix in blocks of rows, in parallel; the backward pass computes them again.

    It keeps nothing of the matrix. `torch.utils.checkpoint` on each block needs 1.5 times the memory of this gradient,
    runs one block after the other, and loads the compiler.
    """

    @staticmethod
    def forward(x: Tensor, keys: Tensor, p: Tensor, key_p: Tensor, options: SumOptions) -> tuple[Tensor, ...]:
        def work(part: slice) -> Sums:
            return exponential_sums(x[:, part], keys, p[:, part], key_p, options.moved(part.start))

        with no_autocast(x.device):
            blocks = map_chunks(work, _row_blocks(x, keys, slice(0, x.shape[1])), x)
            of_rows, of_columns, matching = zip(*blocks, strict=True)
            return torch.cat(of_rows, dim=1), torch.stack(of_columns).sum(dim=0), torch.cat(matching, dim=1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.options = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, keys, p, key_p = ctx.saved_tensors
        with no_autocast(x.device):
            if torch.is_grad_enabled():  # create_graph=True

                def sums(x: Tensor, keys: Tensor) -> tuple[Tensor, ...]:
                    return tuple(exponential_sums(x, keys, p, key_p, ctx.options))

                dx, dkeys = torch.func.vjp(sums, x, keys)[1](grads)
            else:
                dx, dkeys = _gradients_in_blocks(x, keys, p, key_p, Sums(*grads), ctx.options)
        return dx, dkeys, None, None, None


def _gradients_in_blocks(
    x: Tensor, keys: Tensor, p: Tensor, key_p: Tensor, grads: Sums, options: SumOptions
) -> tuple[Tensor, Tensor]:
    """Gradients by `x` and the keys: with the sums' gradients `r_i`, `c_j` and `m_i`, `dL/ds_ij = e_ij (r_i + c_j)`.

    The entries of the matches have `m_i` in addition.
    """
    dx = torch.empty_like(x)

    def work(span: slice) -> Tensor:
        dkeys = torch.zeros_like(keys)
        for part in _row_blocks(x, keys, span):
            with torch.enable_grad():
                rows = x[:, part].detach().requires_grad_()
                q = unit(rows, 1 / options.temperature)
            block = options.moved(part.start)
            e = _exponentials(q.detach(), keys, p[:, part], key_p, block)
            ds_matching = _matching(e, block) * grads.matching[:, part]
            ds = e.mul_(grads.of_rows[:, part].unsqueeze(-1) + grads.of_columns.unsqueeze(-2))
            _matching(ds, block).add_(ds_matching)
            ds = ds.to(q.dtype)
            (dx[:, part],) = torch.autograd.grad(q, rows, torch.bmm(ds, keys))
            dkeys.baddbmm_(ds.mT, q.detach())
        return dkeys

    dkeys, *others = map_chunks(work, spans(x.shape[1], KEY_GRADIENTS, x), x)
    for other in others:
        dkeys += other
    return dx, dkeys


def _row_blocks(x: Tensor, keys: Tensor, span: slice) -> list[slice]:
    row_bytes = x.shape[0] * keys.shape[1] * x.dtype.itemsize
    return parts_of(span, row_bytes, x.device, max(BLOCK_BYTES, BLOCK_ROWS * row_bytes))


def unit(z: Float[Tensor, "*rows features"], length: float = 1.0) -> Float[Tensor, "*rows features"]:
    """Rows with this length; rows shorter than 1e-6 are scaled by a constant."""
    norm: Tensor = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    return z * (length / norm.clamp_min(1e-6))
