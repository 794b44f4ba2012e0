"""Cut rectangles that exceed the panorama: columns wrap around, rows continue over the poles."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from panollava_geometry._arrays._torch_types import Tensor


def cut_array(
    image: Shaped[ndarray, "height width channels"], rows: tuple[int, int], columns: tuple[int, int]
) -> Shaped[ndarray, "rows columns channels"]:
    """Cut rows and columns out of a panorama. Without wrapping, the result shares the memory of the panorama."""
    height, width = image.shape[:2]
    blocks = []
    for block, beyond in row_blocks(*rows, height):
        shift = width // 2 if beyond else 0
        parts = [image[block, part] for part in column_slices(columns[0] + shift, columns[1] + shift, width)]
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        blocks.append(joined[::-1] if beyond else joined)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=0)


def cut_tensor(
    image: Shaped[Tensor, "*batch height width"], rows: tuple[int, int], columns: tuple[int, int]
) -> Shaped[Tensor, "*batch rows columns"]:
    """Cut rows and columns out of panoramas. Without wrapping, the result shares the memory of the panoramas."""
    import torch

    height, width = image.shape[-2:]
    blocks = []
    for block, beyond in row_blocks(*rows, height):
        shift = width // 2 if beyond else 0
        strip = image[..., block, :]
        parts = [strip[..., part] for part in column_slices(columns[0] + shift, columns[1] + shift, width)]
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        blocks.append(joined.flip(-2) if beyond else joined)
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=-2)


def column_slices(start: int, stop: int, width: int) -> Iterator[slice]:
    """Slices of [0, width) that together are the columns [start, stop), wrapped around."""
    while start < stop:
        first = start % width
        count = min(stop - start, width - first)
        yield slice(first, first + count)
        start += count


def row_blocks(start: int, stop: int, height: int) -> Iterator[tuple[slice, bool]]:
    """Slices of [0, height) that together are the rows [start, stop), each with whether it is beyond a pole.

    A slice beyond a pole is in reverse order.
    """
    while start < stop:
        turn, first = divmod(start, height)
        count = min(stop - start, height - first)
        if turn % 2:
            yield slice(height - first - count, height - first), True
        else:
            yield slice(first, first + count), False
        start += count
