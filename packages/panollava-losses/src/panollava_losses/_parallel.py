"""Chunks of the first axis, and chunks in parallel.

PyTorch splits every single operation among its threads and waits for all of them before the next one. On chunks that
fit into the cache an operation takes 0.1 ms, so one thread that the operating system has moved off its core for a few
milliseconds delays all operations. `map_chunks` lets each thread take whole chunks instead and run their operations
alone: nothing waits before the last chunk, and a delayed thread takes fewer chunks.
"""

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

#: Size of a chunk on devices other than a CPU, where it only limits the memory.
DEVICE_BYTES = 2**28


def chunk_size(rows: int, bytes_per_row: int, device: torch.device, cpu_bytes: int) -> int:
    """Rows of one chunk. A compiler gets all rows at once, because it fuses the operations itself."""
    if torch.compiler.is_compiling():
        return rows
    budget = cpu_bytes if device.type == "cpu" else DEVICE_BYTES
    return min(rows, max(1, budget // max(1, bytes_per_row)))


def chunks(rows: int, bytes_per_row: int, device: torch.device, cpu_bytes: int) -> list[slice]:
    """Slices of `chunk_size` rows."""
    return parts_of(slice(0, rows), bytes_per_row, device, cpu_bytes)


def parts_of(span: slice, bytes_per_row: int, device: torch.device, cpu_bytes: int) -> list[slice]:
    """The rows of a slice in slices of `chunk_size` rows."""
    size = chunk_size(span.stop - span.start, bytes_per_row, device, cpu_bytes)
    return [slice(start, min(start + size, span.stop)) for start in range(span.start, span.stop, size)]


def spans(rows: int, most: int, features: Tensor) -> list[slice]:
    """At most `most` slices of nearly equal size, and no more than `map_chunks` has threads for these features."""
    count = 1 if torch.compiler.is_compiling() else max(1, min(rows, most, _threads(features)))
    bounds = [rows * i // count for i in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


def rows_of(tensor: Tensor | None, part: slice) -> Tensor | None:
    """A part of an optional tensor."""
    return None if tensor is None else tensor[part]


def map_chunks(work: Callable[[slice], T], parts: Sequence[slice], features: Tensor) -> list[T]:
    """`[work(part) for part in parts]` without gradients; for features on a CPU in as many threads as PyTorch uses.

    `torch.set_num_threads` limits the calling thread and threads that start later, so the caller's limit is restored
    at the end. Threads live for one call: none is idle afterwards, and a forked process misses none.
    """
    if len(parts) == 1 or _threads(features) == 1:
        return [work(part) for part in parts]
    limit = torch.get_num_threads()
    workers = min(limit, len(parts))
    waiting = deque(enumerate(parts))
    results: dict[int, T] = {}
    inference = torch.is_inference_mode_enabled()

    def take_chunks() -> None:
        torch.set_num_threads(limit // workers)
        with torch.inference_mode(inference), torch.no_grad():
            while True:
                try:
                    index, part = waiting.popleft()
                except IndexError:  # none is left
                    return
                results[index] = work(part)

    try:
        with ThreadPoolExecutor(workers - 1) as pool:  # the calling thread works too
            others = [pool.submit(take_chunks) for _ in range(workers - 1)]
            take_chunks()
            for other in others:
                other.result()
    finally:
        torch.set_num_threads(limit)
    return [results[index] for index in range(len(parts))]


def _threads(features: Tensor) -> int:
    """Threads for these features: one on other devices, and for fake tensors, whose mode belongs to one thread."""
    is_plain = features.device.type == "cpu" and type(features) in (Tensor, torch.nn.Parameter)
    return torch.get_num_threads() if is_plain else 1
