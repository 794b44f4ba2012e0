"""Places for labels on a panorama: inside the image, apart from each other, and repeated at the seam."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from panollava_geometry._drawing._fonts import Pixels

#: Left, top, right and bottom in pixels.
Rectangle = tuple[Pixels, Pixels, Pixels, Pixels]

#: Heights of a label up to which it moves to keep away from what it should avoid.
_NEAR = 6.0


def place_labels(
    anchors: Sequence[tuple[Pixels, Pixels]],
    sizes: Sequence[tuple[Pixels, Pixels]],
    image_size: tuple[int, int],
    *,
    taken: Sequence[Rectangle] = (),
    avoid: Sequence[Rectangle] = (),
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
        avoid: Rectangles that stay free where there is room for a label near its anchor.
        gap: Least distance between rectangles.
        seam: Whether the image is a whole panorama.

    Returns:
        For each label its rectangles: one, two at the seam, none if there is no room left.

    Example:
        >>> from panollava_geometry.drawing import place_labels
        >>> place_labels([(1.0, 50.0)], [(20.0, 10.0)], (200, 100))
        [[(0.0, 45.0, 20.0, 55.0), (180.0, 45.0, 200.0, 55.0)]]
    """
    used = list(taken)
    found: list[list[Rectangle]] = []
    for anchor, size in zip(anchors, sizes, strict=True):
        near = _nearest(anchor, size, image_size, used, avoid, gap, seam) if avoid else None
        if near is None or near[1] > _NEAR * size[1]:
            near = _nearest(anchor, size, image_size, used, (), gap, seam)
        places = [] if near is None else near[0]
        used += places
        found.append(places)
    return found


def _nearest(
    anchor: tuple[Pixels, Pixels],
    size: tuple[Pixels, Pixels],
    image_size: tuple[int, int],
    used: Sequence[Rectangle],
    avoid: Sequence[Rectangle],
    gap: Pixels,
    seam: bool,
) -> tuple[list[Rectangle], float] | None:
    """The free place that is nearest to an anchor, and its distance; None if there is none.

    In the nearest place, the label is at its anchor, at an edge of the image, or at the side of another rectangle, in
    either direction; these places are tried.
    """
    width, height = map(float, size)
    right, bottom = image_size[0] - width, image_size[1] - height
    if right < 0 or bottom < 0:
        return None
    blocked = np.array([(*grown(one, gap),) for one in used] + [(*one,) for one in avoid], dtype=np.float64).reshape(
        -1, 4
    )
    x = anchor[0] % image_size[0] if seam else anchor[0]
    lefts = np.clip(np.concatenate([[x - width / 2, 0.0], blocked[:, 0] - width, blocked[:, 2]]), 0.0, right)
    tops = np.clip(np.concatenate([[anchor[1] - height / 2, 0.0], blocked[:, 1] - height, blocked[:, 3]]), 0.0, bottom)
    aside = np.abs(lefts + width / 2 - x)
    if seam:
        aside = np.minimum(aside, image_size[0] - aside)
    left, top = (grid.ravel() for grid in np.meshgrid(lefts, tops))
    distance = np.hypot(*(grid.ravel() for grid in np.meshgrid(aside, np.abs(tops + height / 2 - anchor[1]))))
    free = _is_free(left, top, size, blocked)
    if seam and 2 * width <= image_size[0] and not 0 <= x - width / 2 <= right:
        # across the seam, the label is at both edges: it has not moved aside, and both places must be free
        both = np.unique(tops)
        off = np.abs(both + height / 2 - anchor[1])
        good = _is_free(both * 0, both, size, blocked) & _is_free(both * 0 + right, both, size, blocked)
        if good.any():
            nearest = float(np.where(good, off, np.inf).min())
            y = float(both[np.where(good, off, np.inf).argmin()])
            if not (free & (distance < nearest - height)).any():
                return [(0.0, y, width, y + height), (right, y, right + width, y + height)], nearest
    if not free.any():
        return None
    best = int(np.where(free, distance, np.inf).argmin())
    x, y = float(left[best]), float(top[best])
    return [(x, y, x + width, y + height)], float(distance[best])


def grown(rectangle: Rectangle, by: Pixels) -> Rectangle:
    """A rectangle with a border around it."""
    left, top, right, bottom = rectangle
    return left - by, top - by, right + by, bottom + by


def _is_free(
    left: Float[ndarray, " places"],
    top: Float[ndarray, " places"],
    size: tuple[Pixels, Pixels],
    blocked: Float[ndarray, "rectangles 4"],
) -> Bool[ndarray, " places"]:
    """Whether rectangles of a size touch none of the blocked ones. A millionth of a pixel is rounding."""
    x, y, slack = left[:, None], top[:, None], 1e-6
    across = (x < blocked[:, 2] - slack) & (x + size[0] > blocked[:, 0] + slack)
    down = (y < blocked[:, 3] - slack) & (y + size[1] > blocked[:, 1] + slack)
    return np.asarray(~(across & down).any(axis=1))
