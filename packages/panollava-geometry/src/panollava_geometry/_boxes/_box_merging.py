"""Detections of the same object in overlapping views: keep the best one, or merge them."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from panollava_geometry._boxes._box_overlaps import BoxSet
from panollava_geometry._boxes._box_regions import box_around
from panollava_geometry._boxes._spherical_box import SphericalBox
from panollava_geometry._errors import PanoramaError, boundary, short
from panollava_geometry._views._sphere import Degrees, rotation_matrix

Overlap = Literal["iou", "smaller"]
Method = Literal["mean", "union"]


class MergedBox(NamedTuple):
    """A merged detection."""

    box: SphericalBox
    #: The best score of the members.
    score: float
    #: The label of the members; None without labels.
    label: Any
    #: Places of the merged boxes in the list, the best first.
    members: tuple[int, ...]


def non_maximum_suppression(
    boxes: Sequence[SphericalBox],
    scores: Any,
    *,
    labels: Sequence[Hashable] | None = None,
    threshold: float | int = 0.5,
    overlap: Overlap = "iou",
) -> Int[ndarray, " kept"]:
    """Keep the best of all boxes that overlap.

    Boxes are visited by decreasing score (equal scores in the given order). A box is dropped if its overlap with a kept
    box of the same label is larger than the threshold, as in torchvision.

    Args:
        boxes: N boxes.
        scores: N finite numbers.
        labels: N labels. Boxes of different labels do not suppress each other. None means one label.
        threshold: In [0, 1].
        overlap: `iou`, or `smaller`: the shared solid angle as a fraction of the smaller box, which also finds an
            object that one view shows only in part.

    Returns:
        The places of the kept boxes, int64, the best first.

    Raises:
        PanoramaError: The lists differ in length, a score is not finite, or an option is unknown or out of its range.

    Example:
        >>> from panollava_geometry.boxes import non_maximum_suppression
        >>> from panollava_geometry import SphericalBox
        >>> boxes = [SphericalBox(179.0, 0.0, 20.0, 20.0), SphericalBox(-179.0, 0.0, 20.0, 20.0)]
        >>> non_maximum_suppression(boxes, [0.8, 0.9]).tolist()
        [1]
    """
    members = _groups(BoxSet(boxes), _numbers(scores, boxes), _labels(labels, boxes), threshold, overlap)
    return np.array([group[0] for group in members], np.int64)


def merge_boxes(
    boxes: Sequence[SphericalBox],
    scores: Any,
    *,
    labels: Sequence[Hashable] | None = None,
    threshold: float | int = 0.5,
    overlap: Overlap = "iou",
    method: Method = "mean",
) -> list[MergedBox]:
    """Merge boxes that overlap, for example the detections of overlapping views.

    The best box takes all others of its label that overlap with it by more than the threshold, then the best of the
    rest, and so on. The merged boxes are merged again until none of them overlap.

    Args:
        boxes: N boxes.
        scores: N finite numbers; positive ones for `method="mean"`.
        labels: N labels. Boxes of different labels are not merged. None means one label.
        threshold: In [0, 1].
        overlap: `iou`, or `smaller`: the shared solid angle as a fraction of the smaller box.
        method: `mean`: the mean direction, orientation, width and height, weighted by the scores (weighted boxes
            fusion, https://arxiv.org/abs/1910.13302). `union`: a box that encloses all of them, for objects that are
            cut at the edges of views.

    Returns:
        The merged boxes, the best first. A box that overlaps with no other one is unchanged.

    Raises:
        PanoramaError: The lists differ in length, a score is not finite or, for the mean, not positive, or an option is
            unknown or out of its range.

    Example:
        >>> from panollava_geometry.boxes import merge_boxes
        >>> from panollava_geometry import SphericalBox
        >>> boxes = [SphericalBox(179.0, 0.0, 20.0, 20.0), SphericalBox(-179.0, 0.0, 20.0, 20.0)]
        >>> (merged,) = merge_boxes(boxes, [0.9, 0.9])
        >>> round(abs(merged.box.yaw_deg), 6), merged.score, merged.members
        (180.0, 0.9, (0, 1))
    """
    if method not in get_args(Method):
        raise PanoramaError(f"unknown method {short(method)}: choose from {', '.join(get_args(Method))}")
    given = BoxSet(boxes)
    weights, names = _numbers(scores, boxes), _labels(labels, boxes)
    if method == "mean" and (weights <= 0).any():
        raise PanoramaError(
            f"the scores must be positive for method='mean', got {short(float(weights.min()))}: pass probabilities, or "
            "method='union'"
        )
    members: list[tuple[int, ...]] = [(index,) for index in range(len(given))]
    current, best, groups = given, weights, names
    while True:
        joined = _groups(current, best, groups, threshold, overlap)
        members = [tuple(place for part in group for place in members[part]) for group in joined]
        members = [tuple(sorted(group, key=lambda place: (-weights[place], place))) for group in members]
        merged = [_merge([given.boxes[place] for place in group], weights[list(group)], method) for group in members]
        best, groups = np.array([weights[group[0]] for group in members]), [names[group[0]] for group in members]
        if len(joined) == len(current):
            break
        current = BoxSet(merged)
    return [
        MergedBox(box, float(score), label if labels is not None else None, group)
        for box, score, label, group in zip(merged, best, groups, members, strict=True)
    ]


def _groups(
    boxes: BoxSet, scores: Float[ndarray, " boxes"], labels: Sequence[Hashable], threshold: float | int, overlap: str
) -> list[tuple[int, ...]]:
    """The best box of each group and the boxes that it suppresses, the best first."""
    if overlap not in get_args(Overlap):
        raise PanoramaError(f"unknown overlap {short(overlap)}: choose from {', '.join(get_args(Overlap))}")
    if not isinstance(threshold, float | int) or not 0 <= threshold <= 1:
        raise PanoramaError(f"threshold must be a number from 0 to 1, got {short(threshold)}")
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    kinds = np.array([numbers[label] for label in labels], np.int64)
    waiting = np.argsort(-scores, kind="stable")
    groups = []
    while len(waiting):
        first, rest = int(waiting[0]), waiting[1:]
        of_label = np.flatnonzero(kinds[rest] == kinds[first])
        shared = boxes.shared(first, rest[of_label])
        whole = boxes.area[first] + boxes.area[rest[of_label]] - shared
        if overlap == "smaller":
            whole = np.minimum(boxes.area[first], boxes.area[rest[of_label]])
        taken = of_label[shared / whole > threshold]
        groups.append((first, *rest[taken].tolist()))
        waiting = np.delete(rest, taken)
    return groups


def _merge(boxes: list[SphericalBox], weights: Float[ndarray, " boxes"], method: str) -> SphericalBox:
    """One box of several; the first is the best."""
    if len(boxes) == 1:
        return boxes[0]
    if method == "union":
        rays = np.concatenate([_extreme_rays(box) for box in boxes])
        return box_around(rays, roll_deg=boxes[0].roll_deg)
    total, sizes = np.zeros((3, 3)), np.zeros(2)
    for box, weight in zip(boxes, weights, strict=True):
        rotation, size = _nearest_form(box, boxes[0].rotation)
        total += weight * rotation
        sizes += weight * np.array(size)
    left, _, right = np.linalg.svd(total)  # the rotation with the least squared distance from all
    mean = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    width, height = (sizes / weights.sum()).tolist()
    return SphericalBox.of_frame(mean, min(width, 360.0), min(height, 180.0))


def _extreme_rays(box: SphericalBox) -> Float[ndarray, "rays 3"]:
    """Rays whose enclosing box encloses a box: the corners where sides are great circles."""
    return box.outline(9)[:-1] if box.width_deg <= 180 else box.outline(721)


def _nearest_form(box: SphericalBox, rotation: Float[ndarray, "3 3"]) -> tuple[ndarray, tuple[Degrees, Degrees]]:
    """The same box with the roll that is nearest to another rotation: turned by 180°, or by 90° with sides swapped."""
    quarter = rotation_matrix(0, 0, 90)
    forms = [(box.rotation, (box.width_deg, box.height_deg))]
    if box.width_deg <= 180:
        forms.append((box.rotation @ quarter, (box.height_deg, box.width_deg)))
    forms += [(frame @ quarter @ quarter, size) for frame, size in forms]
    return max(forms, key=lambda form: float(np.trace(rotation.T @ form[0])))


def _numbers(scores: Any, boxes: Sequence[SphericalBox]) -> Float[ndarray, " boxes"]:
    with boundary("scores must be numbers", "pass a list, an array or a tensor on the CPU"):
        values = np.asarray(scores, dtype=np.float64)
    if values.shape != (len(boxes),):
        raise PanoramaError(f"scores must be one number for each of the {len(boxes)} boxes, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise PanoramaError(f"scores must be finite, got {values[~np.isfinite(values)][0]}")
    return values


def _labels(labels: Sequence[Hashable] | None, boxes: Sequence[SphericalBox]) -> list[Hashable]:
    if labels is None:
        return [None] * len(boxes)
    with boundary("labels must be a list of names or numbers", "pass one label per box"):
        names = [label.item() if hasattr(label, "item") else label for label in labels]  # numbers of arrays and tensors
        hash(tuple(names))
    if len(names) != len(boxes):
        raise PanoramaError(f"labels must be one label for each of the {len(boxes)} boxes, got {len(names)}")
    return names
