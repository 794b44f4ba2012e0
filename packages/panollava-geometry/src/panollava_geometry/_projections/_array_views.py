"""Views of uint8 arrays by OpenCV, without torch: its import takes longer than everything else here."""

from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from panollava_geometry._arrays._pillow import array_from_image, image_from_array, is_image
from panollava_geometry._arrays._sizes import check_result
from panollava_geometry._arrays._torch_types import is_compiling
from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._sampling import _opencv_backend as opencv_backend
from panollava_geometry._sampling._resampling import next_resampling_map

#: Panoramas up to this width always fit into `cv2.remap`: their patches are at most a little wider than they are.
_CERTAIN_WIDTH = opencv_backend.MAX_SIDE - 766


def views_without_torch(
    erp: object, plan: ViewPlan, size: tuple[int, int], antialias: bool, align_corners: bool, backend: str
) -> Any:
    """The views of a uint8 array or of a Pillow image, as `extract_views` returns them.

    Returns:
        None if the panorama is something else, or not valid, or OpenCV is not installed or not exact: then
        `extract_views` needs torch, or reports the error.
    """
    like = None
    if is_image(erp):
        if erp.size[0] != 2 * erp.size[1] or erp.mode not in ("L", "LA", "RGB", "RGBA"):
            return None
        like, erp = erp, array_from_image(erp, nearest=False)
    if type(erp) is not np.ndarray or erp.dtype != np.uint8 or erp.ndim < 2:
        return None
    images = erp[..., None] if erp.ndim == 2 else erp
    height, width, channels = images.shape[-3:]
    if not (0 < height and width == 2 * height and is_small(width) and 0 < channels <= 4) or is_compiling():
        return None
    if not (opencv_backend.is_exact() if backend == "auto" else opencv_backend.is_installed()):
        return None
    check_result(len(plan), size, channels, 1)
    flat = images.reshape(-1, height, width, channels)
    views = extract_arrays(flat, plan, size, antialias, align_corners)
    if erp.ndim == 2:
        array = views[0, ..., 0]
    else:
        array = views.reshape(*images.shape[:-3], len(plan), *size, channels)
    return array if like is None else [image_from_array(view, like) for view in array]


def is_small(width: int) -> bool:
    """Whether `cv2.remap` can read every view of a panorama of this width."""
    return width <= _CERTAIN_WIDTH


def extract_arrays(
    images: UInt8[ndarray, "batch erp_height erp_width channels"],
    plan: ViewPlan,
    size: tuple[int, int],
    antialias: bool,
    align_corners: bool,
) -> UInt8[ndarray, "batch views height width channels"]:
    """The views of a plan from panoramas, by OpenCV.

    Raises:
        PanoramaError: A view needs a larger part of the panorama than `cv2.remap` can address.
    """
    views = np.empty((len(images), len(plan), *size, images.shape[3]), np.uint8)
    erp = (images.shape[1], images.shape[2])
    for index, view in enumerate(plan):
        resampling, anchor = next_resampling_map(view, size, erp, antialias, align_corners)
        for image, views_of_image in zip(images, views, strict=True):
            views_of_image[index] = opencv_backend.sample(image, resampling, anchor)
        visible = view.visible(size, align_corners=align_corners)
        if visible is not None:  # black outside the circle of a fisheye image
            views[:, index, ~visible] = 0
    return views
