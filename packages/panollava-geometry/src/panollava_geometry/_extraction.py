"""`extract_views`: the views of panoramas, from the fastest exact backend."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args, overload

import numpy as np
import torch
from jaxtyping import Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._backends import opencv_backend, py360convert_backend, torch_backend
from panollava_geometry._containers import Interpolation, open_panorama
from panollava_geometry._errors import PanoramaError
from panollava_geometry._many_plans import Reading, is_several, read_several
from panollava_geometry._nearest import read_views as read_nearest
from panollava_geometry._perspective_view import PerspectiveView
from panollava_geometry._pillow import Image
from panollava_geometry._plan import ViewPlan, Views, as_plan
from panollava_geometry._poses import CameraPoses
from panollava_geometry._resampling import ResamplingMap, find_resampling_maps
from panollava_geometry._separable_filter import SeparableFilter
from panollava_geometry._sizes import Size, check_result, size_pair
from panollava_geometry._tensors import cast_like, check_panorama

Backend = Literal["auto", "torch", "opencv", "py360convert"]
#: One plan for all panoramas, poses as tensors, or one plan per panorama of a batch.
ViewsOrPoses = Views | CameraPoses | Sequence[Views]


@overload
def extract_views(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"],
    plan: ViewsOrPoses,
    size: Size,
    *,
    antialias: bool = True,
    align_corners: bool = False,
    interpolation: Interpolation = "bilinear",
    backend: Backend = "auto",
) -> Shaped[Tensor, "*batch views channels height width"]: ...
@overload
def extract_views(
    erp: Image,
    plan: ViewsOrPoses,
    size: Size,
    *,
    antialias: bool = True,
    align_corners: bool = False,
    interpolation: Interpolation = "bilinear",
    backend: Backend = "auto",
) -> list[Image]: ...
@overload
def extract_views(
    erp: ndarray,
    plan: ViewsOrPoses,
    size: Size,
    *,
    antialias: bool = True,
    align_corners: bool = False,
    interpolation: Interpolation = "bilinear",
    backend: Backend = "auto",
) -> ndarray: ...
def extract_views(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"] | ndarray | Image,
    plan: ViewsOrPoses,
    size: Size,
    *,
    antialias: bool = True,
    align_corners: bool = False,
    interpolation: Interpolation = "bilinear",
    backend: Backend = "auto",
) -> Any:
    """Extract the views of a plan from full equirectangular panoramas.

    A pixel of a view is the mean of the panorama over the pixel's footprint. With `antialias=False` it is the bilinear
    value at the pixel's centre. Longitude wraps around, latitude continues over the poles. Rolling the panorama by k
    columns gives exactly the same result as turning every view by k columns.

    Args:
        erp: Panoramas `[..., C, H, 2H]`, uint8 or floating point, on any device. Differentiable. Or NumPy
            arrays `[H, 2H]` or `[..., H, 2H, C]`, or a Pillow image. With `interpolation="nearest"`, any dtype.
        plan: The views: a plan, a list of views, or a single view.
        size: Height and width of every view in pixels, or one number for both.
        antialias: Average over the footprint of each pixel.
        align_corners: The field of view spans the centres of the outer pixels (the grid of py360convert) instead of
            their outer edges.
        interpolation: `bilinear`, or `nearest` for labels, masks and depth: each pixel of a view is the panorama pixel
            at its centre, unchanged, and nothing is averaged, whatever `antialias` is.
        backend: `torch` supports everything. `opencv` supports uint8 on the CPU (extra `[opencv]`). `py360convert`
            uses the sampling of that library on the CPU; it has no antialiased windows of the panorama, which are read
            by torch. `auto` uses `opencv` where possible if its remap is exact (OpenCV 5), otherwise `torch`.

    Returns:
        The views `[..., V, C, h, w]`, with the dtype and device of `erp`. Of arrays, arrays `[V, h, w]` or
        `[..., V, h, w, C]`. Of a Pillow image, a list of images of its mode, palette and colour profile.

    Raises:
        PanoramaError: The panorama is not a tensor or array, not 2:1, its dtype is not supported, the views are too
            large (more than 8192x8192 pixels, or 8 GB in total), or the backend is unknown or does not support this
            input.

    Example:
        >>> from panollava_geometry import extract_views, plan_views
        >>> panorama = torch.zeros(3, 256, 512, dtype=torch.uint8)
        >>> extract_views(panorama, plan_views("anyres_e2p"), 64).shape
        torch.Size([7, 3, 64, 64])
    """
    opened = open_panorama(erp, interpolation)
    chosen: Any = plan
    foreign = not isinstance(erp, Tensor)
    reading = Reading(size_pair(size), antialias, align_corners, interpolation, backend, foreign)
    if is_several(chosen):
        return opened.restore(read_several(opened.tensor, chosen, reading, partial(_one_plan, reading)))
    return opened.restore(_one_plan(reading, opened.tensor, as_plan(chosen)))


def _one_plan(reading: Reading, erp: Any, plan: ViewPlan) -> Shaped[Tensor, "*batch views channels height width"]:
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
        from panollava_geometry._untraced import read_nearest as read_untraced

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
    maps = _find_maps(plan, view_size, (height, width), antialias, align_corners, erp.dtype == torch.float64)
    if backend == "auto":
        backend = "opencv" if _opencv_applies(erp, [resampling for resampling, _ in maps]) else "torch"
    if backend == "opencv":
        views = _by_opencv(flat, maps, view_size)
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
        from panollava_geometry._untraced import find_resampling_maps as find_untraced

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


def _opencv_applies(erp: Tensor, maps: list[ResamplingMap]) -> bool:
    return (
        erp.dtype == torch.uint8
        and erp.device.type == "cpu"
        and erp.shape[-3] <= 4
        and not torch.compiler.is_compiling()
        and opencv_backend.is_exact()
        and all(opencv_backend.fits(resampling) for resampling in maps)
    )


def _by_torch(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"], maps: list[tuple[ResamplingMap, int]]
) -> Shaped[Tensor, "batch views channels height width"]:
    views = torch.stack([torch_backend.sample(erp, resampling, anchor) for resampling, anchor in maps], dim=1)
    return cast_like(views, erp)


def _by_opencv(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    maps: list[tuple[ResamplingMap, int]],
    size: tuple[int, int],
) -> Shaped[Tensor, "batch views channels height width"]:
    if erp.dtype != torch.uint8 or erp.device.type != "cpu" or erp.shape[1] > 4:
        raise PanoramaError(
            f"backend='opencv' takes uint8 panoramas with at most 4 channels on the CPU, got {erp.dtype} with "
            f"{erp.shape[1]} channels on {erp.device}: use backend='torch'"
        )
    if not opencv_backend.is_installed():
        raise PanoramaError("backend='opencv' needs OpenCV: pip install 'panollava-geometry[opencv]'")
    # Only the patches that a view needs are copied, so channels-first memory is not reordered here.
    images = [image.permute(1, 2, 0).numpy() for image in erp]
    views = np.empty((len(images), len(maps), *size, erp.shape[1]), np.uint8)
    for image, views_of_image in zip(images, views, strict=True):
        for index, (resampling, anchor) in enumerate(maps):
            views_of_image[index] = opencv_backend.sample(image, resampling, anchor)
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
