"""Sizes, given as one number or as (height, width), and how large results may be."""

from collections.abc import Sequence

from panollava_geometry._errors import PanoramaError, short

Size = int | tuple[int, int]

#: Most views of a plan.
MAX_VIEWS = 10_000
#: Most pixels of one view or token grid (8192 x 8192), and most bytes of the result for one panorama.
MAX_VIEW_PIXELS, MAX_RESULT_BYTES = 2**26, 8 * 2**30


def size_pair(size: Size, name: str = "size") -> tuple[int, int]:
    """Convert a size to (height, width).

    Args:
        size: One number for both sides, or (height, width).
        name: Name of the argument, for the error message.

    Raises:
        PanoramaError: A side is not a positive integer.
    """
    pair: object = (size, size) if isinstance(size, int) else size
    if not (isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(s, int) and s >= 1 for s in pair)):
        raise PanoramaError(f"{name} must be a positive int or (height, width), got {short(size)}")
    return pair[0], pair[1]


def check_result(count: int, size: tuple[int, int], channels: int, itemsize: int, name: str = "size") -> None:
    """Refuse views that are too large before anything is computed.

    Args:
        count: Number of views.
        size: Height and width of a view.
        channels: Values per pixel.
        itemsize: Bytes per value.
        name: Name of the argument that gives the size, for the error message.

    Raises:
        PanoramaError: A view has more than `MAX_VIEW_PIXELS`, or all views together more than `MAX_RESULT_BYTES`.
    """
    height, width = size
    needed = count * height * width * channels * itemsize
    if height * width > MAX_VIEW_PIXELS or needed > MAX_RESULT_BYTES:
        raise PanoramaError(
            f"{count} x {short(height)}x{short(width)} pixels need {short(needed >> 30)} GB; at most "
            f"{MAX_VIEW_PIXELS} pixels each (8192x8192) and {MAX_RESULT_BYTES >> 30} GB are supported: "
            f"reduce {name} or the number of views"
        )
