"""Sums over ranks whose gradients are right under data-parallel training.

Convention (that of `torch.distributed.nn` and of the VICReg authors' gather): every rank computes the same global
loss, and the backward pass sums the incoming gradients of all ranks. A leaf's gradient is therefore `world_size`
times the gradient of the global loss, and DistributedDataParallel's mean over ranks makes it exact.
"""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def world_size(gather_distributed: bool) -> int:
    """Number of ranks that share statistics: 1 unless asked for and a process group exists."""
    if not gather_distributed:
        return 1
    if not dist.is_available():
        raise ValueError(
            "gather_distributed=True needs a torch built with torch.distributed: set gather_distributed=False"
        )
    return dist.get_world_size() if dist.is_initialized() else 1


def all_reduce(tensor: Tensor) -> Tensor:
    """Sum over ranks, outside autograd."""
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(tensor: Tensor) -> Tensor:
        return all_reduce(tensor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return sum_over_ranks(grads[0])


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Sum over ranks; the gradient is summed over ranks too."""
    total: Tensor = _SumOverRanks.apply(tensor)
    return total


def mean_over_pairs(terms: Tensor, ranks: int) -> Tensor:
    """Mean over the first axis, here or over the pairs of all ranks, each of which may have another number."""
    if ranks == 1:
        return terms.mean(dim=0)
    count = all_reduce(torch.full((), terms.shape[0], dtype=terms.dtype, device=terms.device))
    return sum_over_ranks(terms.sum(dim=0)) / count
