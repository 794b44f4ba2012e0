"""`locate`: ask for the boxes of something in each view, and report where it is on the panorama.

First all views of a plan are asked at once. Then objects that no view shows whole, or that are far from the axis of
their view, are asked for again in a view of their own: the box of a rectangle is exact in the centre of a view only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from panollava_geometry import PerspectiveView, ViewPlan, extract_views

from panollava_hf._errors import ChatError
from panollava_hf.asking._boxes import box_question, check_box_format, parse_boxes
from panollava_hf.asking._chat import Chat, Reply, Request
from panollava_hf.asking._directions import label
from panollava_hf.asking._families import Labels
from panollava_hf.asking._messages import view_messages
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking._regions import Region, Sighting, best_of, group, regions, sightings, union, without_parts

#: A ring in steps of 45° that are 100° wide, up and down: neighbours share 55°, so most objects are whole in a view.
LOCATE_PLAN = ViewPlan(
    PerspectiveView(yaw, pitch, hfov_deg=100.0)
    for yaw, pitch in (*((step * 45.0 - 180, 0.0) for step in range(1, 9)), (0.0, 90.0), (0.0, -90.0))
)
ONE_VIEW = "This is one perspective view of a 360° panorama."
#: Maximum length of a reply, in tokens.
MAX_NEW_TOKENS = 1024
#: How often objects are asked for again, and how many of them at most.
ROUNDS, MAX_AGAIN = 3, 24
#: Field of view of a view of an object's own, in degrees: its size times this plus a margin, within limits.
_FACTOR, _FACTOR_IF_CUT, _MARGIN_DEG, _LIMITS_DEG = 1.4, 2.2, 12.0, (40.0, 120.0)


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
    """

    regions: tuple[Region, ...]
    replies: tuple[ViewReply, ...]
    calls: int
    image_tokens: int | None
    new_tokens: int | None
    prompt_tokens: int | None

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each view whose reply was not used in full."""
        return tuple(f"{label(reply.view)}: {reply.problem}" for reply in self.replies if reply.problem)


def locate(
    chat: Chat,
    panorama: Any,
    what: str,
    *,
    plan: ViewPlan = LOCATE_PLAN,
    view_size: int | None = None,
    labels: Labels | None = None,
    system: str | None = None,
    box_format: str | None = None,
    look_again: bool = True,
    max_new_tokens: int | None = None,
) -> Locations:
    """Find something in a panorama.

    Args:
        chat: The model.
        panorama: Path, URL, bytes, PIL image, `[H, W, 3]` array, `[3, H, W]` tensor, or a `Panorama`.
        what: What to find, such as "the red door".
        plan: Perspective views that together see the whole panorama.
        view_size: Height and width of a view in pixels; default: that of the model's family.
        labels: Where the direction of a view is written; default: in a text. A strip in the image hides a part of it.
        system: A system prompt.
        box_format: How the model writes boxes, one of `BOX_FORMATS`; default: that of its family.
        look_again: Ask again for objects that no view shows whole and near its centre, in views of their own.
        max_new_tokens: Maximum length of a reply, in tokens; default: 1024.

    Raises:
        PanoramaError: The panorama cannot be read.
        ChatError: The model writes no boxes, `what` is empty, a view is not a perspective view, or no reply could be
            used.
    """
    family = chat.family
    if family.reads_panoramas:
        raise ChatError(
            f"{chat.name}: PanoLLaVA checkpoints answer in words, not in boxes; use a model that writes boxes, such as "
            "Qwen/Qwen3-VL-2B-Instruct"
        )
    if not what.strip():
        raise ChatError("what to find is empty; name it, such as 'the red door'")
    if not all(isinstance(view, PerspectiveView) for view in plan):
        raise ChatError("the plan has a view that is not a perspective view; boxes need perspective views")
    box_format = check_box_format(box_format or family.box_format)
    size = view_size or family.view_size
    question = box_question(what, box_format)
    source = Panorama.load(panorama)
    replies: list[ViewReply] = []
    usage: list[Reply] = []
    errors: list[ChatError] = []

    def look(views: Sequence[Any]) -> list[Sighting]:
        """Ask about views, and read the boxes in the replies."""
        images = extract_views(source.image, ViewPlan(views), (size, size))
        messages = [
            view_messages(
                image[None], [label(view)], question, labels=labels or "text", frame_sentence=ONE_VIEW, system=system
            )
            for image, view in zip(images, views, strict=True)
        ]
        found: list[Sighting] = []
        requests = [Request(message, max_new_tokens or MAX_NEW_TOKENS) for message in messages]
        for view, reply in zip(views, chat.reply(requests), strict=True):
            if isinstance(reply, ChatError):
                errors.append(reply)
                replies.append(ViewReply(view, "", str(reply)))
                continue
            usage.append(reply)
            parsed = parse_boxes(reply.text, box_format, (size, size))
            found += sightings(len(replies), view, parsed.boxes)
            replies.append(ViewReply(view, reply.text, parsed.problem))
        return found

    found = look(tuple(plan))
    if len(errors) == len(replies):
        raise errors[0]
    if not found and all(reply.problem for reply in replies):
        raise ChatError(f"{chat.name}: {replies[0].problem}; choose another --box-format, or a model that writes boxes")
    groups = without_parts(group(found))
    for _ in range(ROUNDS if look_again else 0):
        asked = {(reply.view.yaw_deg, reply.view.pitch_deg, reply.view.hfov_deg) for reply in replies}
        again = [own_view(members) for members in groups if not best_of(members).settled]
        again = [view for view in dict.fromkeys(again) if (view.yaw_deg, view.pitch_deg, view.hfov_deg) not in asked]
        if not again:
            break
        found += look(again[:MAX_AGAIN])
        groups = without_parts(group(found))
    return Locations(
        tuple(regions(groups, what.strip())),
        tuple(replies),
        len(usage),
        _total([reply.image_tokens for reply in usage]),
        _total([reply.new_tokens for reply in usage]),
        _total([reply.prompt_tokens for reply in usage]),
    )


def own_view(members: Sequence[Sighting]) -> PerspectiveView:
    """A view of one object: it is in the centre, and a margin around it shows what it might be cut by.

    Directions are whole degrees, so that the label of the view is exact.
    """
    best = best_of(members)
    box = union(members) if best.cut else best.region
    factor = _FACTOR_IF_CUT if best.cut else _FACTOR
    fov = float(np.clip(round(factor * max(box.width_deg, box.height_deg) + _MARGIN_DEG), *_LIMITS_DEG))
    yaw = (round(box.yaw_deg) + 179) % 360 - 179
    return PerspectiveView(float(yaw), float(round(box.pitch_deg)), hfov_deg=fov)


def _total(counts: Sequence[int | None]) -> int | None:
    """The sum; None if one of them is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
