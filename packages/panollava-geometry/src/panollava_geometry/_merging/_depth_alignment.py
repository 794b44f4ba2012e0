"""Relative depth of overlapping views, brought to one scale: least squares over the directions that two views see.

Most depth models return depth, or inverse depth, of each image up to a factor (and, for inverse depth, a shift) of its
own (Ranftl et al., Towards Robust Monocular Depth Estimation, https://arxiv.org/abs/1907.01341).
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._projections._pasting import paste_views

_HEIGHT = 128  # of the panorama whose pixels are the directions that are compared
_MAX_VIEWS = 1000
_RIDGE = 1e-9  # for flat depth, where scale and shift cannot be separated: keep the scale


def align_views(
    values: Float[Tensor, "batch views 1 height width"],
    ones: Float[Tensor, "views 1 height width"],
    plan: ViewPlan,
    shift: bool,
) -> Float[Tensor, "batch views 1 height width"]:
    """Scale the values of each view so that overlapping views agree. Differentiable.

    Without a shift, the differences of the logarithms are smallest, so factors are positive, and their geometric mean
    is 1. With a shift, the aligned values are `a · values + b · ones`, their differences are smallest, and the mean of
    all `a` is 1. If a shift of all views changes nothing (`ones` are 1), the mean of all `b` is 0.

    Args:
        values: Depth or inverse depth along the rays.
        ones: What a shift of 1 adds: 1 for values along the rays, otherwise the factor from z to radial values.
        plan: The views.
        shift: Solve for a shift in addition to the scale.

    Raises:
        PanoramaError: The views do not overlap, or contradict each other, or have no positive or finite values.
    """
    if len(plan) > _MAX_VIEWS:
        raise PanoramaError(f"align takes at most {_MAX_VIEWS} views, got {len(plan)}: use fewer or wider views")
    if len(plan) == 1:
        return values
    samples, steps, weight = _samples(values, ones, plan)
    valid = (torch.isfinite(samples) & (True if shift else samples > 0)) & (weight > 0)
    weight = torch.where(valid, weight, 0)
    weight = torch.where((weight > 0).sum(1, keepdim=True) > 1, weight, 0)
    _check_connected(weight, shift)
    if not shift:
        factors = _scales(torch.where(valid, samples, 1).log(), weight).exp()
        return values * factors.to(values.dtype)[:, :, None, None, None]
    uniform = bool((ones == 1).all())
    scale, offset = _scales_and_shifts(torch.where(valid, samples, 0), steps, weight, uniform)
    lowest = float(scale.detach().amin())
    if not lowest > 0:
        number = int(scale.detach().amin(0).argmin())
        raise PanoramaError(
            f"align='scale_shift' gives view {number} the scale {short(round(lowest, 4))}, which must be positive: the "
            "views contradict each other where they overlap; use align='scale', or a plan with more overlap"
        )
    scale, offset = (factor.to(values.dtype)[:, :, None, None, None] for factor in (scale, offset))
    return values * scale + offset * ones


def _samples(
    values: Float[Tensor, "batch views 1 height width"], ones: Float[Tensor, "views 1 height width"], plan: ViewPlan
) -> tuple[
    Float[Tensor, "batch views directions"], Float[Tensor, "views directions"], Float[Tensor, "views directions"]
]:
    """Values, `ones` and weights of each view at the pixels of a small panorama. Weights are solid angles, 0 unseen."""
    height = _HEIGHT if len(plan) <= 64 else _HEIGHT // 2
    latitude = (np.arange(height) + 0.5) * np.pi / height
    area = torch.from_numpy(np.sin(latitude)).to(values.device)[:, None]
    samples, steps, weights = [], [], []
    for number, view in enumerate(plan):
        both = torch.cat([values[:, number], ones[None, number]])[:, None].double()
        pasted, counts = paste_views(both, view, height)
        samples.append(pasted[:-1].flatten(1))
        steps.append(pasted[-1].flatten())
        weights.append((counts * area).flatten())
    return torch.stack(samples, 1), torch.stack(steps), torch.stack(weights)


def _check_connected(weight: Float[Tensor, "batch views directions"], shift: bool) -> None:
    for seen in (weight > 0).double():
        touching = (seen @ seen.T > 0).cpu().numpy() | np.eye(len(seen), dtype=bool)
        reached = touching[0]
        while (wider := touching[reached].any(axis=0)).sum() > reached.sum():
            reached = wider
        if not reached.all():
            alone = np.flatnonzero(~reached).tolist()
            kind = "finite" if shift else "positive"
            raise PanoramaError(
                f"align needs views that overlap with {kind} values, but {len(alone)} of {len(seen)} views have no "
                f"overlap with the others: {short(alone)}; use a plan with overlap, or align=None"
            )


def _scales(
    logarithm: Float[Tensor, "batch views directions"], weight: Float[Tensor, "batch views directions"]
) -> Float[Tensor, "batch views"]:
    """The logarithms of the factors: minimise Σ w (s_v + g_v − mean)² over directions and views, with Σ s = 0."""
    total = weight.sum(1, keepdim=True).clamp(min=1e-300)
    laplacian = torch.diag_embed(weight.sum(-1)) - (weight / total) @ weight.mT
    mean = (weight * logarithm).sum(1, keepdim=True) / total
    residual = (weight * (mean - logarithm)).sum(-1)
    size = laplacian.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    scales: Tensor = torch.linalg.solve(laplacian + size / weight.shape[1], residual)
    return scales


def _scales_and_shifts(
    values: Float[Tensor, "batch views directions"],
    steps: Float[Tensor, "views directions"],
    weight: Float[Tensor, "batch views directions"],
    uniform: bool,
) -> tuple[Float[Tensor, "batch views"], Float[Tensor, "batch views"]]:
    """Minimise Σ w (a_v p_v + b_v q_v − mean)², with a mean scale of 1 and, if `uniform`, a mean shift of 0."""
    count = weight.shape[1]
    square = (weight * values.square()).sum((1, 2)) / weight.sum((1, 2))
    size = torch.where(square > 0, square, 1).sqrt()[:, None]
    basis = torch.cat([values / size[..., None], steps.expand_as(values)], 1)
    twice = torch.cat([weight, weight], 1)
    total = weight.sum(1, keepdim=True).clamp(min=1e-300)
    own = (twice * basis) @ basis.mT
    block = torch.eye(count, dtype=own.dtype, device=own.device).repeat(2, 2)
    normal = own * block - (twice / total * basis) @ (twice * basis).mT
    ridge = _RIDGE * normal.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None]
    normal = normal + torch.diag_embed(ridge.expand(-1, 2 * count))
    start = torch.cat([torch.ones(count), torch.zeros(count)]).to(normal)
    rows = torch.stack([start, 1 - start])[: 2 if uniform else 1] / count
    rows = rows.expand(len(normal), -1, -1)
    corner = rows.new_zeros(len(rows), rows.shape[1], rows.shape[1])
    system = torch.cat([torch.cat([normal, rows.mT], 2), torch.cat([rows, corner], 2)], 1)
    target = torch.cat([ridge * start, rows.new_tensor([1.0, 0.0])[: rows.shape[1]].expand(len(rows), -1)], 1)
    solved = torch.linalg.solve(system, target)
    return solved[:, :count], solved[:, count : 2 * count] * size
