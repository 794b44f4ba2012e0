"""Hot spots of an answer: the regions and directions that it names, and the objects that it is about."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from panollava_hf._shown import shortened
from panollava_hf.asking._directions import direction
from panollava_hf.demo._named_directions import NamedDirection, named_directions
from panollava_hf.demo._objects import Area, NamedObject, areas_of, named_objects

if TYPE_CHECKING:
    from torch import Tensor

    from panollava_hf.asking import Answer, Region

#: Most hot spots of an answer.
MAX_SPOTS = 24
#: A border between two sectors, and the smallest difference of yaw that the model tells apart at a border.
_BORDER_DEG, _LEAST_GAP_DEG = 112.5, 3.0
#: Asks the model where objects are, each on the panorama turned to the right by some degrees; returns its words.
AskWhere = Callable[[Sequence[str], Sequence[float]], Sequence[str]]


@dataclass(frozen=True)
class HotSpot:
    """A place on the panorama that an answer names.

    Attributes:
        label: What is there.
        yaw_deg: Yaw of its centre.
        pitch_deg: Pitch of its centre.
        kind: "region", a box; "object", an object found in the image; "direction", a direction named in words.
        how: How the place was found, for the page.
    """

    label: str
    yaw_deg: float
    pitch_deg: float
    kind: str
    how: str

    def to_dict(self) -> dict[str, Any]:
        """What the viewer gets."""
        return {
            "label": self.label,
            "yaw": round(self.yaw_deg, 2),
            "pitch": round(self.pitch_deg, 2),
            "kind": self.kind,
        }

    @property
    def words(self) -> str:
        """The direction in words."""
        return direction(self.yaw_deg, self.pitch_deg)


def spots_of(question: str, answer: "Answer", image: "Tensor", ask_where: AskWhere | None = None) -> list[HotSpot]:
    """The hot spots of an answer.

    Args:
        question: The question.
        answer: The answer.
        image: The panorama, `[3, H, 2H]` uint8.
        ask_where: Asks the model where objects are that the answer does not place, or of which the panorama shows
            several candidates; None asks nothing.
    """
    spots = region_spots(answer.regions)
    objects = named_objects(question, answer.text)
    unplaced = [entry.name for entry in objects if entry.direction is None]
    replies: dict[str, str] = {}
    if unplaced and ask_where is not None:
        replies = dict(zip(unplaced, ask_where(unplaced, [0.0] * len(unplaced)), strict=True))
    used: list[NamedDirection] = []
    for entry in objects:
        place = entry.direction
        if place is None:
            place = next(iter(named_directions(replies.get(entry.name, ""))), None)
        spot = None if place is None else object_spot(entry, place, image, ask_where)
        if spot is not None:
            spots.append(spot)
            used += [place] if place is not None else []
    for named in named_directions(answer.text):
        if any((named.yaw_deg, named.pitch_deg) == (place.yaw_deg, place.pitch_deg) for place in used):
            continue
        spots.append(HotSpot(named.words, named.yaw_deg, named.pitch_deg, "direction", "named in the answer"))
    return spots[:MAX_SPOTS]


def region_spots(regions: "Sequence[Region]") -> list[HotSpot]:
    """The centres of boxes."""
    return [
        HotSpot(
            shortened(region.label, 60) or direction(region.box.yaw_deg, region.box.pitch_deg),
            region.box.yaw_deg,
            region.box.pitch_deg,
            "region",
            f"box of {region.box.width_deg:.0f}° by {region.box.height_deg:.0f}°",
        )
        for region in regions
    ]


def object_spot(
    entry: NamedObject, place: NamedDirection, image: "Tensor", ask_where: AskWhere | None = None
) -> HotSpot:
    """Where a coloured object is in a direction that the model named; the direction if its colour is not there."""
    areas = areas_of(image, entry.colour, place)
    if not areas:
        return HotSpot(entry.name, place.yaw_deg, place.pitch_deg, "direction", f"the model says: {place.words}")
    area = areas[0] if ask_where is None else _chosen(entry.name, areas, ask_where)
    how = f"the model says: {place.words}; centred on the {entry.colour} area there"
    return HotSpot(entry.name, area.yaw_deg, area.pitch_deg, "object", how)


def _chosen(name: str, areas: Sequence[Area], ask_where: AskWhere) -> Area:
    """Which of several areas of one colour is the object.

    The panorama is turned until the border between two sectors lies between two areas; then the model's answer says on
    which side the object is.
    """
    chosen, *others = areas
    for other in others:
        gap = (other.yaw_deg - chosen.yaw_deg + 180) % 360 - 180
        if abs(gap) < _LEAST_GAP_DEG:
            continue
        middle = chosen.yaw_deg + gap / 2
        turned = _BORDER_DEG - middle  # the middle then lies on the border between right and back right
        (words,) = ask_where([name], [turned])
        places = named_directions(words)
        if places and abs(places[0].pitch_deg) < 45:
            side = (places[0].yaw_deg - _BORDER_DEG + 180) % 360 - 180
            if side * gap > 0:
                chosen = other
    return chosen
