"""The OpenCV backend: uint8 panoramas on the CPU, channels last, read by `cv2.remap`.

OpenCV 5 reads at float32 coordinates. OpenCV 4 rounds them to 1/32 pixel, which changes a hard edge by up to 4 grey
levels. `is_exact` measures which of the two is installed.
"""

import functools
import threading

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from panollava_geometry._arrays._workspace import workspace
from panollava_geometry._errors import PanoramaError
from panollava_geometry._sampling._opencv_patches import reduced_patch, with_channels
from panollava_geometry._sampling._resampling import ResamplingMap
from panollava_geometry._sampling._sampled_grid import SampledGrid
from panollava_geometry._sampling._separable_filter import SeparableFilter

_import_lock = threading.Lock()
#: `cv2.remap` addresses its source with 16-bit integers.
MAX_SIDE = 32766


@functools.cache
def is_installed() -> bool:
    """Whether OpenCV can be imported. Imports it.

    The lock is needed because `import cv2` replaces its own module while it runs.
    """
    with _import_lock:
        try:
            import cv2  # noqa: F401  # only tests that the import works
        except ImportError:
            return False
    return True


@functools.cache
def is_exact() -> bool:
    """Whether OpenCV is installed and its remap reads at the given coordinates, without rounding them."""
    if not is_installed():
        return False
    import cv2

    ramp = np.array([[0, 255]] * 2, np.uint8)
    where = np.linspace(0, 1, 256, dtype=np.float32)[None]
    read = cv2.remap(ramp, where, np.zeros_like(where), cv2.INTER_LINEAR)
    return bool((np.abs(read[0].astype(float) - np.arange(256)) <= 0.51).all())


def fits(resampling: ResamplingMap) -> bool:
    """Whether the reduced patch is small enough for `cv2.remap`."""
    patch = resampling.patch
    sides = (
        (patch.rows[1] - patch.rows[0]) // patch.reduce_rows,
        (patch.columns[1] - patch.columns[0]) // patch.reduce_columns + 2,
    )
    return max(sides) <= MAX_SIDE


def _mean_of_points(read: UInt8[ndarray, "..."], points: int) -> UInt8[ndarray, "..."]:
    import cv2

    if points == 2:
        return np.asarray(cv2.resize(read, (read.shape[1] // 2, read.shape[0] // 2), interpolation=cv2.INTER_AREA))
    # Faster than INTER_AREA, which is only fast for 2 x 2 blocks.
    return np.asarray(cv2.blur(read, (points, points), anchor=(0, 0))[::points, ::points])


def _read_grid(
    image: UInt8[ndarray, "rows columns channels"], grid: SampledGrid
) -> UInt8[ndarray, "height width channels"]:
    import cv2

    channels = image.shape[2]
    if grid.points == 1:
        read = cv2.remap(image, grid.x, grid.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return with_channels(read)
    if channels == 3:  # remap reads four channels 2 to 5 times as fast
        image = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, dst=workspace("four channels", (*image.shape[:2], 4)))
    out = workspace("points", (*grid.x.shape, image.shape[2]))
    read = cv2.remap(image, grid.x, grid.y, cv2.INTER_LINEAR, dst=out, borderMode=cv2.BORDER_REPLICATE)
    read = _mean_of_points(read, grid.points)
    return cv2.cvtColor(read, cv2.COLOR_RGBA2RGB) if channels == 3 else with_channels(read)


def _read_separable(
    image: UInt8[ndarray, "rows columns channels"], separable: SeparableFilter
) -> UInt8[ndarray, "height width channels"]:
    rows = np.zeros((separable.row_index.shape[0], *image.shape[1:]), np.float32)
    for tap in range(separable.row_index.shape[1]):
        rows += image[separable.row_index[:, tap]] * separable.row_weight[:, tap, None, None]
    total = np.zeros((rows.shape[0], separable.column_index.shape[0], image.shape[2]), np.float32)
    for tap in range(separable.column_index.shape[1]):
        total += rows[:, separable.column_index[:, tap]] * separable.column_weight[:, tap, None]
    return np.rint(total).clip(0, 255).astype(np.uint8)


def sample(
    image: UInt8[ndarray, "erp_height erp_width channels"], resampling: ResamplingMap, anchor: int
) -> UInt8[ndarray, "height width channels"]:
    """Read one view of one panorama.

    Raises:
        PanoramaError: The view needs a larger part of the panorama than `cv2.remap` can address.
    """
    patch = resampling.patch
    if not fits(resampling):
        raise PanoramaError(
            f"cv2.remap reads at most {MAX_SIDE} pixels per side, and this view needs more of the "
            f"{image.shape[1]}x{image.shape[0]} panorama: use backend='torch' or antialias=True"
        )
    image = reduced_patch(image, patch, anchor)
    if isinstance(resampling, SampledGrid):
        return _read_grid(image, resampling)
    return _read_separable(image, resampling)
