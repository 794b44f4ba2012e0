"""The selective scan of Mamba-1 in pure PyTorch: linear in length, with a backward pass that recomputes its states.

Source: Gu & Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", https://arxiv.org/abs/2312.00752.
If the public mamba-ssm package is installed, its CUDA kernel, which computes the same, is used for tensors on a GPU.
"""

import re
from collections.abc import Callable
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from panollava_core._scan_kernels import plan_scan, scan_backward, scan_forward

# Operators are registered globally. A copy of this module, as in an exported model, must use another namespace.
_NAMESPACE = re.sub(r"\W", "_", __name__)


def selective_scan(
    u: Float[Tensor, "batch length channels"],
    delta: Float[Tensor, "batch length channels"],
    A: Float[Tensor, "channels states"],
    B: Float[Tensor, "batch length groups states"],
    C: Float[Tensor, "batch length groups states"],
    D: Float[Tensor, " channels"] | None = None,
) -> Float[Tensor, "batch length channels"]:
    """Run `h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t`, `y_t = C_t h_t + D u_t` along the length.

    Computed in float32 (float64 for float64 input) and returned in the dtype of `u`. All inputs have first derivatives,
    but no second ones. States are recomputed for the backward pass, chunk by chunk, instead of being kept.

    Args:
        u: inputs.
        delta: step sizes, positive.
        A: decay rates, negative: a decay is at most 1.
        B: input weights; channels are divided evenly among the groups, in order.
        C: output weights.
        D: weights of the skip connection; None for no skip connection.

    Raises:
        ValueError: the number of channels is not a multiple of the number of groups.

    Example:
        >>> import torch
        >>> from panollava_core import selective_scan
        >>> one = torch.ones(1, 3, 1)
        >>> selective_scan(one, one, -torch.ones(1, 1) * torch.log(torch.tensor(2.0)), one[..., None], one[..., None])
        tensor([[[1.0000],
                 [1.5000],
                 [1.7500]]])
    """
    groups = B.shape[2]
    if u.shape[-1] % groups:
        raise ValueError(f"the number of channels must be a multiple of the {groups} groups of B, got {u.shape[-1]}")
    if (kernel := _kernel_for(u)) is not None:
        # mamba-ssm expects [batch, channels, length] and [batch, groups, states, length].
        swap = (0, 2, 3, 1)
        output = kernel(u.mT, delta.mT.to(u.dtype), A.float(), B.permute(swap), C.permute(swap), D, None, None, False)
        return output.mT
    wide = torch.float64 if u.dtype == torch.float64 else torch.float32
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in (u, delta, A, B, C))
    output, _ = _scan(u.to(wide), delta.to(wide), A.to(wide), B.to(wide), C.to(wide), keep)
    if D is not None:
        output = output + u * D
    return output.to(u.dtype)


def _kernel_for(u: Tensor) -> Callable[..., Tensor] | None:
    """Return `selective_scan_fn` of mamba-ssm if it is installed, `u` is on a GPU and nothing is being traced."""
    if not u.is_cuda or torch.compiler.is_compiling() or find_spec("mamba_ssm") is None:
        return None
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    return selective_scan_fn


def _to_kernel(tensor: Tensor, groups: int, padding: int) -> Tensor:
    """Return `[batch, length, …]` as time-major `[length + padding, batch, groups, …]`, as the kernels expect it."""
    grouped = tensor.unflatten(2, (groups, -1)) if tensor.ndim == 3 else tensor
    # Padding has step size 0: it does not change the state.
    return (pad(grouped, (0, 0, 0, 0, 0, padding)) if padding else grouped).transpose(0, 1)


def _prepared(A: Tensor, groups: int, tensors: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
    channels, states = A.shape
    steps = plan_scan(groups, states, channels // groups, A.device.type).steps
    padding = -tensors[0].shape[1] % steps
    return A.view(groups, -1, states).mT.contiguous(), [_to_kernel(x, groups, padding) for x in tensors]


@torch.library.custom_op(
    f"{_NAMESPACE}::scan",
    mutates_args=(),
    schema="(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, bool keep) -> (Tensor, Tensor)",
)
def _scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
    with torch.autocast(u.device.type, enabled=False):
        rates, tensors = _prepared(A, B.shape[2], (u, delta, B, C))
        output, starts = scan_forward(tensors[0], tensors[1], rates, tensors[2], tensors[3], keep)
        return output[: u.shape[1]].transpose(0, 1).flatten(2).contiguous(), starts


@_scan.register_fake
def _(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
    batch, length, groups, states = B.shape
    channels = u.shape[2] // groups
    # Groups, states and channels are fixed by the model and are integers even if batch and length are symbolic.
    plan = plan_scan(int(groups), int(states), int(channels), u.device.type)
    chunks = (length + plan.chunk - 1) // plan.chunk if keep else 0
    return u.new_empty(u.shape), u.new_empty(chunks, batch, groups, states, channels)


@torch.library.custom_op(
    f"{_NAMESPACE}::scan_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor starts) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def _scan_backward(
    grad: Tensor, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, starts: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    with torch.autocast(u.device.type, enabled=False):
        rates, tensors = _prepared(A, B.shape[2], (grad, u, delta, B, C))
        g, x, step, into, out_of = tensors
        grads = scan_backward(g, x, step, rates, into, out_of, starts)
        length = u.shape[1]
        grad_u, grad_delta = (t[:length].transpose(0, 1).flatten(2).contiguous() for t in grads[:2])
        grad_B, grad_C = (t[:length].transpose(0, 1).contiguous() for t in grads[3:])
        return grad_u, grad_delta, grads[2].mT.flatten(0, 1).contiguous(), grad_B, grad_C


@_scan_backward.register_fake
def _(
    grad: Tensor, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, starts: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    return u.new_empty(u.shape), u.new_empty(u.shape), A.new_empty(A.shape), B.new_empty(B.shape), B.new_empty(B.shape)


def _setup_context(ctx, inputs, output) -> None:  # torch's callback protocol
    ctx.save_for_backward(*inputs[:5], output[1])


def _backward(ctx, grad, _):  # torch's callback protocol
    return *_scan_backward(grad.contiguous(), *ctx.saved_tensors), None


_scan.register_autograd(_backward, setup_context=_setup_context)
