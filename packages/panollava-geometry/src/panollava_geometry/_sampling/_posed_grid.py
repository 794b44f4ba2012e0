"""The sampled grids of camera poses in torch: what `_sampled_grid` plans, differentiable by angles and fields of view.

The choices that have no derivative (how far the patch is reduced, how many points a pixel has, which rows are smoothed)
are those of `_sampled_grid` for the same values. The places of the points are functions of the angles.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panollava_geometry._sampling._patch import Patch, patch_around, polar_width
from panollava_geometry._sampling._sampled_grid import MAX_POINTS
from panollava_geometry._views._sphere_tensors import rays_to_equirect, rotation_tensor
from panollava_geometry._views._view_base import pixel_centres

#: Smallest variance in output pixels whose square root has a derivative; below it, the derivative is cut to zero.
_TINY = 1e-8


@dataclass(frozen=True, eq=False)
class PosedGrid:
    """Read a reduced patch bilinearly at `points` x `points` places per output pixel, and average them.

    The places are pixels of the reduced patch; the centre of its first pixel is 0. The columns of the patch count from
    the anchor, a column of the panorama.
    """

    patch: Patch
    anchor: int
    points: int
    x: Float[Tensor, "rows columns"]
    y: Float[Tensor, "rows columns"]


@dataclass(frozen=True, eq=False)
class _Cameras:
    """Cameras at the centre of the sphere, one per row. The yaw is the remainder beyond the anchor."""

    rotation: Float[Tensor, "views 3 3"]
    half: Float[Tensor, "views 2"]
    size: tuple[int, int]
    align_corners: bool

    def rays(self, xy: Float[Tensor, "views *grid 2"]) -> tuple[Tensor, Tensor, Tensor]:
        """Rays of pixel coordinates, of any length."""
        height, width = self.size
        u, v = xy[..., 0], xy[..., 1]
        if self.align_corners:
            u, v = 2 * (u - 0.5) / max(width - 1, 1) - 1, 2 * (v - 0.5) / max(height - 1, 1) - 1
        else:
            u, v = 2 * u / width - 1, 2 * v / height - 1
        ones = (1,) * (xy.ndim - 2)
        x, y = u * self.half[:, 0].reshape(-1, *ones), -v * self.half[:, 1].reshape(-1, *ones)
        r = self.rotation.reshape(-1, *ones, 3, 3)
        right, up, forward = (r[..., axis, 0] * x + r[..., axis, 1] * y + r[..., axis, 2] for axis in range(3))
        return right, up, forward


def pixel_rays(
    angles: Float[Tensor, "views 5"], size: tuple[int, int], align_corners: bool
) -> tuple[
    Float[Tensor, "views height width"], Float[Tensor, "views height width"], Float[Tensor, "views height width"]
]:
    """Rays (x, y, z) of all pixel centres, of any length.

    Args:
        angles: Yaw, pitch, roll, horizontal and vertical field of view in degrees.
        size: Height and width of the views.
        align_corners: The field of view spans the centres of the outer pixels.
    """
    centres = torch.from_numpy(pixel_centres(size)).to(angles)
    return _cameras(angles, size, align_corners).rays(centres[None])


def _cameras(angles: Float[Tensor, "views 5"], size: tuple[int, int], align_corners: bool) -> _Cameras:
    yaw, pitch, roll = angles[:, :3].unbind(-1)
    half = torch.tan(torch.deg2rad(angles[:, 3:]) / 2)
    return _Cameras(rotation_tensor(yaw, pitch, roll), half, size, align_corners)


def plan_posed_grids(
    angles: Float[Tensor, "views 5"], size: tuple[int, int], erp: tuple[int, int], align_corners: bool
) -> list[PosedGrid]:
    """Plan the antialiased grids of poses.

    Args:
        angles: Yaw, pitch, roll, horizontal and vertical field of view in degrees.
        size: Height and width of the views.
        erp: Height and width of the panoramas.
        align_corners: The field of view spans the centres of the outer pixels.
    """
    height, width = erp
    columns = [math.floor(yaw / 360 * width + 0.5) for yaw in angles[:, 0].tolist()]
    whole = torch.tensor(columns, dtype=angles.dtype, device=angles.device) * (360 / width)
    cameras = _cameras(torch.cat([angles[:, :1] - whole[:, None], angles[:, 1:]], dim=1), size, align_corners)
    jacobian, cosine = _local_scale(cameras)
    jacobian = jacobian * (height / math.pi)
    scales = [_scale(low, high, least, width) for low, high, least in _extremes(jacobian, cosine).tolist()]
    spread = _spread(jacobian, *_variances(scales, cosine))
    added = torch.stack([spread[0], spread[2]]).detach().amax(dim=(0, 2, 3)).tolist()
    counts = [scale.points if most > 1e-6 else 1 for scale, most in zip(scales, added, strict=True)]
    places = [
        _posed_places(cameras, index, [part[index] for part in spread], points, erp)
        for index, points in enumerate(counts)
    ]
    limits = torch.stack([torch.stack([x.min(), x.max(), y.min(), y.max()]) for x, y in places]).detach().tolist()
    grids = []
    for (x, y), limit, scale, points, column in zip(places, limits, scales, counts, columns, strict=True):
        left, right, upper, lower = (value / scale.level for value in limit)
        patch = patch_around((left, right), (upper, lower), erp, scale.level, scale.polar)
        x = (x - patch.columns[0]) / scale.level - 0.5 + patch.wrap_columns
        y = (y - patch.rows[0]) / scale.level - 0.5 + patch.pole_rows[0]
        grids.append(PosedGrid(patch, (column + width // 2) % width, points, x, y))
    return grids


@dataclass(frozen=True)
class _Scale:
    """The choices of `_sampled_grid` for one view, and the variance of its block means and interpolation."""

    level: int
    points: int
    polar: bool
    variance: float


def _scale(smallest: float, largest: float, least_cosine: float, erp_width: int) -> _Scale:
    """Choose as `_sampled_grid` does, from the extremes of the pixels of a view."""
    level = 2 ** max(0, math.floor(math.log2(max(smallest, largest / (2 * MAX_POINTS), 1))))
    while erp_width % (2 * level) and level > 1:
        level //= 2
    points = min(max(2, math.ceil(largest / (2 * level))), MAX_POINTS)
    return _Scale(level, points, smallest >= 1 and least_cosine < 0.5, (level**2 - 1) / 12 + level**2 / 6)


def _extremes(
    jacobian: Float[Tensor, "views 2 2 height width"], cosine: Float[Tensor, "views height width"]
) -> Float[Tensor, "views 3"]:
    """The smallest and largest singular value, and the smallest cosine of the latitude, of every view."""
    jacobian = jacobian.detach()
    half_trace = (jacobian**2).sum(dim=(1, 2)) / 2
    determinant = jacobian[:, 0, 0] * jacobian[:, 1, 1] - jacobian[:, 0, 1] * jacobian[:, 1, 0]
    spread = (half_trace**2 - determinant**2).clamp_min(0).sqrt()
    low, high = (half_trace - spread).clamp_min(0).sqrt(), (half_trace + spread).sqrt()
    return torch.stack([low.amin((1, 2)), high.amax((1, 2)), cosine.detach().amin((1, 2))], dim=1)


def _local_scale(
    cameras: _Cameras,
) -> tuple[Float[Tensor, "views 2 2 height width"], Float[Tensor, "views height width"]]:
    """Derivative of (east, north) in radians with respect to (x, y), and the cosine of the latitude, at every pixel."""
    y, x = (torch.arange(side + 1).to(cameras.half) for side in cameras.size)
    y, x = torch.meshgrid(y, x, indexing="ij")
    corner = torch.stack(cameras.rays(torch.stack([x, y], dim=-1)[None]))
    corner = corner / (corner * corner).sum(dim=0).sqrt()
    along_x = corner[..., 1:] - corner[..., :-1]
    along_y = corner[..., 1:, :] - corner[..., :-1, :]
    centre = corner[..., 1:, 1:] + corner[..., :-1, :-1] + corner[..., 1:, :-1] + corner[..., :-1, 1:]
    centre = centre / (centre * centre).sum(dim=0).sqrt()
    square = centre[0] ** 2 + centre[2] ** 2
    at_pole = square < 1e-18  # east and north are not defined there, so those of longitude 0 are used
    radius = torch.where(at_pole, 1e-9, torch.sqrt(torch.where(at_pole, 1.0, square)))
    rows = []
    for step in ((along_x[..., 1:, :] + along_x[..., :-1, :]) / 2, (along_y[..., 1:] + along_y[..., :-1]) / 2):
        east = torch.where(at_pole, step[0], (centre[2] * step[0] - centre[0] * step[2]) / radius)
        north = torch.where(at_pole, -centre[1] * step[2], step[1] / radius)
        rows.append(torch.stack([east, north], dim=1))
    return torch.stack(rows, dim=2), radius


def _variances(
    scales: list[_Scale], cosine: Float[Tensor, "views height width"]
) -> tuple[Float[Tensor, "views height width"], Float[Tensor, "views 1 1"]]:
    """Variance of the reconstruction to the east and to the north, in pixels of the panorama."""
    level, north = (
        torch.tensor(values, dtype=cosine.dtype, device=cosine.device)[:, None, None]
        for values in ([float(scale.level) for scale in scales], [scale.variance for scale in scales])
    )
    smoothing = torch.ones_like(cosine)
    for index, scale in enumerate(scales):
        if scale.polar:
            widths = polar_width(np.array(cosine[index].detach().flatten().tolist()))
            smoothing[index] = torch.from_numpy(widths).to(smoothing).reshape(smoothing[index].shape)
    return (north + level**2 * (smoothing**2 - 1) / 12) * cosine**2, north


def _spread(
    jacobian: Float[Tensor, "views 2 2 height width"],
    east_variance: Float[Tensor, "views height width"],
    north_variance: Float[Tensor, "views 1 1"],
) -> tuple[
    Float[Tensor, "views height width"], Float[Tensor, "views height width"], Float[Tensor, "views height width"]
]:
    """Symmetric square root (xx, xy, yy) of the covariance that the points must add, in output pixels.

    The root of M with the roots of its eigenvalues a >= b is (M + ab) / (a + b), and where the smaller eigenvalue m is
    negative, and taken for 0, it is (M - m) a / (a² - m). Unlike the formula with a - b, both have derivatives where
    the eigenvalues are equal.
    """
    east_x, east_y, north_x, north_y = (jacobian[:, i, j] for i in (0, 1) for j in (0, 1))
    square = ((east_x * north_y - east_y * north_x) ** 2).clamp_min(1e-30)
    xx = 1 / 12 - (north_y**2 * east_variance + east_y**2 * north_variance) / square
    xy = (north_x * north_y * east_variance + east_x * east_y * north_variance) / square
    yy = 1 / 12 - (north_x**2 * east_variance + east_x**2 * north_variance) / square
    middle = (xx + yy) / 2
    apart = ((((xx - yy) / 2) ** 2 + xy**2).clamp_min(1e-30)).sqrt()
    low, high = _root(middle - apart), _root(middle + apart)
    both = middle - apart > 0
    some = middle + apart > 0
    slope = torch.where(both, 1 / torch.where(both, low + high, 1.0), high / (2 * apart))
    offset = torch.where(both, low * high, apart - middle) * slope
    zero = torch.zeros_like(slope)
    slope, offset = torch.where(some, slope, zero), torch.where(some, offset, zero)
    return offset + slope * xx, slope * xy, offset + slope * yy


def _root(values: Float[Tensor, "*grid"]) -> Float[Tensor, "*grid"]:
    """Square root of the positive part. Its derivative is 0 where the value is almost 0 instead of almost infinite."""
    large = values > _TINY
    return torch.where(large, torch.where(large, values, 1.0).sqrt(), values.detach().clamp_min(0).sqrt())


def _posed_places(
    cameras: _Cameras, index: int, spread: list[Tensor], points: int, erp: tuple[int, int]
) -> tuple[Float[Tensor, "rows columns"], Float[Tensor, "rows columns"]]:
    """Where one view is read, in pixels of the panorama: columns from the anchor, rows from the top."""
    height, width = cameras.size
    one = _Cameras(cameras.rotation[index, None], cameras.half[index, None], cameras.size, cameras.align_corners)
    centres = torch.from_numpy(pixel_centres(cameras.size)).to(cameras.half)[:, None, :, None]
    if points > 1:
        unit = (torch.arange(points).to(cameras.half) + 0.5) / points - 0.5
        unit = unit / math.sqrt((1 - 1 / points**2) / 12)
        u, v = unit, unit[:, None, None]
        xx, xy, yy = (part[:, None, :, None] for part in spread)
        centres = centres + torch.stack([xx * u + xy * v, xy * u + yy * v], dim=-1)
    x, y = rays_to_equirect(*one.rays(centres[None]), erp)
    return x.reshape(height * points, width * points), y.reshape(height * points, width * points)
