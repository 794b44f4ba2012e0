"""Places for labels on a panorama: inside the image, apart from each other, and repeated at the seam."""

import math
from collections.abc import Sequence

from panollava_geometry._fonts import Pixels

#: Left, top, right and bottom in pixels.
Rectangle = tuple[Pixels, Pixels, Pixels, Pixels]

#: Places that are tried for one label.
_TRIES = 6000


def place_labels(
    anchors: Sequence[tuple[Pixels, Pixels]],
    sizes: Sequence[tuple[Pixels, Pixels]],
    image_size: tuple[int, int],
    *,
    taken: Sequence[Rectangle] = (),
    gap: Pixels = 0.0,
    seam: bool = True,
) -> list[list[Rectangle]]:
    """Find a rectangle for every label: around its anchor, or as near as there is room.

    A label across the seam, where the left and the right edge of a panorama meet, gets one rectangle at either edge.

    Args:
        anchors: Where the centre of each label should be, (x, y) in pixels.
        sizes: Width and height of each label.
        image_size: Width and height of the image.
        taken: Rectangles that must stay free.
        gap: Least distance between rectangles.
        seam: Whether the image is a whole panorama.

    Returns:
        For each label its rectangles: one, two at the seam, none if there is no room left.

    Example:
        >>> place_labels([(1.0, 50.0)], [(20.0, 10.0)], (200, 100))
        [[(0.0, 45.0, 20.0, 55.0), (180.0, 45.0, 200.0, 55.0)]]
    """
    used = list(taken)
    found: list[list[Rectangle]] = []
    for anchor, size in zip(anchors, sizes, strict=True):
        places = _free_place(anchor, size, image_size, used, gap, seam)
        used += places
        found.append(places)
    return found


def _free_place(
    anchor: tuple[Pixels, Pixels],
    size: tuple[Pixels, Pixels],
    image_size: tuple[int, int],
    used: Sequence[Rectangle],
    gap: Pixels,
    seam: bool,
) -> list[Rectangle]:
    (width, height), (image_width, image_height) = size, image_size
    if width > image_width or height > image_height:
        return []
    step_x, step_y = max(width / 2, 1.0), max(height / 2, 1.0)
    for column, row in _spiral(image_width / step_x, image_height / step_y):
        places = _rectangles((anchor[0] + column * step_x, anchor[1] + row * step_y), size, image_size, seam)
        if not any(_overlap(place, other, gap) for place in places for other in used):
            return places
    return []


def _rectangles(
    centre: tuple[Pixels, Pixels], size: tuple[Pixels, Pixels], image_size: tuple[int, int], seam: bool
) -> list[Rectangle]:
    (width, height), (image_width, image_height) = size, image_size
    top = min(max(centre[1] - height / 2, 0.0), image_height - height)
    x = centre[0] % image_width if seam else centre[0]
    left = x - width / 2
    lefts = [min(max(left, 0.0), image_width - width)]
    if seam and not 0 <= left <= image_width - width and 2 * width <= image_width:
        lefts = [0.0, image_width - width]
    return [(edge, top, edge + width, top + height) for edge in lefts]


def _overlap(one: Rectangle, other: Rectangle, gap: Pixels) -> bool:
    return one[0] < other[2] + gap and other[0] < one[2] + gap and one[1] < other[3] + gap and other[1] < one[3] + gap


def _spiral(columns: Pixels, rows: Pixels) -> list[tuple[int, int]]:
    """Steps to the right and down, the nearest first."""
    across, down = math.ceil(columns), math.ceil(rows)
    steps = [(x, y) for x in range(-across, across + 1) for y in range(-down, down + 1)]
    return sorted(steps, key=lambda step: (step[0] ** 2 + step[1] ** 2, step))[:_TRIES]
