"""What both VICReg modes share: dtypes, chunks, token weights, second moments, and the variance hinge.

For one set of `L` tokens with `D` features and probabilities `p` (`1/L` when all weigh the same) let
`V = sqrt(p)·(Z − mean)`. The biased variances are the column energies of `V`, and the covariance is `VᵀV / (1 − Σp²)`;
`1 − Σp²` is the `(L − 1)/L` of equal weights, it does not depend on the weights' scale, and masked tokens (weight 0)
leave no trace in it. Functions here work on `Z − mean` itself while all tokens weigh the same, and scale afterwards.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

#: Working set of one chunk. On a CPU it stays in the cache between the passes over it; elsewhere it only bounds memory.
CPU_CHUNK_BYTES = 2**21
DEVICE_CHUNK_BYTES = 2**28


def statistics_dtype(dtype: torch.dtype) -> torch.dtype:
    """Float32, or float64 for float64 features: half precision cannot hold a sum of squares."""
    return dtype if dtype == torch.float64 else torch.float32


def no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Keep matrix products in the statistics' dtype."""
    if device.type != "meta" and torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def chunks(rows: int, bytes_per_row: int, device: torch.device) -> Iterator[slice]:
    """Slices that cover `rows`. A compiler fuses the passes itself and gets everything at once."""
    if torch.compiler.is_compiling():
        yield slice(0, rows)
        return
    budget = CPU_CHUNK_BYTES if device.type == "cpu" else DEVICE_CHUNK_BYTES
    step = max(1, budget // max(1, bytes_per_row))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


class Scales(NamedTuple):
    """What turns the column energies into biased and unbiased variances, per pair."""

    biased: Float[Tensor, " pairs"]
    unbiased: Float[Tensor, " pairs"]

    def variance(self, correction: int) -> Float[Tensor, "pairs 1"]:
        """The scale of the variances in the hinge."""
        return (self.unbiased if correction else self.biased).unsqueeze(-1)


def scales(
    z: Float[Tensor, "pairs tokens features"], p: Float[Tensor, "pairs tokens"] | None, dtype: torch.dtype
) -> Scales:
    """`1/L` and `1/(L − 1)` for equal weights; `1` and `1/(1 − Σp²)` where `p` is already in the energies."""
    if p is None:
        ones = torch.ones(z.shape[0], dtype=dtype, device=z.device)
        return Scales(ones / z.shape[1], ones / (z.shape[1] - 1))
    return Scales(torch.ones_like(p[:, 0]), 1 / (1 - p.square().sum(dim=-1)))


def weighted_mean(
    z: Float[Tensor, "pairs tokens features"], p: Float[Tensor, "pairs tokens"] | None, dtype: torch.dtype
) -> Float[Tensor, "pairs 1 features"]:
    """Mean over the tokens of every pair."""
    if p is None:
        return z.to(dtype).mean(dim=-2, keepdim=True)
    return (masked(z.to(dtype), p) * p.unsqueeze(-1)).sum(dim=-2, keepdim=True)


def masked(
    z: Float[Tensor, "pairs tokens features"], p: Float[Tensor, "pairs tokens"]
) -> Float[Tensor, "pairs tokens features"]:
    """Zero where the weight is zero: a masked token may hold NaN, which a product with zero would let through."""
    return torch.where(p.unsqueeze(-1) > 0, z, 0.0)


def centred(
    z: Float[Tensor, "pairs tokens features"],
    mean: Float[Tensor, "#pairs 1 features"],
    p: Float[Tensor, "pairs tokens"] | None,
) -> Float[Tensor, "pairs tokens features"]:
    """`sqrt(p)·(z − mean)`, or `z − mean` where all tokens weigh the same, in the mean's dtype."""
    v = z.to(mean.dtype) - mean
    return v if p is None else masked(v, p) * p.sqrt().unsqueeze(-1)


def gram_is_smaller(tokens: int, features: int) -> bool:
    """Whether the token-by-token matrix is cheaper than the feature-by-feature one."""
    return tokens < features


def add_outer(total: Float[Tensor, "pairs n n"] | None, a: Float[Tensor, "pairs n k"]) -> Float[Tensor, "pairs n n"]:
    """`total + a·aᵀ`, in place where possible; only the blocks on and above the diagonal until `mirror` is called.

    PyTorch has no product of a matrix with its own transpose, so on a CPU the upper blocks alone are multiplied:
    5/8 of the work for four blocks. A compiler or a second derivative gets one plain product.
    """
    n = a.shape[-2]
    step = _block(a)
    if step == n:
        return torch.bmm(a, a.mT) if total is None else total.add_(torch.bmm(a, a.mT))
    keep = 0 if total is None else 1
    if total is None:
        total = a.new_empty(a.shape[0], n, n)
    for i in range(0, n, step):
        total[:, i : i + step, i:].baddbmm_(a[:, i : i + step], a[:, i:].mT, beta=keep)
    return total


def mirror(total: Float[Tensor, "pairs n n"], a: Float[Tensor, "pairs n k"]) -> Float[Tensor, "pairs n n"]:
    """Fill in what `add_outer` left out below the diagonal."""
    n = total.shape[-1]
    step = _block(a)
    for i in range(step, n, step):
        total[:, i:, i - step : i] = total[:, i - step : i, i:].mT
    return total


def _block(a: Float[Tensor, "pairs n k"]) -> int:
    n = a.shape[-2]
    if n < 128 or a.device.type != "cpu" or torch.compiler.is_compiling() or torch.is_grad_enabled():
        return n
    return -(-n // 2) if n < 256 else -(-n // 4)


def second_moments(
    v: Float[Tensor, "pairs tokens features"], gram: bool
) -> tuple[Float[Tensor, "pairs side side"], Float[Tensor, "pairs features"], Float[Tensor, " pairs"]]:
    """`VVᵀ` (gram) or `offdiag(VᵀV)`; the column energies; the energy of `VᵀV` off its diagonal.

    `‖offdiag(VᵀV)‖² = ‖VᵀV‖² − Σ_j energy_j² = ‖VVᵀ‖² − Σ_j energy_j²`.
    """
    if not gram:
        return split_diagonal(mirror(add_outer(None, v.mT), v.mT))
    columns = v.square().sum(dim=-2)
    matrix = mirror(add_outer(None, v), v)
    # Two large sums whose difference counts; MPS has no float64.
    wide = v.dtype if v.device.type == "mps" else torch.float64
    energy = matrix.square().sum(dim=(-2, -1), dtype=wide) - columns.square().sum(dim=-1, dtype=wide)
    return matrix, columns, energy.clamp_min(0).to(v.dtype)


def split_diagonal(
    matrix: Float[Tensor, "pairs features features"],
) -> tuple[Float[Tensor, "pairs features features"], Float[Tensor, "pairs features"], Float[Tensor, " pairs"]]:
    """The matrix with a zero diagonal, the diagonal, and the energy of what is left."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    rest = matrix - torch.diag_embed(diagonal)
    return rest, diagonal, rest.square().sum(dim=(-2, -1))


def second_moments_gradient(
    v: Float[Tensor, "pairs tokens features"],
    matrix: Float[Tensor, "pairs side side"],
    columns: Float[Tensor, "pairs features"],
    by_energy: Float[Tensor, " pairs"],
    by_columns: Float[Tensor, "pairs features"],
    gram: bool,
) -> Float[Tensor, "pairs tokens features"]:
    """Gradient by `V`: `4·V·offdiag(VᵀV)·by_energy + 2·V·diag(by_columns)`, through whichever matrix there is.

    No term for the mean is missing: weighted with sqrt(p), the columns of this gradient sum to zero.
    """
    scaled = matrix * (4 * by_energy).view(-1, 1, 1)
    if not gram:
        return torch.bmm(v, scaled + torch.diag_embed(2 * by_columns))
    diagonal = 2 * by_columns - 4 * by_energy.unsqueeze(-1) * columns
    return torch.baddbmm(v * diagonal.unsqueeze(-2), scaled, v)


def hinge(variance: Float[Tensor, "*pairs features"], gamma: float, eps: float) -> Float[Tensor, "*pairs"]:
    """`mean_j relu(γ − sqrt(var_j + ε))` (Bardes et al. 2022, equation 1)."""
    return torch.relu(gamma - (variance + eps).sqrt()).mean(dim=-1)


def hinge_slope(
    variance: Float[Tensor, "*pairs features"], gamma: float, eps: float
) -> Float[Tensor, "*pairs features"]:
    """Derivative of `hinge` by each variance."""
    deviation = (variance + eps).sqrt()
    return torch.where(deviation < gamma, -0.5 / (deviation * variance.shape[-1]), 0.0)


def squared_distance(
    x: Float[Tensor, "pairs tokens features"],
    y: Float[Tensor, "pairs tokens features"],
    p: Float[Tensor, "pairs tokens"] | None,
    dtype: torch.dtype,
) -> Float[Tensor, " pairs"]:
    """Mean over features and (weighted) tokens of `(x − y)²`."""
    d = (x.to(dtype) - y.to(dtype)).square()
    if p is None:
        return d.mean(dim=(-2, -1))
    return (masked(d, p).mean(dim=-1) * p).sum(dim=-1)


def squared_distance_gradient(
    x: Float[Tensor, "pairs tokens features"],
    y: Float[Tensor, "pairs tokens features"],
    p: Float[Tensor, "pairs tokens"] | None,
    by_distance: Float[Tensor, " pairs"],
    dtype: torch.dtype,
) -> Float[Tensor, "pairs tokens features"]:
    """Gradient of `squared_distance` by `x`; by `y` it is the negative."""
    by_square = (2 / x.shape[-1]) * by_distance.view(-1, 1, 1)
    d = x.to(dtype) - y.to(dtype)
    if p is None:
        return d * (by_square / x.shape[-2])
    return masked(d, p) * (by_square * p.unsqueeze(-1))
