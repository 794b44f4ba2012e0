"""Boxes in views become regions of the panorama: each object once, whole, with its direction.

A sighting is a box in one view. Sightings in different views are the same object if their boxes agree where both views
look. A box that touches the border of its view shows only a part of an object.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from panollava_geometry import PerspectiveView, SphericalBox

from panollava_hf.asking._boxes import ViewBox

#: A box this close to the border of its view, as a fraction of the view, is cut by it.
_BORDER = 0.015
#: Two boxes in one view that share more than this are one object that the model listed twice.
_TWICE = 0.85
#: Two sightings are one object if, where both views look, their boxes share at least this; more for other labels.
_SAME, _SAME_WITH_OTHER_LABEL = 0.4, 0.75
#: A part of an object belongs to a whole one if at least this much of it is inside of the whole one's box and a margin.
#: Neighbouring views overlap by more than most objects are wide, so another object would be whole in another view.
_PART, _PART_MARGIN_DEG = 0.5, 1.5
#: Final boxes that share more than this are one object.
_SAME_BOX = 0.6
#: A box is exact enough if its centre is at most this far from the axis of its view, and its sides are turned against
#: up and down by at most this. Near a pole "up" changes from degree to degree, so it must be closer.
_OFF_AXIS_DEG, _TURNED_DEG = 12.0, 4.0
_NEAR_POLE_DEG, _OFF_AXIS_NEAR_POLE_DEG, _TURNED_NEAR_POLE_DEG = 55.0, 2.5, 0.8
#: So close to a pole, "up" at the centre of a box would be noise. There, a box keeps the frame of yaw 0 at the pole.
_AT_POLE_DEG = 3.0
#: From this pitch on, an object is looked at in views of the pole that are turned by these yaws, too.
TURN_FROM_DEG, TURNED_YAWS_DEG = 72.0, (22.0, 45.0, 67.0)
#: From this pitch on, boxes are computed from these views.
_SHAPE_FROM_DEG = 84.0
#: Samples per side of a box, to measure what two boxes share.
_SAMPLES = 32


@dataclass(frozen=True)
class Region:
    """A part of the panorama in which a model found something.

    Attributes:
        label: What the model calls it.
        box: Where it is.
        view: Number of the view whose box was used.
        views: Numbers of all views in which it was found.
    """

    label: str
    box: SphericalBox
    view: int
    views: tuple[int, ...]


@dataclass(frozen=True)
class Sighting:
    """A box in one view.

    Attributes:
        number: Number of the view.
        camera: The view.
        label: What the model calls it.
        box: Left, top, right and bottom as fractions of the view.
    """

    number: int
    camera: PerspectiveView
    label: str
    box: tuple[float, float, float, float]

    @property
    def cut(self) -> bool:
        """Whether the box touches the border of the view, so that a part of the object may be outside."""
        return min(self.box[:2]) < _BORDER or max(self.box[2:]) > 1 - _BORDER

    @cached_property
    def region(self) -> SphericalBox:
        """The box on the sphere."""
        return SphericalBox.from_view_box(self.camera, self.box)

    @cached_property
    def off_axis_deg(self) -> float:
        """Angle between the centre of the box and the axis of the view."""
        return float(np.degrees(np.arccos(np.clip(self.region.rotation[:, 2] @ self.camera.rotation[:, 2], -1, 1))))

    @property
    def near_pole(self) -> bool:
        """Whether the sides of a box turn noticeably with its centre."""
        return abs(self.region.pitch_deg) > _NEAR_POLE_DEG

    @property
    def settled(self) -> bool:
        """Whether the box is whole and exact."""
        off_axis = _OFF_AXIS_NEAR_POLE_DEG if self.near_pole else _OFF_AXIS_DEG
        turned = _TURNED_NEAR_POLE_DEG if self.near_pole else _TURNED_DEG
        return not self.cut and self.off_axis_deg <= off_axis and abs(turned_deg(self.region)) <= turned

    @property
    def doubt(self) -> tuple[bool, float]:
        """The less, the better does this view show the object: cut, then how far off the axis and turned."""
        return self.cut, self.off_axis_deg + abs(turned_deg(self.region))

    @cached_property
    def samples(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rays all over the box `[N, 3]`, and the solid angle of each."""
        left, top, right, bottom = self.box
        step = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
        x, y = np.meshgrid(left + (right - left) * step, top + (bottom - top) * step)
        rays = self.camera.pixels_to_rays(np.stack([x.ravel(), y.ravel()], axis=-1), (1, 1))
        depth = rays @ self.camera.rotation[:, 2]
        width, height = 2 * np.tan(np.deg2rad(self.camera.fov_deg) / 2)
        cell = (right - left) * width * (bottom - top) * height / _SAMPLES**2
        return rays, cell * depth**3

    def holds(self, rays: NDArray[np.float64], margin_deg: float = 0.0) -> NDArray[np.bool_]:
        """Which rays are inside of the box, or at most about `margin_deg` outside of it."""
        place, seen = self.camera.rays_to_pixels(rays, (1, 1))
        margin = np.deg2rad(margin_deg) / (2 * np.tan(np.deg2rad(self.camera.hfov_deg) / 2))
        left, top, right, bottom = self.box + margin * np.array([-1, -1, 1, 1])
        x, y = np.nan_to_num(place, nan=-1.0).T
        return np.asarray(seen & (x >= left) & (x <= right) & (y >= top) & (y <= bottom))


def sightings(number: int, camera: PerspectiveView, boxes: Iterable[ViewBox]) -> list[Sighting]:
    """The boxes of one view; an object that the model lists twice counts once."""
    found: list[Sighting] = []
    for entry in boxes:
        here = Sighting(number, camera, entry.label, entry.box)
        if all(_flat_iou(here.box, other.box) <= _TWICE for other in found):
            found.append(here)
    return found


def group(found: Sequence[Sighting]) -> list[list[Sighting]]:
    """Group sightings by object. Two boxes in one view are never the same object.

    The pairs that agree best are joined first, so that of two objects next to each other each gets its own.
    """
    pairs = []
    for one in range(len(found)):
        for other in range(one):
            share = agreement(found[one], found[other]) if found[one].number != found[other].number else 0.0
            alike = _word(found[one].label) == _word(found[other].label)
            if share >= (_SAME if alike else _SAME_WITH_OTHER_LABEL):
                pairs.append((share, one, other))
    groups = [[sighting] for sighting in found]
    place = list(range(len(found)))
    for _, one, other in sorted(pairs, reverse=True):
        first, second = place[one], place[other]
        if first == second or {s.number for s in groups[first]} & {s.number for s in groups[second]}:
            continue
        groups[first] += groups[second]
        groups[second] = []
        place = [first if at == second else at for at in place]
    return [members for members in groups if members]


def agreement(one: Sighting, other: Sighting) -> float:
    """Intersection over union of two boxes, where both views look; 0 if one of them has nothing there."""
    rays, weights = one.samples
    both = other.camera.rays_to_pixels(rays, (1, 1))[1]
    mine = float(weights[both].sum())
    shared = float(weights[other.holds(rays)].sum())
    rays, weights = other.samples
    theirs = float(weights[one.camera.rays_to_pixels(rays, (1, 1))[1]].sum())
    union = mine + theirs - shared
    return shared / union if union > 0 else 0.0


def covered(part: Sighting, whole: Sighting) -> float:
    """How much of one box is inside of another one, with a margin, in [0, 1]."""
    rays, weights = part.samples
    return float(weights[whole.holds(rays, _PART_MARGIN_DEG)].sum() / weights.sum())


def best_of(members: Sequence[Sighting]) -> Sighting:
    """The sighting that shows an object best: whole, then close to the axis of its view and upright."""
    return min(members, key=lambda sighting: sighting.doubt)


def without_parts(groups: Sequence[list[Sighting]]) -> list[list[Sighting]]:
    """Groups that show only a part of an object are added to the group that shows it whole, if there is one."""
    whole = [members for members in groups if not best_of(members).cut]
    rest = []
    for members in groups:
        best = best_of(members)
        if best.cut:
            shares = [covered(best, best_of(others)) for others in whole if _alike(best, best_of(others))]
            if shares and max(shares) >= _PART:
                continue
            rest.append(members)
    return [*whole, *rest]


def regions(groups: Sequence[list[Sighting]], label: str) -> list[Region]:
    """One region for each object, from left to right as in the panorama.

    Args:
        groups: The sightings of each object.
        label: The label of objects that the model gives none.
    """
    placed = []
    for members in groups:
        best = best_of(members)
        box = union(members) if best.cut else (None if exact(best) else around_shape(members)) or upright(best.region)
        placed.append((best.doubt if not best.cut else (True, -box.area), members, best, box))
    found: list[Region] = []
    for _, members, best, box in sorted(placed, key=lambda place: place[0]):
        name = best.label or label
        if any(box.iou(other.box) > _SAME_BOX and best.number != other.view for other in found):
            continue
        if best.cut and any(_is_part(box, best, name, other) for other in found):
            continue
        views = tuple(sorted({member.number for member in members}))
        found.append(Region(name, box, best.number, views))
    return sorted(found, key=lambda region: (region.box.yaw_deg, -region.box.pitch_deg))


def _is_part(box: SphericalBox, best: Sighting, name: str, other: Region) -> bool:
    """Whether a box that is cut by its view is a part of an object that is found in other views."""
    if best.number in other.views or _word(name) != _word(other.label):
        return False
    return box.intersection(other.box) >= _PART * box.area


def turned_deg(box: SphericalBox) -> float:
    """The roll of a box; at a pole, its angle to the frame of a view of yaw 0."""
    if abs(box.pitch_deg) <= 90 - _AT_POLE_DEG:
        return box.roll_deg
    return (box.roll_deg - math.copysign(1.0, box.pitch_deg) * box.yaw_deg + 180) % 360 - 180


def upright(box: SphericalBox) -> SphericalBox:
    """The box that is not turned around what fills a box as an ellipse fills a rectangle."""
    turned = turned_deg(box)
    across, along = math.cos(math.radians(turned)), math.sin(math.radians(turned))
    width = min(math.hypot(box.width_deg * across, box.height_deg * along), 360.0)
    height = min(math.hypot(box.width_deg * along, box.height_deg * across), 180.0)
    roll = (box.roll_deg - turned + 180) % 360 - 180
    return SphericalBox(box.yaw_deg, box.pitch_deg, width, height, round(roll, 9) + 0.0)


def union(members: Sequence[Sighting]) -> SphericalBox:
    """The box around several sightings, without roll."""
    if len(members) == 1:
        return upright(members[0].region)
    return box_around(np.concatenate([member.samples[0] for member in members]))


def exact(best: Sighting) -> bool:
    """Whether the box of one view is the result. Closer to a pole, a box in any view is turned against the result."""
    return best.settled and abs(best.region.pitch_deg) < _SHAPE_FROM_DEG


def around_shape(members: Sequence[Sighting]) -> SphericalBox | None:
    """The box without roll of an object near a pole, from its boxes in views that are turned against each other.

    Near a pole "up" turns with the centre of a box, so no single view has the sides of the result. What lies in all
    boxes is nearly the object, and its box can be computed. None if there are too few views, or no box without roll has
    the object in its middle.

    Args:
        members: The sightings of the object.
    """
    whole = sorted((member for member in members if not member.cut), key=lambda member: member.region.area)
    if not whole or abs(whole[0].region.pitch_deg) < TURN_FROM_DEG or len(whole) < len(TURNED_YAWS_DEG):
        return None
    left, top, right, bottom = whole[0].box
    x, y = np.meshgrid(np.linspace(left, right, 2 * _SAMPLES), np.linspace(top, bottom, 2 * _SAMPLES))
    rays = whole[0].camera.pixels_to_rays(np.stack([x.ravel(), y.ravel()], axis=-1), (1, 1))
    for member in whole[1:]:
        rays = rays[member.holds(rays)]
    if len(rays) < 3:
        return None
    centre = rays.mean(axis=0)
    for _ in range(200):
        yaw, pitch = _angles(centre)
        frame = SphericalBox(yaw, pitch, 1, 1).rotation
        right_, up, forward = np.moveaxis(rays @ frame, -1, 0)
        across, along = np.arctan2(right_, forward), np.arctan2(up, forward)
        middle = np.array([across.min() + across.max(), along.min() + along.max()]) / 2
        if np.abs(middle).max() < 1e-4:
            return SphericalBox(yaw, pitch, *np.degrees([np.ptp(across), np.ptp(along)]).tolist())
        centre = frame @ np.array([*np.tan(0.3 * middle), 1.0])
    return None


def box_around(rays: NDArray[np.float64]) -> SphericalBox:
    """The box without roll around rays `[N, 3]`."""
    centre = rays.mean(axis=0)
    for _ in range(8):
        yaw, pitch = _angles(centre)
        right, up, forward = np.moveaxis(rays @ SphericalBox(yaw, pitch, 1, 1).rotation, -1, 0)
        if forward.min() < 0.1:  # more than 84° from the centre: no flat rectangle
            return _around(rays)
        x, y = np.arctan2(right, forward), np.arctan2(up, forward)
        middle = np.tan([(x.min() + x.max()) / 2, (y.min() + y.max()) / 2])
        centre = SphericalBox(yaw, pitch, 1, 1).rotation @ np.array([*middle, 1.0])
    return SphericalBox(yaw, pitch, *np.degrees([np.ptp(x), np.ptp(y)]).tolist())


def _around(rays: NDArray[np.float64]) -> SphericalBox:
    """A band around the vertical axis: from the largest gap between longitudes to itself."""
    longitude = np.sort(np.arctan2(rays[:, 0], rays[:, 2]))
    gaps = np.diff(np.append(longitude, longitude[0] + 2 * np.pi))
    at = int(gaps.argmax())
    width = float(min(np.degrees(2 * np.pi - gaps[at]) + 1e-6, 360))
    yaw = float(np.degrees(longitude[(at + 1) % len(longitude)])) + width / 2
    height = 2 * float(np.degrees(np.abs(np.arcsin(np.clip(rays[:, 1], -1, 1))).max()))
    return SphericalBox(
        (yaw + 180) % 360 - 180, 0.0, 360.0 if gaps[at] < 0.1 else max(width, 181.0), min(height, 180.0)
    )


def _angles(ray: NDArray[np.float64]) -> tuple[float, float]:
    return (
        float(np.degrees(np.arctan2(ray[0], ray[2]))),
        float(np.degrees(np.arctan2(ray[1], np.hypot(ray[0], ray[2])))),
    )


def _alike(one: Sighting, other: Sighting) -> bool:
    return _word(one.label) == _word(other.label)


def _word(label: str) -> str:
    """A label without case, articles and a plural s; a missing label is like any other."""
    words = [word for word in label.lower().split() if word not in ("a", "an", "the")]
    return " ".join(words).rstrip("s.")


def _flat_iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)
