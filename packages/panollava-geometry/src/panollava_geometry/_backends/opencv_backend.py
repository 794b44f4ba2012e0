"""The OpenCV backend: uint8 panoramas on the CPU, channels last, read by `cv2.remap`.

OpenCV 5 reads at float32 coordinates. OpenCV 4 rounds them to 1/32 pixel, which changes a hard edge by up to 4 grey
levels. `is_exact` measures which of the two is installed.
"""

import functools
import threading

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from panollava_geometry._errors import PanoramaError
from panollava_geometry._patch import Patch
from panollava_geometry._resampling import ResamplingMap
from panollava_geometry._sampled_grid import SampledGrid
from panollava_geometry._separable_filter import SeparableFilter
from panollava_geometry._wraparound import column_slices, cut_array, row_blocks

_import_lock = threading.Lock()
#: `cv2.remap` addresses its source with 16-bit integers.
MAX_SIDE = 32766
#: A patch with at most this many pixels per read is copied to four channels.
_READS_PER_PIXEL = 4


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


def _halve(
    image: UInt8[ndarray, "rows columns channels"], out: UInt8[ndarray, "_ _ channels"], rows: int, columns: int
) -> None:
    """Write the means of blocks of `rows` x `columns` pixels, both powers of two, into `out`."""
    import cv2

    if rows == columns == 1:
        out[:] = image
        return
    while rows > 1 or columns > 1:
        by_row, by_column = min(rows, 2), min(columns, 2)
        rows, columns = rows // by_row, columns // by_column
        size = (image.shape[1] // by_column, image.shape[0] // by_row)
        last = rows == columns == 1
        image = _with_channels(cv2.resize(image, size, dst=out if last else None, interpolation=cv2.INTER_AREA))


def _with_channels(image: UInt8[ndarray, "..."]) -> UInt8[ndarray, "rows columns channels"]:
    """Restore the channel axis, which OpenCV drops for a single channel."""
    return image[..., None] if image.ndim == 2 else image


def _reduced_patch(
    image: UInt8[ndarray, "erp_height erp_width channels"], patch: Patch, anchor: int
) -> UInt8[ndarray, "_ _ channels"]:
    """The patch after block means, polar smoothing, and the extension of a full turn.

    Only block means across the seam of the panorama are copied at full size.
    """
    columns = (patch.columns[0] + anchor, patch.columns[1] + anchor)
    by_row, by_column, wrap = patch.reduce_rows, patch.reduce_columns, patch.wrap_columns
    above, below = patch.pole_rows
    rows = (patch.rows[1] - patch.rows[0]) // by_row
    width = (columns[1] - columns[0]) // by_column
    if by_row == by_column == 1 and not (wrap or above or below or patch.polar_bands):
        return cut_array(image, patch.rows, columns)
    out = np.empty((above + rows + below, width + 2 * wrap, image.shape[2]), np.uint8)
    middle = out[above : above + rows, wrap : wrap + width]
    if image.shape[0] % by_row == 0 and patch.rows[0] % by_row == 0:
        _write_blocks(image, middle, patch, columns)
    else:
        _halve(cut_array(image, patch.rows, columns), middle, by_row, by_column)
    _smooth(middle, patch)
    if above:
        out[:above, wrap : wrap + width] = np.roll(middle[:above][::-1], width // 2, axis=1)
    if below:
        out[above + rows :, wrap : wrap + width] = np.roll(middle[rows - below :][::-1], width // 2, axis=1)
    if wrap:
        out[:, :wrap] = out[:, width : width + wrap]
        out[:, wrap + width :] = out[:, wrap : 2 * wrap]
    return out


def _write_blocks(
    image: UInt8[ndarray, "erp_height erp_width channels"],
    out: UInt8[ndarray, "rows columns channels"],
    patch: Patch,
    columns: tuple[int, int],
) -> None:
    height, width = image.shape[:2]
    by_row, by_column = patch.reduce_rows, patch.reduce_columns
    row = 0
    for block, beyond in row_blocks(*patch.rows, height):
        shift = width // 2 if beyond else 0
        count = (block.stop - block.start) // by_row
        target = out[row : row + count]
        target = target[::-1] if beyond else target
        row += count
        done = columns[0] + shift
        for part in column_slices(done, columns[1] + shift, width):
            lag = -(done - columns[0] - shift) % by_column  # columns of a block that began before the seam
            if lag:
                first = done - columns[0] - shift - (by_column - lag)
                across = cut_array(image, (block.start, block.stop), (columns[0] + shift + first, done + lag))
                _reduce_into(across, target, first // by_column, by_row, by_column)
            whole = (part.stop - part.start - lag) // by_column * by_column
            if whole > 0:
                first = done + lag - columns[0] - shift
                inside = image[block, part.start + lag : part.start + lag + whole]
                _reduce_into(inside, target, first // by_column, by_row, by_column)
            done += part.stop - part.start


def _reduce_into(
    image: UInt8[ndarray, "rows columns channels"],
    target: UInt8[ndarray, "_ _ channels"],
    column: int,
    by_row: int,
    by_column: int,
) -> None:
    """Write block means into `target` from a column on. OpenCV does not write into flipped arrays."""
    part = target[:, column : column + image.shape[1] // by_column]
    if part.strides[0] > 0:
        _halve(image, part, by_row, by_column)
        return
    upright = np.empty(part.shape, np.uint8)
    _halve(image, upright, by_row, by_column)
    part[:] = upright


def _smooth(image: UInt8[ndarray, "rows columns channels"], patch: Patch) -> None:
    """Smooth the rows near a pole along themselves, in place."""
    import cv2

    mode = cv2.BORDER_WRAP if patch.full_turn else cv2.BORDER_REPLICATE
    for first, last, width in patch.polar_bands:
        half = width // 2
        band = cv2.copyMakeBorder(image[first:last], 0, 0, half, half, mode)
        image[first:last] = _with_channels(cv2.blur(band, (width, 1)))[:, half : half + image.shape[1]]


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
    if channels == 3 and grid.points > 1 and image.size < 3 * _READS_PER_PIXEL * grid.x.size:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)  # remap reads four channels faster than three
    read = cv2.remap(image, grid.x, grid.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if grid.points > 1:
        read = _mean_of_points(read, grid.points)
    return _with_channels(read)[..., :channels]


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
    image = _reduced_patch(image, patch, anchor)
    if isinstance(resampling, SampledGrid):
        return _read_grid(image, resampling)
    return _read_separable(image, resampling)
