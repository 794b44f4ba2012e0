"""Sizes, given as one number or as (height, width)."""

from panollava_geometry._errors import PanoramaError

Size = int | tuple[int, int]


def size_pair(size: Size, name: str = "size") -> tuple[int, int]:
    """Convert a size to (height, width).

    Args:
        size: One number for both sides, or (height, width).
        name: Name of the argument, for the error message.

    Raises:
        PanoramaError: A side is not a positive integer.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if not (isinstance(height, int) and isinstance(width, int) and height >= 1 and width >= 1):
        raise PanoramaError(f"{name} must be a positive int or (height, width), got {size!r}")
    return height, width
