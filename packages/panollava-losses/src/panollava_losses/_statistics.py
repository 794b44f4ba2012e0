"""Second moments of token sets and their closed-form gradients, shared by the kernels of both VICReg modes.

For one set of `L` tokens with `D` features and token probabilities `p` let `V = sqrt(p)·(Z − mean)`. The biased
variances are the squared norms of V's columns, and the covariance is `VᵀV / (1 − Σp²)`. Without weights the functions
here work on `Z − mean` itself, which reads the features once less, and `scales` has the factors to apply afterwards.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from panollava_losses._formula import masked, squared_norm


def statistics_dtype(dtype: torch.dtype) -> torch.dtype:
    """Float32, or float64 for float64 features: half precision is too coarse for sums of squares."""
    return dtype if dtype == torch.float64 else torch.float32


def no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Keep matrix products in the statistics' dtype."""
    if device.type != "meta" and torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def equal_weights(x: Float[Tensor, "pairs tokens features"]) -> Float[Tensor, "pairs tokens"]:
    """Weight 1 for each token, in the statistics' dtype."""
    return torch.ones(x.shape[:2], dtype=statistics_dtype(x.dtype), device=x.device)


class Scales(NamedTuple):
    """Factors from squared column norms to biased and unbiased variances, per set."""

    biased: Float[Tensor, " sets"]
    unbiased: Float[Tensor, " sets"]

    def variance(self, correction: int) -> Float[Tensor, "sets 1"]:
        """The factor of the variances in the hinge."""
        return (self.unbiased if correction else self.biased).unsqueeze(-1)


def scales(
    z: Float[Tensor, "sets tokens features"], p: Float[Tensor, "sets tokens"] | None, dtype: torch.dtype
) -> Scales:
    """`1/L` and `1/(L − 1)` without weights; `1` and `1/(1 − Σp²)` with weights, where V contains `p` already."""
    if p is None:
        ones = torch.ones(z.shape[0], dtype=dtype, device=z.device)
        return Scales(ones / z.shape[1], ones / (z.shape[1] - 1))
    return Scales(torch.ones_like(p[:, 0]), 1 / (1 - p.square().sum(dim=-1)))


def weighted_mean(
    z: Float[Tensor, "sets tokens features"], p: Float[Tensor, "sets tokens"] | None, dtype: torch.dtype
) -> Float[Tensor, "sets 1 features"]:
    """Mean over the tokens of each set."""
    if p is None:
        return z.to(dtype).mean(dim=-2, keepdim=True)
    return (masked(z.to(dtype), p) * p.unsqueeze(-1)).sum(dim=-2, keepdim=True)


def centred(
    z: Float[Tensor, "sets tokens features"],
    mean: Float[Tensor, "#sets 1 features"],
    p: Float[Tensor, "sets tokens"] | None,
) -> Float[Tensor, "sets tokens features"]:
    """`sqrt(p)·(z − mean)`, or `z − mean` without weights, in the mean's dtype."""
    v = z.to(mean.dtype) - mean
    return v if p is None else masked(v, p) * p.sqrt().unsqueeze(-1)


def gram_is_smaller(tokens: int, features: int) -> bool:
    """Whether `VVᵀ` (tokens × tokens) is smaller than `VᵀV` (features × features)."""
    return tokens < features


def add_outer(total: Float[Tensor, "sets n n"] | None, a: Float[Tensor, "sets n k"]) -> Float[Tensor, "sets n n"]:
    """`total + a·aᵀ`, in place where possible; below the diagonal blocks it is not complete until `mirror` is called.

    PyTorch has no product of a matrix with its own transpose, so on a CPU only the blocks on and above the diagonal
    are multiplied: 5/8 of the work with four blocks. A compiler gets one plain product.
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


def mirror(total: Float[Tensor, "sets n n"], a: Float[Tensor, "sets n k"]) -> Float[Tensor, "sets n n"]:
    """Copy the blocks above the diagonal to those below it, which `add_outer` leaves out."""
    n = total.shape[-1]
    step = _block(a)
    for i in range(step, n, step):
        total[:, i:, i - step : i] = total[:, i - step : i, i:].mT
    return total


def _block(a: Float[Tensor, "sets n k"]) -> int:
    n = a.shape[-2]
    return n if n < 256 or a.device.type != "cpu" or torch.compiler.is_compiling() else -(-n // 4)


def second_moments(
    v: Float[Tensor, "sets tokens features"], gram: bool
) -> tuple[Float[Tensor, "sets side side"], Float[Tensor, "sets features"]]:
    """`VVᵀ` (gram) or `offdiag(VᵀV)`, and the squared column norms of V."""
    if gram:
        return mirror(add_outer(None, v), v), v.square().sum(dim=-2)
    return split_diagonal(mirror(add_outer(None, v.mT), v.mT))


def off_diagonal_energy(
    matrix_energy: Float[Tensor, " sets"], columns: Float[Tensor, "sets features"], gram: bool
) -> Float[Tensor, " sets"]:
    """Squared norm of `VᵀV` off its diagonal, from the squared norm of the matrix of `second_moments` in float64.

    `‖offdiag(VᵀV)‖² = ‖VᵀV‖² − Σ_j ‖V_j‖⁴ = ‖VVᵀ‖² − Σ_j ‖V_j‖⁴`.
    """
    energy = (matrix_energy - squared_norm(columns, (-1,))).clamp_min(0) if gram else matrix_energy
    return energy.to(columns.dtype)


def split_diagonal(
    matrix: Float[Tensor, "sets features features"],
) -> tuple[Float[Tensor, "sets features features"], Float[Tensor, "sets features"]]:
    """The matrix with a zero diagonal, and the diagonal."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    return matrix - torch.diag_embed(diagonal), diagonal


def second_moments_gradient(
    v: Float[Tensor, "sets tokens features"],
    matrix: Float[Tensor, "sets side side"],
    columns: Float[Tensor, "sets features"],
    grad_energy: Float[Tensor, " sets"],
    grad_columns: Float[Tensor, "sets features"],
    gram: bool,
) -> Float[Tensor, "sets tokens features"]:
    """`4·V·offdiag(VᵀV)·grad_energy + 2·V·diag(grad_columns)`, from the matrix of `second_moments`.

    This is the gradient by Z too (weighted: times `sqrt(p)`). The mean adds nothing, because the columns of V's
    gradient sum to zero when weighted by `sqrt(p)`.
    """
    scaled = matrix * (4 * grad_energy).view(-1, 1, 1)
    if not gram:
        return torch.bmm(v, scaled + torch.diag_embed(2 * grad_columns))
    diagonal = 2 * grad_columns - 4 * grad_energy.unsqueeze(-1) * columns
    return torch.baddbmm(v * diagonal.unsqueeze(-2), scaled, v)


def hinge(var: Float[Tensor, "*sets features"], gamma: float, eps: float) -> Float[Tensor, "*sets"]:
    """`mean_j relu(γ − sqrt(var_j + ε))`."""
    return torch.relu(gamma - (var + eps).sqrt()).mean(dim=-1)


def hinge_gradient(var: Float[Tensor, "*sets features"], gamma: float, eps: float) -> Float[Tensor, "*sets features"]:
    """Derivative of `hinge` by each variance."""
    deviation = (var + eps).sqrt()
    return torch.where(deviation < gamma, -0.5 / (deviation * var.shape[-1]), 0.0)


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
    grad_distance: Float[Tensor, " pairs"],
    dtype: torch.dtype,
) -> Float[Tensor, "pairs tokens features"]:
    """Gradient of `squared_distance` by `x`; the gradient by `y` is its negative."""
    grad_square = (2 / x.shape[-1]) * grad_distance.view(-1, 1, 1)
    d = x.to(dtype) - y.to(dtype)
    if p is None:
        return d * (grad_square / x.shape[-2])
    return masked(d, p) * (grad_square * p.unsqueeze(-1))
