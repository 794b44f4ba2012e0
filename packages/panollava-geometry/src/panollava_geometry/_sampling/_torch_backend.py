"""The torch backend: any floating-point dtype and any device, differentiable with respect to the image."""

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Shaped
from torch import Tensor

from panollava_geometry._sampling._patch import Patch
from panollava_geometry._sampling._resampling import ResamplingMap
from panollava_geometry._sampling._sampled_grid import SampledGrid
from panollava_geometry._sampling._separable_filter import SeparableFilter
from panollava_geometry._sampling._wraparound import cut_tensor


def _block_means(
    image: Float[Tensor, "batch channels rows columns"], rows: int, columns: int
) -> Float[Tensor, "batch channels _ _"]:
    """Means of blocks of `rows` x `columns` pixels, both powers of two.

    Sums of slices take a tenth of the time of `avg_pool2d`, which first copies a patch that is not contiguous.
    """
    blocks = rows * columns
    while rows > 1 or columns > 1:
        if rows > 1:
            image, rows = image[..., ::2, :] + image[..., 1::2, :], rows // 2
        if columns > 1:
            pairs = image.reshape(*image.shape[:-1], image.shape[-1] // 2, 2)
            image, columns = pairs[..., 0] + pairs[..., 1], columns // 2
    return image / blocks if blocks > 1 else image


def _reduce(image: Float[Tensor, "batch channels rows columns"], patch: Patch) -> Float[Tensor, "batch channels _ _"]:
    """Apply block means, polar smoothing, and the extension of a full turn."""
    image = _block_means(image, patch.reduce_rows, patch.reduce_columns)
    if patch.polar_bands:
        parts, done = [], 0
        for first, last, width in patch.polar_bands:
            half = width // 2
            band = image[..., first:last, :]
            band = functional.pad(band, (half, half, 0, 0), mode="circular" if patch.full_turn else "replicate")
            parts += [image[..., done:first, :], functional.avg_pool2d(band, (1, width), stride=1)]
            done = last
        image = torch.cat([*parts, image[..., done:, :]], dim=-2)
    above, below = patch.pole_rows
    if above or below:
        half, rows = image.shape[-1] // 2, image.shape[-2]
        over = (image[..., :above, :].flip(-2).roll(half, -1), image[..., rows - below :, :].flip(-2).roll(half, -1))
        image = torch.cat([over[0], image, over[1]], dim=-2)
    if patch.wrap_columns:
        image = functional.pad(image, (patch.wrap_columns, patch.wrap_columns, 0, 0), mode="circular")
    return image


def _read_grid(
    image: Float[Tensor, "batch channels rows columns"], grid: SampledGrid
) -> Float[Tensor, "batch channels height width"]:
    rows, columns = image.shape[-2:]
    scaled = []
    for positions, side in ((grid.x, columns), (grid.y, rows)):
        edge = torch.tensor(1 / side - 1, dtype=image.dtype, device=image.device)
        scaled.append(torch.add(edge, torch.as_tensor(positions).to(image.device, image.dtype), alpha=2 / side))
    places = torch.stack(scaled, dim=-1).expand(image.shape[0], -1, -1, -1)
    read = functional.grid_sample(image, places, mode="bilinear", padding_mode="border", align_corners=False)
    return functional.avg_pool2d(read, grid.points) if grid.points > 1 else read


def _read_separable(
    image: Float[Tensor, "batch channels rows columns"], separable: SeparableFilter
) -> Float[Tensor, "batch channels height width"]:
    for axis, index, weight in (
        (-2, separable.row_index, separable.row_weight),
        (-1, separable.column_index, separable.column_weight),
    ):
        taps = torch.as_tensor(index).to(image.device)
        weights = torch.as_tensor(weight).to(image.device, image.dtype)
        total = None
        for tap in range(index.shape[1]):
            factor = weights[:, tap, None] if axis == -2 else weights[:, tap]
            term = image.index_select(axis, taps[:, tap]) * factor
            total = term if total is None else total + term
        image = image if total is None else total
    return image


def reduced_patch(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"], patch: Patch, anchor: int
) -> Float[Tensor, "batch channels rows columns"]:
    """The reduced patch, in float32, or in float64 for float64 panoramas."""
    image = cut_tensor(erp, patch.rows, (patch.columns[0] + anchor, patch.columns[1] + anchor))
    return _reduce(image if image.dtype == torch.float64 else image.float(), patch)


def sample(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"], resampling: ResamplingMap, anchor: int
) -> Float[Tensor, "batch channels height width"]:
    """Read one view of every panorama, in float32, or in float64 for float64 panoramas."""
    image = reduced_patch(erp, resampling.patch, anchor)
    if isinstance(resampling, SampledGrid):
        return _read_grid(image, resampling)
    return _read_separable(image, resampling)
