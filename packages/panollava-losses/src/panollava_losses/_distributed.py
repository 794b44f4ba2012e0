"""Sums over ranks whose gradients are correct under data-parallel training.

Convention (as in `torch.distributed.nn` and in the VICReg authors' code): each rank computes the same global loss, and
the backward pass sums the incoming gradients of all ranks. The gradient of a leaf is therefore `world_size` times the
gradient of the global loss, and the mean over ranks that DistributedDataParallel takes makes it exact.
"""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def world_size(gather_distributed: bool) -> int:
    """Number of ranks that share statistics: 1 without `gather_distributed` or without a process group."""
    if not gather_distributed:
        return 1
    if not dist.is_available():
        raise ValueError(
            "gather_distributed=True, but this torch was built without torch.distributed: set gather_distributed=False"
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


def gather_rows(*tensors: Tensor) -> tuple[Any, ...]:
    """Concatenate the second axis over ranks; the last item is the index of this rank's first row.

    Ranks may have different numbers of rows; what is sent is padded to the largest.
    """
    rank, device = dist.get_rank(), tensors[0].device
    sizes = [torch.zeros((), dtype=torch.int64, device=device) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, torch.tensor(tensors[0].shape[1], device=device))
    counts = [int(size) for size in sizes]
    return *(_GatherRows.apply(tensor, counts, rank) for tensor in tensors), sum(counts[:rank])


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(tensor: Tensor, counts: list[int], rank: int) -> Tensor:
        padded = tensor.new_zeros(tensor.shape[0], max(counts), *tensor.shape[2:])
        padded[:, : counts[rank]] = tensor
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:, :count] for part, count in zip(parts, counts, strict=True)], dim=1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, counts, rank = inputs
        ctx.own = slice(sum(counts[:rank]), sum(counts[: rank + 1]))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return sum_over_ranks(grads[0])[:, ctx.own], None, None


def pairs_of_all_ranks(per_pair: Tensor, ranks: int) -> Tensor:
    """Number of pairs (the first axis) on this rank or on all ranks, which may have different numbers."""
    count = torch.full((), per_pair.shape[0], dtype=per_pair.dtype, device=per_pair.device)
    return count if ranks == 1 else all_reduce(count)


def mean_over_pairs(per_pair: Tensor, ranks: int) -> Tensor:
    """Mean over the first axis, on this rank or over the pairs of all ranks."""
    total = per_pair.sum(dim=0)
    return (total if ranks == 1 else sum_over_ranks(total)) / pairs_of_all_ranks(per_pair, ranks)
