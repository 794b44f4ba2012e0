"""Views of tensors of poses, differentiable by the angles and fields of view."""

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from panollava_geometry._sampling import _torch_backend as torch_backend
from panollava_geometry._sampling._bilinear import read_bilinear
from panollava_geometry._sampling._posed_grid import PosedGrid, pixel_rays, plan_posed_grids
from panollava_geometry._views._sphere_tensors import rays_to_equirect

#: Most pixels whose grids are computed at a time.
_CHUNK = 2**18
#: From this number of pixels on, the grids are computed again for the gradient instead of being kept.
_RECOMPUTE = 2**18


def read_views(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    angles: Float[Tensor, "sets views 5"],
    size: tuple[int, int],
    antialias: bool,
    align_corners: bool,
) -> Float[Tensor, "batch views channels height width"]:
    """Read the views of poses.

    Args:
        erp: The panoramas.
        angles: Yaw, pitch, roll, horizontal and vertical field of view in degrees, on the device of the panoramas: one
            set of views per panorama, or one set for all of them.
        size: Height and width of the views.
        antialias: Average over the footprint of each pixel.
        align_corners: The field of view spans the centres of the outer pixels.

    Returns:
        The views in float32, or in float64 for float64 panoramas.
    """
    if antialias:
        return _antialiased(erp, angles, size, align_corners)
    together = max(1, _CHUNK // (len(angles) * size[0] * size[1]))
    parts = torch.split(angles, together, dim=1)
    if len(parts) == 1 or torch.compiler.is_compiling():
        return _at_centres(erp, angles, size, align_corners)
    read = [
        checkpoint(_at_centres, erp, part, size, align_corners, use_reentrant=False, preserve_rng_state=False)
        for part in parts
    ]
    return torch.cat(read, dim=1)


def _at_centres(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    angles: Float[Tensor, "sets views 5"],
    size: tuple[int, int],
    align_corners: bool,
) -> Float[Tensor, "batch views channels height width"]:
    """Read one point per pixel, at its centre."""
    sets, views = angles.shape[:2]
    shape = (sets, views * size[0] * size[1])
    x, y = rays_to_equirect(*pixel_rays(angles.flatten(0, 1), size, align_corners), (erp.shape[-2], erp.shape[-1]))
    read = read_bilinear(erp, x.reshape(shape) + erp.shape[-1] / 2, y.reshape(shape))
    return read.reshape(*read.shape[:2], views, *size).transpose(1, 2)


def _antialiased(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    angles: Float[Tensor, "sets views 5"],
    size: tuple[int, int],
    align_corners: bool,
) -> Float[Tensor, "batch views channels height width"]:
    sets, views = angles.shape[:2]
    flat = angles.flatten(0, 1)
    together = max(1, _CHUNK // (size[0] * size[1]))
    many = flat.shape[0] * size[0] * size[1] >= _RECOMPUTE
    read: list[Tensor] = []
    for part in torch.split(flat, together):
        options = (part, size, (erp.shape[-2], erp.shape[-1]), align_corners)
        grids = _recomputed(*options) if many else plan_posed_grids(*options)
        for grid in grids:
            member = len(read) // views
            read.append(_read(erp if sets == 1 else erp[member : member + 1], grid))
    stacked = torch.stack(read, dim=1)
    return stacked if sets == 1 else stacked.reshape(sets, views, *stacked.shape[2:])


def _recomputed(*options: object) -> list[PosedGrid]:
    """The grids of `plan_posed_grids`. Their derivatives are computed from the angles alone, to save memory."""
    kept: list[PosedGrid] = []

    def places(*options: object) -> list[Tensor]:
        kept[:] = plan_posed_grids(*options)  # type: ignore[arg-type]  # the options of the caller
        return [part for grid in kept for part in (grid.x, grid.y)]

    parts = checkpoint(places, *options, use_reentrant=False, preserve_rng_state=False)
    return [
        PosedGrid(grid.patch, grid.anchor, grid.points, x, y)
        for grid, x, y in zip(list(kept), parts[::2], parts[1::2], strict=True)
    ]


def _read(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"], grid: PosedGrid
) -> Float[Tensor, "batch channels height width"]:
    image = torch_backend.reduced_patch(erp, grid.patch, grid.anchor)
    rows, columns = image.shape[-2:]
    places = torch.stack([(2 * grid.x + 1) / columns - 1, (2 * grid.y + 1) / rows - 1], dim=-1).to(image.dtype)
    places = places.expand(image.shape[0], -1, -1, -1)
    read = functional.grid_sample(image, places, mode="bilinear", padding_mode="border", align_corners=False)
    return functional.avg_pool2d(read, grid.points) if grid.points > 1 else read
