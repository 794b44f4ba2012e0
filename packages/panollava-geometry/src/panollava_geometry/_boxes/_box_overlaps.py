"""What many boxes on the sphere share, pair by pair.

Pairs of boxes of at most 179° are clipped together as arrays. All others are computed one by one.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from panollava_geometry._boxes._convex import TOLERANCE
from panollava_geometry._boxes._spherical_box import CORNERS_DEG, SphericalBox
from panollava_geometry._errors import PanoramaError, short

#: Pairs that are clipped together, to limit the memory.
_CHUNK = 8192


class BoxSet:
    """Boxes with what all of their pairs need."""

    def __init__(self, boxes: Sequence[SphericalBox]) -> None:
        self.boxes = check_boxes(boxes)
        count = len(self.boxes)
        self.area = np.array([box.area for box in self.boxes], np.float64)
        self.simple = np.array([max(box.width_deg, box.height_deg) <= CORNERS_DEG for box in self.boxes], bool)
        self.centre = np.array([box.rotation[:, 2] for box in self.boxes]).reshape(count, 3)
        self.radius = np.full(count, np.pi)
        self.corners, self.planes = np.zeros((count, 8, 3)), np.zeros((count, 4, 3))
        for index in np.flatnonzero(self.simple):
            box = self.boxes[index]
            self.corners[index], self.planes[index] = box.outline(9)[:-1], box.half_spaces[:, :3]
            away = np.linalg.norm(self.corners[index] - self.centre[index], axis=1).max() / 2
            self.radius[index] = 2 * np.arcsin(min(float(away), 1.0))

    def __len__(self) -> int:
        return len(self.boxes)

    def shared(self, first: int, others: Int[ndarray, " others"]) -> Float[ndarray, " others"]:
        """Solid angle that one box shares with each of some others, in steradians."""
        areas = np.zeros(len(others))
        chord = np.linalg.norm(self.centre[others] - self.centre[first], axis=1)
        near = 2 * np.arcsin(np.minimum(chord / 2, 1)) <= self.radius[others] + self.radius[first] + 1e-9
        simple = near & self.simple[others] & self.simple[first]
        for index in np.flatnonzero(near & ~simple):
            areas[index] = self.boxes[first].intersection(self.boxes[others[index]])
        clipped = np.flatnonzero(simple)
        for start in range(0, len(clipped), _CHUNK):
            chunk = clipped[start : start + _CHUNK]
            corners = np.broadcast_to(self.corners[first], (len(chunk), 8, 3))
            shared = _shared_areas(corners, self.planes[others[chunk]])
            areas[chunk] = np.minimum(shared, np.minimum(self.area[first], self.area[others[chunk]]))
        return areas


def check_boxes(boxes: Sequence[SphericalBox]) -> list[SphericalBox]:
    """The boxes as a list.

    Raises:
        PanoramaError: They are not a list of boxes.
    """
    if not isinstance(boxes, Sequence) or isinstance(boxes, str | bytes):
        raise PanoramaError(f"boxes must be a list of SphericalBox, got {short(boxes)}")
    for index, box in enumerate(boxes):
        if not isinstance(box, SphericalBox):
            raise PanoramaError(f"boxes must be a list of SphericalBox, got {short(box)} at place {index}")
    return list(boxes)


def pairwise_iou(boxes: Sequence[SphericalBox], others: Sequence[SphericalBox]) -> Float[ndarray, "boxes others"]:
    """Intersection over union of the solid angles of every box with every other box.

    Args:
        boxes: N boxes.
        others: M boxes.

    Returns:
        float64 `[N, M]`, in [0, 1]: the values of `SphericalBox.iou`, exact up to rounding.

    Raises:
        PanoramaError: An argument is not a list of boxes.

    Example:
        >>> from panollava_geometry.boxes import pairwise_iou
        >>> from panollava_geometry import SphericalBox
        >>> boxes = [SphericalBox(0.0, 0.0, 20.0, 10.0), SphericalBox(180.0, 0.0, 20.0, 10.0)]
        >>> pairwise_iou(boxes, boxes).round(6).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    one, other = check_boxes(boxes), check_boxes(others)
    joined = BoxSet([*one, *other])
    columns = np.arange(len(one), len(joined))
    result = np.zeros((len(one), len(other)))
    for row in range(len(one)):
        shared = joined.shared(row, columns)
        result[row] = np.minimum(shared / (joined.area[row] + joined.area[columns] - shared), 1)
    return result


def _shared_areas(
    corners: Float[ndarray, "pairs corners 3"], planes: Float[ndarray, "pairs 4 3"]
) -> Float[ndarray, " pairs"]:
    """The areas of convex polygons inside of planes, as `clip_polygon` and `polygon_area` compute one of them.

    A polygon with fewer corners than the others repeats its last corner.
    """
    alive: Bool[ndarray, " pairs"] = np.ones(len(corners), bool)
    for side in range(planes.shape[1]):
        height = np.einsum("pkc,pc->pk", corners, planes[:, side])
        inside = height >= -TOLERANCE
        following, next_height = np.roll(corners, -1, axis=1), np.roll(height, -1, axis=1)
        crossing = corners * np.abs(next_height)[..., None] + following * np.abs(height)[..., None]
        length = np.linalg.norm(crossing, axis=-1)
        crosses = (inside != np.roll(inside, -1, axis=1)) & (length > 0)
        crossing = crossing / np.where(length > 0, length, 1)[..., None]
        candidates = np.stack([corners, crossing], axis=2).reshape(len(corners), -1, 3)
        kept = np.stack([inside, crosses], axis=2).reshape(len(corners), -1)
        count = kept.sum(axis=1)
        alive &= count > 0
        order = np.argsort(~kept, axis=1, kind="stable")
        place = np.minimum(np.arange(max(int(count.max()), 1)), np.maximum(count - 1, 0)[:, None])
        chosen = np.take_along_axis(order, place, axis=1)
        corners = np.take_along_axis(candidates, chosen[..., None], axis=1)
    centre = corners.sum(axis=1)
    centre = centre / np.maximum(np.linalg.norm(centre, axis=1), 1e-300)[:, None]
    following, middle = np.roll(corners, -1, axis=1), centre[:, None]
    determinant = (np.cross(corners - middle, following - middle) * middle).sum(axis=-1)
    cosines = ((corners + following) * middle).sum(axis=-1) + (corners * following).sum(axis=-1)
    areas = np.abs(2 * np.arctan2(determinant, 1 + cosines).sum(axis=1))
    return np.where(alive, areas, 0.0)
