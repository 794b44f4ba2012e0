"""`extract_views`: the views of panoramas.

torch is imported with the first tensor. Views of uint8 arrays and Pillow images are read by OpenCV without it, so that
a program that has no other use for torch starts in a quarter of the time.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from jaxtyping import Shaped
from numpy import ndarray

from panollava_geometry._arrays._options import Backend, Interpolation
from panollava_geometry._arrays._pillow import Image
from panollava_geometry._arrays._sizes import Size, size_pair
from panollava_geometry._arrays._torch_types import Tensor
from panollava_geometry._planning._plan import Views, as_plan, is_one_plan
from panollava_geometry._projections._array_views import views_without_torch

if TYPE_CHECKING:
    from panollava_geometry._planning._poses import CameraPoses

    #: One plan for all panoramas, poses as tensors, or one plan per panorama of a batch.
    ViewsOrPoses = Views | CameraPoses | Sequence[Views]
else:
    ViewsOrPoses = Any


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
        plan: The views: a plan, a list of views, or a single view. `CameraPoses` `[V]` are the views of all panoramas,
            `CameraPoses` `[..., V]` those of each panorama. A list of plans has one plan per panorama of a batch
            `[B, C, H, 2H]`, all with the same number of views.
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
            large (more than 8192x8192 pixels, or 8 GB in total), the backend is unknown or does not support this
            input, the poses or plans do not fit the batch, or poses that require gradients have none with these
            options (nearest, uint8, arrays).

    Example:
        >>> import torch
        >>> from panollava_geometry import extract_views, plan_views
        >>> panorama = torch.zeros(3, 256, 512, dtype=torch.uint8)
        >>> extract_views(panorama, plan_views("anyres_e2p"), 64).shape
        torch.Size([7, 3, 64, 64])
    """
    view_size = size_pair(size)
    if interpolation == "bilinear" and backend in ("auto", "opencv") and is_one_plan(plan):
        one: Any = plan
        read = views_without_torch(erp, as_plan(one), view_size, antialias, align_corners, backend)
        if read is not None:
            return read
    return _with_torch(erp, plan, view_size, antialias, align_corners, interpolation, backend)


def _with_torch(
    erp: Any, plan: Any, size: tuple[int, int], antialias: bool, align_corners: bool, interpolation: str, backend: str
) -> Any:
    from panollava_geometry._arrays._containers import open_panorama
    from panollava_geometry._projections._many_plans import Reading, is_several, read_several
    from panollava_geometry._projections._tensor_views import extract_from_tensor

    opened = open_panorama(erp, interpolation)
    reading = Reading(size, antialias, align_corners, interpolation, backend, foreign=opened.tensor is not erp)
    if is_several(plan):
        return opened.restore(read_several(opened.tensor, plan, reading, partial(extract_from_tensor, reading)))
    return opened.restore(extract_from_tensor(reading, opened.tensor, as_plan(plan)))
