"""The directions of the tokens of a plan's views."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panollava_geometry._arrays._sizes import Size, check_result, size_pair
from panollava_geometry._planning._plan import Views, as_plan


def view_rays(plan: Views, grid: Size) -> Float[Tensor, "views rows columns 3"]:
    """Compute the unit directions of the token centres of every view.

    Args:
        plan: The views: a plan, a list of views, or a single view.
        grid: Rows and columns of tokens per view, or one number for both.

    Returns:
        float32 rays `[V, H', W', 3]`: x right, y up, z forward.

    Raises:
        PanoramaError: The plan is not one, or the grid is invalid or too large.

    Example:
        >>> from panollava_geometry import plan_views, view_rays
        >>> view_rays(plan_views("e2p", num_views=4), 1)[:, 0, 0].round().int().tolist()
        [[0, 0, 1], [1, 0, 0], [0, 0, -1], [-1, 0, 0]]
    """
    rows_columns, views = size_pair(grid, "grid"), as_plan(plan)
    check_result(len(views), rows_columns, 3, 8, "grid")
    return torch.from_numpy(np.stack([view.rays(rows_columns) for view in views])).float()
