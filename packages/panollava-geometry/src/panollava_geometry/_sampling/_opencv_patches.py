"""The reduced patch of a panorama by OpenCV: block means, smoothing near the poles, the extension at the seam.

Only the columns that the view needs in each band of rows are made.
"""

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from panollava_geometry._arrays._workspace import workspace
from panollava_geometry._sampling._patch import Patch
from panollava_geometry._sampling._wraparound import column_slices, cut_array, row_blocks


def reduced_patch(
    image: UInt8[ndarray, "erp_height erp_width channels"], patch: Patch, anchor: int
) -> UInt8[ndarray, "_ _ channels"]:
    """The patch after block means, polar smoothing, and the extension of a full turn.

    The result is valid until this thread calls the function again. Pixels that the view does not need are not set.
    """
    first, last = (column + anchor for column in patch.columns)
    by_row, by_column, wrap = patch.reduce_rows, patch.reduce_columns, patch.wrap_columns
    above, below = patch.pole_rows
    rows, width = (patch.rows[1] - patch.rows[0]) // by_row, (last - first) // by_column
    if by_row == by_column == 1 and not (wrap or above or below or patch.polar_bands):
        return cut_array(image, patch.rows, (first, last))
    out = workspace("patch", (above + rows + below, width + 2 * wrap, image.shape[2]))
    middle = out[above : above + rows, wrap : wrap + width]
    whole_blocks = image.shape[0] % by_row == 0 and patch.rows[0] % by_row == 0
    for area in patch.needed or ((0, rows, 0, width),):
        made = _with_margin(area, patch, width)
        top, left = patch.rows[0] + made[0] * by_row, first + made[2] * by_column
        bottom, right = patch.rows[0] + made[1] * by_row, first + made[3] * by_column
        target = middle[made[0] : made[1], made[2] : made[3]]
        if whole_blocks:
            _write_blocks(image, target, (top, bottom), (left, right), (by_row, by_column))
        else:
            _halve(cut_array(image, (top, bottom), (left, right)), target, by_row, by_column)
        _smooth(middle, patch, area)
    if above:
        out[:above, wrap : wrap + width] = np.roll(middle[:above][::-1], width // 2, axis=1)
    if below:
        out[above + rows :, wrap : wrap + width] = np.roll(middle[rows - below :][::-1], width // 2, axis=1)
    if wrap:
        out[:, :wrap] = out[:, width : width + wrap]
        out[:, wrap + width :] = out[:, wrap : 2 * wrap]
    return out


def with_channels(image: UInt8[ndarray, "..."]) -> UInt8[ndarray, "rows columns channels"]:
    """Restore the channel axis, which OpenCV drops for a single channel."""
    return image[..., None] if image.ndim == 2 else image


def _with_margin(area: tuple[int, int, int, int], patch: Patch, width: int) -> tuple[int, int, int, int]:
    """The area with the columns on both sides that the smoothing of its rows reads."""
    top, bottom, left, right = area
    half = max((band // 2 for first, last, band in patch.polar_bands if first < bottom and last > top), default=0)
    return top, bottom, max(left - half, 0), min(right + half, width)


def _write_blocks(
    image: UInt8[ndarray, "erp_height erp_width channels"],
    out: UInt8[ndarray, "rows columns channels"],
    rows: tuple[int, int],
    columns: tuple[int, int],
    block: tuple[int, int],
) -> None:
    """Write block means of rows and columns that may exceed the panorama. Rows begin and end with whole blocks.

    Only the blocks that lie across the seam are copied at full size.
    """
    height, width = image.shape[:2]
    row = 0
    for part, beyond in row_blocks(*rows, height):
        start = columns[0] + (width // 2 if beyond else 0)
        count = (part.stop - part.start) // block[0]
        target = out[row : row + count]
        target = target[::-1] if beyond else target
        row += count
        done = 0
        for columns_of_part in column_slices(start, start + columns[1] - columns[0], width):
            lag = -done % block[1]  # columns of a block that began before the seam
            if lag:
                before = done + lag - block[1]
                across = cut_array(image, (part.start, part.stop), (start + before, start + done + lag))
                _reduce_into(across, target, before // block[1], block)
            first = columns_of_part.start + lag
            count = (columns_of_part.stop - first) // block[1] * block[1]
            if count > 0:
                _reduce_into(image[part, first : first + count], target, (done + lag) // block[1], block)
            done += columns_of_part.stop - columns_of_part.start


def _reduce_into(
    image: UInt8[ndarray, "rows columns channels"],
    target: UInt8[ndarray, "_ _ channels"],
    column: int,
    block: tuple[int, int],
) -> None:
    """Write block means into `target` from a column on. OpenCV does not write into arrays in reverse order."""
    part = target[:, column : column + image.shape[1] // block[1]]
    if part.strides[0] > 0:
        _halve(image, part, *block)
        return
    upright = np.empty(part.shape, np.uint8)
    _halve(image, upright, *block)
    part[:] = upright


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
        if rows == columns == 1:
            cv2.resize(image, size, dst=out, interpolation=cv2.INTER_AREA)
            return
        image = with_channels(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _smooth(image: UInt8[ndarray, "rows columns channels"], patch: Patch, area: tuple[int, int, int, int]) -> None:
    """Smooth the rows of an area along themselves, in place."""
    import cv2

    top, bottom, left, right = area
    width = image.shape[1]
    whole = left == 0 and right == width
    for first, last, size in patch.polar_bands:
        rows = slice(max(first, top), min(last, bottom))
        if rows.start >= rows.stop:
            continue
        half = size // 2
        if patch.full_turn and whole:
            band = cv2.copyMakeBorder(image[rows], 0, 0, half, half, cv2.BORDER_WRAP)
            image[rows] = with_channels(cv2.blur(band, (size, 1)))[:, half : half + width]
        else:
            start, stop = max(left - half, 0), min(right + half, width)
            band = with_channels(cv2.blur(image[rows, start:stop], (size, 1), borderType=cv2.BORDER_REPLICATE))
            image[rows, left:right] = band[:, left - start : right - start]
