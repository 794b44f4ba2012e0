"""The views of tensors, from the fastest exact backend."""

from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from panollava_geometry._arrays._options import Backend
from panollava_geometry._arrays._sizes import check_result
from panollava_geometry._arrays._tensors import cast_like, check_panorama
from panollava_geometry._errors import PanoramaError
from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._projections._array_views import extract_arrays, is_small
from panollava_geometry._projections._many_plans import Reading
from panollava_geometry._sampling import _opencv_backend as opencv_backend
from panollava_geometry._sampling import _py360convert_backend as py360convert_backend
from panollava_geometry._sampling import _torch_backend as torch_backend
from panollava_geometry._sampling._nearest import read_views as read_nearest
from panollava_geometry._sampling._resampling import ResamplingMap, find_resampling_maps
from panollava_geometry._sampling._separable_filter import SeparableFilter
from panollava_geometry._views._perspective_view import PerspectiveView


def extract_from_tensor(
    reading: Reading, erp: Any, plan: ViewPlan
) -> Shaped[Tensor, "*batch views channels height width"]:
    """`extract_views` of one plan and of tensors.

    Raises:
        PanoramaError: As `extract_views`.
    """
    if reading.interpolation == "nearest":
        return _nearest(erp, plan, reading.size, reading.align_corners, reading.backend)
    return _extract(erp, plan, reading.size, reading.antialias, reading.align_corners, reading.backend)


def _nearest(
    erp: Any, plan: ViewPlan, size: tuple[int, int], align_corners: bool, backend: str
) -> Shaped[Tensor, "*batch views channels height width"]:
    _check_backend(backend)
    if backend not in ("auto", "torch"):
        raise PanoramaError(f"backend={backend!r} has no interpolation='nearest': use backend='auto' or 'torch'")
    check_panorama(erp)
    check_result(len(plan), size, erp.shape[-3], erp.element_size())
    flat = erp.reshape(-1, *erp.shape[-3:])
    if torch.compiler.is_compiling():
        from panollava_geometry._projections._untraced import read_nearest as read_untraced

        views = read_untraced(flat, plan.views, size, align_corners)
    else:
        views = read_nearest(flat, plan.views, size, align_corners)
    views = _without_hidden(views, plan, size, align_corners)
    return views.reshape(*erp.shape[:-3], *views.shape[1:])


def _extract(
    erp: Any, plan: ViewPlan, view_size: tuple[int, int], antialias: bool, align_corners: bool, backend: str
) -> Shaped[Tensor, "*batch views channels height width"]:
    _check(erp, backend)
    check_result(len(plan), view_size, erp.shape[-3], erp.element_size())
    *batch, channels, height, width = erp.shape
    flat = erp.reshape(-1, channels, height, width)
    known = opencv_is_possible(erp) if backend == "auto" and is_small(width) else None
    if backend == "opencv" or known:
        views = _by_opencv(flat, plan, view_size, antialias, align_corners)
    else:
        maps = _find_maps(plan, view_size, (height, width), antialias, align_corners, erp.dtype == torch.float64)
        if backend == "auto" and known is None and _opencv_applies(erp, [resampling for resampling, _ in maps]):
            views = _by_opencv(flat, plan, view_size, antialias, align_corners)
        elif backend == "py360convert":
            views = _by_py360convert(flat, plan, maps, view_size, antialias, align_corners)
        else:
            views = _by_torch(flat, maps)
    views = _without_hidden(views, plan, view_size, align_corners)
    return views.reshape(*batch, len(plan), channels, *view_size)


def _without_hidden(
    views: Shaped[Tensor, "batch views channels height width"],
    plan: ViewPlan,
    size: tuple[int, int],
    align_corners: bool,
) -> Shaped[Tensor, "batch views channels height width"]:
    """The views, black where they show nothing: outside the circle of a fisheye image."""
    visible = [view.visible(size, align_corners=align_corners) for view in plan]
    if all(mask is None for mask in visible):
        return views
    everything = np.ones(size, bool)
    shown = torch.from_numpy(np.stack([everything if mask is None else mask for mask in visible]))
    return torch.where(
        shown[None, :, None].to(views.device), views, torch.zeros((), dtype=views.dtype, device=views.device)
    )


def _find_maps(
    plan: ViewPlan, size: tuple[int, int], erp: tuple[int, int], antialias: bool, align_corners: bool, precise: bool
) -> list[tuple[ResamplingMap, int]]:
    """The resampling maps of a plan. Planning uses numpy and a cache, so torch.compile must not trace it."""
    if torch.compiler.is_compiling():
        from panollava_geometry._projections._untraced import find_resampling_maps as find_untraced

        return find_untraced(plan, size, erp, antialias, align_corners, precise)
    return find_resampling_maps(plan, size, erp, antialias, align_corners, precise)


def _check_backend(backend: str) -> None:
    if backend not in get_args(Backend):
        raise PanoramaError(f"unknown backend {backend!r}: choose from {', '.join(get_args(Backend))}")


def _check(erp: Tensor, backend: str) -> None:
    _check_backend(backend)
    check_panorama(erp)
    if erp.dtype != torch.uint8 and not erp.is_floating_point():
        raise PanoramaError(
            f"a panorama must be uint8 or floating point, got {erp.dtype}: convert it first, or pass "
            "interpolation='nearest' for labels and masks"
        )


def opencv_is_possible(erp: Tensor) -> bool:
    """Whether OpenCV reads panoramas of this dtype, device and number of channels as exactly as torch."""
    return (
        erp.dtype == torch.uint8
        and erp.device.type == "cpu"
        and erp.shape[-3] <= 4
        and not torch.compiler.is_compiling()
        and opencv_backend.is_exact()
    )


def _opencv_applies(erp: Tensor, maps: list[ResamplingMap]) -> bool:
    return opencv_is_possible(erp) and all(opencv_backend.fits(resampling) for resampling in maps)


def _by_torch(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"], maps: list[tuple[ResamplingMap, int]]
) -> Shaped[Tensor, "batch views channels height width"]:
    views = torch.stack([torch_backend.sample(erp, resampling, anchor) for resampling, anchor in maps], dim=1)
    return cast_like(views, erp)


def _by_opencv(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    plan: ViewPlan,
    size: tuple[int, int],
    antialias: bool,
    align_corners: bool,
) -> Shaped[Tensor, "batch views channels height width"]:
    if erp.dtype != torch.uint8 or erp.device.type != "cpu" or erp.shape[1] > 4:
        raise PanoramaError(
            f"backend='opencv' takes uint8 panoramas with at most 4 channels on the CPU, got {erp.dtype} with "
            f"{erp.shape[1]} channels on {erp.device}: use backend='torch'"
        )
    if not opencv_backend.is_installed():
        raise PanoramaError("backend='opencv' needs OpenCV: pip install 'panollava-geometry[opencv]'")
    # Only the patches that a view needs are copied, so channels-first memory is not reordered here.
    images = erp.permute(0, 2, 3, 1).numpy()
    views = extract_arrays(images, plan, size, antialias, align_corners)
    return torch.from_numpy(views).permute(0, 1, 4, 2, 3)


def _by_py360convert(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    plan: ViewPlan,
    maps: list[tuple[ResamplingMap, int]],
    size: tuple[int, int],
    antialias: bool,
    align_corners: bool,
) -> Shaped[Tensor, "batch views channels height width"]:
    if erp.dtype == torch.bfloat16 or erp.device.type != "cpu" or erp.requires_grad:
        raise PanoramaError(
            f"backend='py360convert' takes CPU tensors without gradients that numpy supports, got {erp.dtype} on "
            f"{erp.device}: use backend='torch'"
        )
    views = []
    for view, (resampling, anchor) in zip(plan, maps, strict=True):
        if isinstance(resampling, SeparableFilter):
            views.append(_by_torch(erp, [(resampling, anchor)])[:, 0])
        elif isinstance(view, PerspectiveView) and view.principal_point == (0.5, 0.5) and not antialias:
            images = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in erp]
            read = [py360convert_backend.perspective(image, view, size, align_corners) for image in images]
            views.append(torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2))
        else:
            patches = torch_backend.reduced_patch(erp, resampling.patch, anchor).numpy()
            means = np.stack([py360convert_backend.read_grid(patch, resampling) for patch in patches])
            views.append(cast_like(torch.from_numpy(means), erp))
    return torch.stack(views, dim=1)
