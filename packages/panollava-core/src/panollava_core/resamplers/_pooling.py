"""Fewer tokens by averaging neighbours on the view's grid."""

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from panollava_core.resamplers._base import Grid


def pool_tokens(tokens: Tensor, grid: Grid, output_grid: Grid) -> Tensor:
    """Average-pool `[N, S, D]` tokens from one grid to another, row by row."""
    if grid == output_grid:
        return tokens
    image = tokens.transpose(1, 2).unflatten(2, grid)
    return adaptive_avg_pool2d(image, output_grid).flatten(2).transpose(1, 2)
