"""Zero gradients for parameters that a batch does not use.

In distributed training all processes must have gradients for the same parameters: one that reads a batch of texts would
otherwise leave the others waiting for the gradients of its vision tower.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class _ZeroGradients(torch.autograd.Function):
    """Returns its first argument; the gradients of the others are zeros, whatever their values."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, *unused: Tensor) -> Tensor:
        ctx.save_for_backward(*unused)
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], *(torch.zeros_like(parameter) for parameter in ctx.saved_tensors)


def with_zero_gradients(values: Tensor, unused: Sequence[Tensor]) -> Tensor:
    """`values`, unchanged, from which `backward` reaches `unused` with gradients of zero."""
    if not unused:
        return values
    result: Tensor = _ZeroGradients.apply(values, *unused)
    return result
