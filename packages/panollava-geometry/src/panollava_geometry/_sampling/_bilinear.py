"""Bilinear reads of full panoramas at any places. No step depends on the places, so torch.compile traces all of it."""

from jaxtyping import Float, Shaped
from torch import Tensor


def read_bilinear(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    x: Float[Tensor, "members points"],
    y: Float[Tensor, "members points"],
) -> Float[Tensor, "batch channels points"]:
    """Read panoramas at continuous pixel coordinates. Columns wrap around, rows continue over the poles.

    Args:
        erp: The panoramas.
        x: Columns; the centre of pixel c is at c + ½. One row of points per panorama, or one row for all of them.
        y: Rows, from 0 to the height.

    Returns:
        The values, in float32, or in float64 for float64 panoramas. Differentiable with respect to everything.
    """
    height, width = erp.shape[-2:]
    x, y = x - 0.5, y - 0.5
    left, top = x.detach().floor(), y.detach().floor()
    flat = erp.flatten(-2)
    dtype = flat.dtype if flat.element_size() == 8 else None
    right_part, lower_part = x - left, y - top
    first, row = left.long(), top.long()
    rows = []
    for over in (0, 1):
        column, line = first, row + over
        beyond = (line < 0) | (line >= height)
        column = column + beyond * (width // 2)
        line = line.clamp(0, height - 1)
        pair = [_take(flat, line * width + (column + shift) % width) for shift in (0, 1)]
        pair = [values if dtype else values.float() for values in pair]
        rows.append(pair[0] + (pair[1] - pair[0]) * right_part[:, None].to(pair[0].dtype))
    return rows[0] + (rows[1] - rows[0]) * lower_part[:, None].to(rows[0].dtype)


def _take(flat: Shaped[Tensor, "batch channels pixels"], index: Tensor) -> Shaped[Tensor, "batch channels points"]:
    if len(index) == 1:
        return flat.index_select(-1, index[0])
    return flat.gather(-1, index[:, None].expand(-1, flat.shape[1], -1))
