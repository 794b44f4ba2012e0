"""`locate`: ask for the boxes of something in each view, and report where it is on the panorama.

First all views of a plan are asked at once. Then objects that no view shows whole, or that are far from the axis of
their view, are asked for again in a view of their own: the box of a rectangle is exact in the centre of a view only.
Objects near a pole are asked for in turned views of the pole, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from panollava_geometry import PerspectiveView, ViewPlan, extract_views

from panollava_hf._errors import ChatError
from panollava_hf.asking._boxes import box_question, check_box_format, parse_boxes
from panollava_hf.asking._budget import Budget
from panollava_hf.asking._chat import Chat, Reply, Request, total
from panollava_hf.asking._cost import Cost, Usage
from panollava_hf.asking._directions import label
from panollava_hf.asking._families import Labels
from panollava_hf.asking._messages import view_messages
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking._regions import (
    TURN_FROM_DEG,
    TURNED_YAWS_DEG,
    Region,
    Sighting,
    best_of,
    exact,
    group,
    regions,
    sightings,
    union,
    without_parts,
)

#: A ring in steps of 45° that are 100° wide, up and down: neighbours share 55°, so most objects are whole in a view.
LOCATE_PLAN = ViewPlan(
    PerspectiveView(yaw, pitch, hfov_deg=100.0)
    for yaw, pitch in (*((step * 45.0 - 180, 0.0) for step in range(1, 9)), (0.0, 90.0), (0.0, -90.0))
)
ONE_VIEW = "This is one perspective view of a 360° panorama."
#: Maximum length of a reply, in tokens.
MAX_NEW_TOKENS = 1024
#: How often objects are asked for again, and how many further calls there are at most.
ROUNDS, MAX_AGAIN = 6, 24
#: Field of view of a view of an object's own, in degrees: its size times this plus a margin, within limits.
_FACTOR, _FACTOR_IF_CUT, _MARGIN_DEG, _LIMITS_DEG = 1.4, 2.2, 12.0, (40.0, 120.0)
#: How far a view goes to the centre of a box near a pole that was found in a view of its own.
_STEP = 0.5
#: Pixels around the panorama that a view needs, per pixel of its side, at the smallest field of view.
_WIDTH_PER_PIXEL = 10


@dataclass(frozen=True)
class ViewReply:
    """What the model replied about one view.

    Attributes:
        view: The view.
        text: The reply; empty if there was none.
        problem: Why the reply was not used in full, as one line; empty if it was.
    """

    view: PerspectiveView
    text: str
    problem: str = ""


@dataclass(frozen=True)
class Locations:
    """Where something is on the panorama.

    Attributes:
        regions: One for each object, from left to right; empty if nothing was found.
        replies: What the model replied about each view; `Region.view` is an index into it.
        calls: Number of calls of the model that were answered.
        image_tokens: Number of tokens of all images; None if the model does not say.
        new_tokens: Number of generated tokens; None if the model does not say.
        prompt_tokens: Number of tokens of all prompts; None if the model does not say.
        box_format: How the model was asked to write boxes.
    """

    regions: tuple[Region, ...]
    replies: tuple[ViewReply, ...]
    calls: int
    image_tokens: int | None
    new_tokens: int | None
    prompt_tokens: int | None
    box_format: str

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each view whose reply was not used in full."""
        return tuple(f"{label(reply.view)}: {reply.problem}" for reply in self.replies if reply.problem)


@dataclass(frozen=True)
class Search:
    """What is looked for, and how views are shown.

    Args:
        chat: The model.
        what: What to find, such as "the red door".
        plan: Perspective views that together see the whole panorama.
        size: Height and width of a view in pixels.
        labels: Where the direction of a view is written. A strip in the image hides a part of it.
        system: A system prompt.
        box_format: How the model writes boxes, one of `BOX_FORMATS`.
        look_again: Ask again for objects that no view shows whole and near its centre, in views of their own.
        max_new_tokens: Maximum length of a reply, in tokens.

    Raises:
        ChatError: The model writes no boxes, `what` is empty, or a view is not a perspective view.
    """

    chat: Chat
    what: str
    plan: ViewPlan
    size: int
    labels: Labels = "text"
    system: str | None = None
    box_format: str = "qwen3-vl"
    look_again: bool = True
    max_new_tokens: int = MAX_NEW_TOKENS

    def __post_init__(self) -> None:
        if self.chat.family.reads_panoramas:
            raise ChatError(
                f"{self.chat.name}: PanoLLaVA checkpoints answer in words, not in boxes; use a model that writes "
                "boxes, such as Qwen/Qwen3-VL-2B-Instruct"
            )
        if not self.what.strip():
            raise ChatError("what to find is empty; name it, such as 'the red door'")
        if not all(isinstance(view, PerspectiveView) for view in self.plan):
            raise ChatError("the plan has a view that is not a perspective view; boxes need perspective views")
        check_box_format(self.box_format)

    def requests(self, panorama: Panorama, views: Sequence[Any], purpose: str) -> list[Request]:
        """The question about each of some views."""
        question = box_question(self.what, self.box_format)
        images = extract_views(panorama.image, ViewPlan(views), (self.size, self.size))
        shown: dict[str, Any] = {"labels": self.labels, "frame_sentence": ONE_VIEW, "system": self.system}
        return [
            Request(
                view_messages(image[None], [f"{label(view)}, field of view {view.hfov_deg:.0f}°"], question, **shown),
                self.max_new_tokens,
                purpose=purpose,
            )
            for image, view in zip(images, views, strict=True)
        ]


def read_panorama(source: Any, size: int) -> Panorama:
    """Decode a panorama as finely as views of this size need.

    Raises:
        PanoramaError: It cannot be read.
    """
    return Panorama.load(source, max_width=_WIDTH_PER_PIXEL * size)


def locate(search: Search, panorama: Panorama, *, budget: Budget | None = None) -> Locations:
    """Find something in a panorama.

    Args:
        search: What is looked for.
        panorama: The panorama.
        budget: The most calls and tokens; what the first look needs is checked before anything runs.

    Raises:
        ChatError: No reply could be used, or the budget does not suffice.
    """
    if budget is not None:
        budget.check(locate_cost(search, panorama))
    replies: list[ViewReply] = []
    usage: list[Reply] = []
    errors: list[ChatError] = []

    def look(views: Sequence[Any], purpose: str) -> list[Sighting]:
        """Ask about views, and read the boxes in the replies."""
        found: list[Sighting] = []
        for view, reply in zip(views, search.chat.reply(search.requests(panorama, views, purpose)), strict=True):
            if isinstance(reply, ChatError):
                errors.append(reply)
                replies.append(ViewReply(view, "", str(reply)))
                continue
            usage.append(reply)
            parsed = parse_boxes(reply.text, search.box_format, (search.size, search.size))
            found += sightings(len(replies), view, parsed.boxes)
            replies.append(ViewReply(view, reply.text, parsed.problem))
        return found

    found = look(tuple(search.plan), "find")
    if len(errors) == len(replies):
        raise errors[0]
    if not found and all(reply.problem for reply in replies):
        raise ChatError(
            f"{search.chat.name}: {replies[0].problem}; choose another --box-format, or a model that writes boxes"
        )
    groups = without_parts(group(found))
    left = MAX_AGAIN if search.look_again else 0
    for _ in range(ROUNDS):
        asked = {reply.view for reply in replies}
        again = dict.fromkeys(view for members in groups for view in further_views(members, len(search.plan)))
        views = [view for view in again if view not in asked][:left]
        if not views:
            break
        left -= len(views)
        found += look(views, "look again")
        groups = without_parts(group(found))
    return Locations(
        tuple(regions(groups, search.what.strip())),
        tuple(replies),
        len(usage),
        total([reply.image_tokens for reply in usage]),
        total([reply.new_tokens for reply in usage]),
        total([reply.prompt_tokens for reply in usage]),
        search.box_format,
    )


def locate_cost(search: Search, panorama: Panorama) -> Cost:
    """What `locate` will cost at most, without running the model: further calls depend on what is found."""
    requests = search.requests(panorama, tuple(search.plan), "find")
    counts = [search.chat.count(request) for request in requests]
    first = Usage(
        len(requests),
        len(requests),
        total([count.image for count in counts]),
        total([count.prompt for count in counts]),
        len(requests) * search.max_new_tokens,
    )
    again = Usage(
        MAX_AGAIN,
        MAX_AGAIN,
        None if counts[0].image is None else MAX_AGAIN * counts[0].image,
        None if counts[0].prompt is None else MAX_AGAIN * counts[0].prompt,
        MAX_AGAIN * search.max_new_tokens,
    )
    steps = {"find": first, "look again": again} if search.look_again else {"find": first}
    both = sum(steps.values(), Usage())
    return Cost("locate", len(search.plan), (search.size, search.size), (both,), steps)


def further_views(members: Sequence[Sighting], first_look: int) -> list[PerspectiveView]:
    """The views in which an object is looked at again; none if its box is exact.

    Args:
        members: The sightings of the object.
        first_look: Number of views of the first look.
    """
    best = best_of(members)
    if exact(best):
        return []
    own = [] if best.settled else [own_view(members, first_look)]
    if best.cut or abs(best.region.pitch_deg) < TURN_FROM_DEG:
        return own
    pole = 90.0 if best.region.pitch_deg > 0 else -90.0
    return [*own, *(PerspectiveView(yaw, pole, hfov_deg=100.0) for yaw in TURNED_YAWS_DEG)]


def own_view(members: Sequence[Sighting], first_look: int) -> PerspectiveView:
    """A view of one object: it is in the centre, and a margin around it shows what it might be cut by.

    Directions are whole degrees, so that the label of the view is exact. Near a pole, the sides of a box turn with its
    centre. There, the view goes only a part of the way to the new centre: the whole way would go beyond it.

    Args:
        members: The sightings of the object.
        first_look: Number of views of the first look.
    """
    best = best_of(members)
    box = union(members) if best.cut else best.region
    factor = _FACTOR_IF_CUT if best.cut else _FACTOR
    fov = float(np.clip(round(factor * max(box.width_deg, box.height_deg) + _MARGIN_DEG), *_LIMITS_DEG))
    yaw, pitch = float(box.yaw_deg), float(box.pitch_deg)
    if best.near_pole:
        own = [member for member in members if member.number >= first_look and not member.cut]
        if own:
            last = max(own, key=lambda member: member.number)
            step = _STEP * last.region.rotation[:, 2] + (1 - _STEP) * last.camera.rotation[:, 2]
            yaw = float(np.degrees(np.arctan2(step[0], step[2])))
            pitch = float(np.degrees(np.arctan2(step[1], np.hypot(step[0], step[2]))))
    yaw = float((round(yaw) + 180) % 360 - 180)
    return PerspectiveView(180.0 if yaw == -180 else yaw, float(round(pitch)), hfov_deg=fov)
