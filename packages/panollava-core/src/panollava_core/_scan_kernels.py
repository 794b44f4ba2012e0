"""The arithmetic of the selective scan, forward and backward, in chunks; `_selective_scan` makes operators of it.

The recurrence for every channel and state n of Mamba-1 (Gu & Dao 2023, https://arxiv.org/abs/2312.00752, section 3):

    h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t,    y_t = sum_n C_t[n] h_t[n]

All decays `exp(delta A)` are at most 1 and are only multiplied with each other, so nothing overflows on long sequences.

Tokens are processed in chunks that fit into the cache. Within a chunk, everything but the recurrence is one vectorised
operation over the chunk. The recurrence runs over all segments of the chunk at the same time: `steps` fused
multiply-adds for `segments * steps` tokens. Then the initial state of each segment is computed from the segment before
it, and its decayed contribution is added. A wide state gets one segment: more segments would add passes over memory
without adding parallelism.

The forward pass keeps only the states between chunks. The backward pass recomputes the states of a chunk and then runs
through the chunk in reverse. Inside, tensors are `[steps, segments, batch, groups, state, channels]`: channels come
last, so that every operation is contiguous along them and sums over channels or states are matrix-vector products.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Plan(NamedTuple):
    """How a sequence is divided: chunks of `segments * steps` tokens, processed in blocks of batch and channels."""

    steps: int
    segments: int
    batch_block: int
    channel_block: int

    @property
    def chunk(self) -> int:
        """Number of tokens in a chunk."""
        return self.steps * self.segments


def plan_scan(groups: int, states: int, channels: int, device_type: str) -> Plan:
    """Choose the sizes for a state of `groups * states * channels` numbers per sample, for any length and batch."""
    # On a CPU the three or four buffers of a chunk should fit into the cache; a GPU is fast on few, wide operations.
    budget, wide = (2**20, 2**14) if device_type == "cpu" else (2**26, 2**21)
    channel_block = min(channels, max(64, 2**16 // (groups * states) if device_type == "cpu" else channels))
    width = groups * states * channel_block
    steps = 16
    segments = 1 if width >= wide else max(1, min(64, budget // 2 // (width * steps)))
    return Plan(steps, segments, max(1, budget // (width * steps * segments)), channel_block)


class _Chunk:
    """Computes chunks in buffers that are reused from chunk to chunk."""

    def __init__(self, plan: Plan, like: Tensor, A: Tensor, batch: int, *, backward: bool) -> None:
        groups, states, channels = A.shape
        self.rate = A * math.log2(math.e)

        def buffer(steps: int) -> Tensor:
            return like.new_empty(steps, plan.segments, batch, groups, states, channels)

        self._decay = buffer(plan.steps)
        self._state = buffer(plan.steps + 1)  # one more: the initial state of every segment comes first
        self._product = buffer(plan.steps) if plan.segments > 1 else None
        self._adjoint = buffer(plan.steps + 1) if backward else None

    def advance(self, delta: Tensor, drive: Tensor, B: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return the decays `[T, K, …]` and the states `[T + 1, K, …]`, the initial state of each segment first."""
        segments = delta.shape[1]
        decay, state = self._decay[:, :segments], self._state[:, :segments]
        torch.mul(delta.unsqueeze(-2), self.rate, out=decay).exp2_()  # exp2: a third of exp's cost on a CPU
        torch.mul(drive.unsqueeze(-2), B.unsqueeze(-1), out=state[1:])
        state[0].zero_()
        state[0, 0] = start
        states, decays = state.unbind(0), decay.unbind(0)
        for step, rate in enumerate(decays):
            torch.addcmul(states[step + 1], rate, states[step], out=states[step + 1])
        if segments > 1:
            product = self._product[:, :segments]  # type: ignore[index]  # made whenever segments > 1
            products = product.unbind(0)
            products[0].copy_(decays[0])
            for step in range(1, len(decays)):
                torch.mul(products[step - 1], decays[step], out=products[step])
            starts, ends, whole = state[0].unbind(0), state[-1].unbind(0), product[-1].unbind(0)
            # The first segment started from its true state; the others started from zero.
            starts[1].copy_(ends[0])
            for segment in range(2, segments):
                torch.addcmul(ends[segment - 1], whole[segment - 1], starts[segment - 1], out=starts[segment])
            state[1:, 1:].addcmul_(product[:, 1:], state[:1, 1:])
        return decay, state

    def retreat(self, decay: Tensor, C: Tensor, grad: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the states `[T, K, …]`, and what the previous chunk gets as `after`."""
        segments = decay.shape[1]
        adjoint = self._adjoint[:, :segments]  # type: ignore[index]  # made whenever backward
        torch.mul(grad.unsqueeze(-2), C.unsqueeze(-1), out=adjoint[:-1])
        adjoints, decays = adjoint.unbind(0), decay.unbind(0)
        # The last segment starts from `after`, the others from zero; slot -1 holds what is missing in them.
        adjoints[-2][-1].add_(after)
        for step in range(len(decays) - 2, -1, -1):
            torch.addcmul(adjoints[step], decays[step + 1], adjoints[step + 1], out=adjoints[step])
        if segments > 1:
            product = self._product[:, :segments]  # type: ignore[index]  # made whenever segments > 1
            product[-1].fill_(1)
            for step in range(len(decays) - 2, -1, -1):
                torch.mul(product[step + 1], decays[step + 1], out=product[step])
            firsts, carries = adjoints[0].unbind(0), adjoints[-1].unbind(0)
            for segment in range(segments - 2, -1, -1):
                gradient = firsts[segment + 1]
                if segment < segments - 2:
                    gradient = torch.addcmul(gradient, product[0, segment + 1], carries[segment + 1])
                torch.mul(decays[0][segment + 1], gradient, out=carries[segment])
            adjoint[:-1, :-1].addcmul_(product[:, :-1], adjoint[-1:, :-1])
        return adjoint[:-1], decays[0][0] * adjoints[0][0]


def _blocks(plan: Plan, batch: int, channels: int) -> Iterator[tuple[slice, slice]]:
    for sample in range(0, batch, plan.batch_block):
        for channel in range(0, channels, plan.channel_block):
            yield slice(sample, sample + plan.batch_block), slice(channel, channel + plan.channel_block)


def _segmented(tensor: Tensor, chunk: int, plan: Plan) -> Tensor:
    """Return chunk number `chunk` of a time-major `[L, …]` tensor as `[steps, segments, …]`, without a copy."""
    tokens = tensor[chunk * plan.chunk : (chunk + 1) * plan.chunk]
    return tokens.unflatten(0, (-1, plan.steps)).transpose(0, 1)


def scan_forward(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
    """Return the outputs, and the initial state of every chunk (empty without `keep`).

    Args:
        u: inputs `[L, batch, groups, channels]`; L is a multiple of the plan's steps.
        delta: step sizes, shaped like `u`.
        A: decay rates `[groups, states, channels]`, negative.
        B: input weights `[L, batch, groups, states]`.
        C: output weights, shaped like `B`.
        keep: whether a backward pass follows.
    """
    length, batch, groups, channels = u.shape
    plan = plan_scan(groups, A.shape[1], channels, u.device.type)
    chunks = -(-length // plan.chunk)
    output = torch.empty_like(u)
    starts = u.new_empty(chunks if keep else 0, batch, groups, A.shape[1], channels)
    drive = u * delta
    for samples, chans in _blocks(plan, batch, channels):
        weights = A[..., chans].contiguous()
        inputs = [delta[:, samples, :, chans], drive[:, samples, :, chans], B[:, samples], C[:, samples]]
        target = output[:, samples, :, chans]
        chunk = _Chunk(plan, u, weights, target.shape[1], backward=False)
        carry = torch.zeros_like(chunk._state[0, 0])
        for number in range(chunks):
            step, push, into, out_of = (_segmented(x, number, plan) for x in inputs)
            if keep:
                starts[number, samples, ..., chans] = carry
            _, state = chunk.advance(step, push, into, carry)
            carry = state[-1, -1].clone()
            _segmented(target, number, plan).copy_(torch.matmul(out_of.unsqueeze(-2), state[1:]).squeeze(-2))
    return output, starts


def scan_backward(
    grad: Tensor, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, starts: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of u, delta, A, B and C; `grad` is the gradient of the outputs of `scan_forward`."""
    length, batch, groups, channels = u.shape
    plan = plan_scan(groups, A.shape[1], channels, u.device.type)
    chunks = -(-length // plan.chunk)
    drive = u * delta
    grad_drive, grad_delta = torch.empty_like(u), torch.empty_like(u)
    grad_A, grad_B, grad_C = torch.zeros_like(A), torch.zeros_like(B), torch.zeros_like(C)
    for samples, chans in _blocks(plan, batch, channels):
        weights = A[..., chans].contiguous()
        inputs = [x[:, samples, :, chans] for x in (delta, drive, grad)] + [B[:, samples], C[:, samples]]
        outputs = [x[:, samples, :, chans] for x in (grad_delta, grad_drive)] + [grad_B[:, samples], grad_C[:, samples]]
        chunk = _Chunk(plan, u, weights, inputs[0].shape[1], backward=True)
        after = torch.zeros_like(chunk._state[0, 0])
        for number in reversed(range(chunks)):
            step, push, dy, into, out_of = (_segmented(x, number, plan) for x in inputs)
            to_step, to_push, to_into, to_out_of = (_segmented(x, number, plan) for x in outputs)
            decay, state = chunk.advance(step, push, into, starts[number, samples, ..., chans])
            adjoint, after = chunk.retreat(decay, out_of, dy, after)
            # Vector times transposed matrix: here MKL is about ten times slower on matrix times vector.
            to_out_of.add_(torch.matmul(dy.unsqueeze(-2), state[1:].transpose(-1, -2)).squeeze(-2))
            to_into.add_(torch.matmul(push.unsqueeze(-2), adjoint.transpose(-1, -2)).squeeze(-2))
            to_push.copy_(torch.matmul(into.unsqueeze(-2), adjoint).squeeze(-2))
            exponent = decay.mul_(state[:-1]).mul_(adjoint)  # gradient of delta * A
            to_step.copy_(torch.mul(exponent, weights, out=state[1:]).sum(dim=-2))
            grad_A[..., chans] += exponent.mul_(step.unsqueeze(-2)).sum(dim=(0, 1, 2))
    return grad_drive * delta, grad_delta + grad_drive * u, grad_A, grad_B, grad_C
