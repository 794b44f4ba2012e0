"""Views of uint8 arrays by OpenCV, without torch: its import takes longer than everything else here."""

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from panollava_geometry._backends import opencv_backend
from panollava_geometry._plan import ViewPlan
from panollava_geometry._resampling import next_resampling_map

#: Panoramas up to this width always fit into `cv2.remap`: their patches are at most a little wider than they are.
_CERTAIN_WIDTH = opencv_backend.MAX_SIDE - 766


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
    for index, view in enumerate(plan):
        resampling, anchor = next_resampling_map(
            view, size, (images.shape[1], images.shape[2]), antialias, align_corners
        )
        for image, views_of_image in zip(images, views, strict=True):
            views_of_image[index] = opencv_backend.sample(image, resampling, anchor)
    return views
