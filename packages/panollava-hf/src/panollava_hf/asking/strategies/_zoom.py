"""As `describe`, then a closer look at the regions that the model names for this question.

Each region is cut out and kept or dropped by a yes/no question: without that question, crops make answers worse
(https://arxiv.org/abs/2510.11549).
"""

import math
import re
from collections.abc import Sequence

from panollava_geometry import PerspectiveView, ViewPlan

from panollava_hf._shown import shortened
from panollava_hf.asking._boxes import has_boxes, parse_boxes
from panollava_hf.asking._chat import Reply, Request
from panollava_hf.asking._directions import label
from panollava_hf.asking._messages import check_question, view_messages
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies._describe import (
    NOTES,
    ONE_VIEW,
    answered,
    described,
    described_line,
    noted,
)
from panollava_hf.asking.strategies._look import Look, Steps, finish
from panollava_hf.asking.strategies._region_lines import MIN_WIDTH_DEG, NamedRegion, read_regions

NAME = (
    "Question: {question}\nDo not answer yet. Which parts of the panorama must be looked at more closely to answer? "
    "Name at most {most} regions, one per line, as yaw, pitch and width in degrees, for example:\n"
    "yaw -45, pitch 10, width 40\n"
    "Yaw 0 is ahead, 90 is right, 180 is behind, -90 is left; pitch 90 is above. If no part is needed, write: none"
)
CHECK = "Does this view help to answer the following question? Answer yes or no.\nQuestion: {question}"
LOOK_CLOSER = "Describe only what in this view helps to answer the following question.\nQuestion: {question}"
CLOSER = "The {count} images below are closer views of parts of one 360° panorama, each with the direction it looks in."
SEEN_CLOSER = "These are notes about closer views that help to answer the question:"
_YES_OR_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
#: The names of views are longest here.
_LONGEST = "\n".join(f"yaw {yaw}, pitch {pitch}, width 40" for pitch in (-50, 50) for yaw in (-135, 135, -45, 45))


def zoom(panorama: Panorama, question: str, look: Look) -> Steps:
    """As `describe`, then a closer look at the regions that the model names for this question.

    With a family that takes fewer images than there are kept views, each of these is asked about by itself, and the
    last call gets the replies as text. Where no region is named or kept, it answers as `describe`, and says so in
    `Outcome.note`.
    """
    check_question(question)
    lines = yield from described(panorama, look)
    _, whole = panorama.whole()
    named = view_messages(
        whole,
        ["the whole panorama"],
        NAME.format(question=question, most=look.max_regions),
        frame_sentence=noted(lines),
        system=look.system,
    )
    largest = "\n".join(_LONGEST.splitlines()[: look.max_regions])
    (reply,) = yield [Request(named, look.max_description_tokens, largest=largest, purpose="name regions")]
    plan = [_view(region, look.size) for region in _regions(reply.text, look, (whole.shape[-2], whole.shape[-1]))]
    if not plan:
        note = f"answered as describe: the model named no region to look at ({shortened(reply.text, 60)!r})"
        return (yield from answered(panorama, question, look, lines, note=note))
    checks = [_about(panorama, view, CHECK, question, look, "check", other="no") for view in plan]
    replies = yield checks
    kept = [view for view, reply in zip(plan, replies, strict=True) if _says_yes(reply.text)]
    if not kept:
        none = "the named region does not help" if len(plan) == 1 else f"none of {len(plan)} named regions helps"
        note = f"answered as describe: {none} to answer, as the model says"
        return (yield from answered(panorama, question, look, lines, note=note))
    limit = look.family.max_images
    if limit is not None and len(kept) > limit:
        seen: list[Reply] = yield [_about(panorama, view, LOOK_CLOSER, question, look, "look closer") for view in kept]
        closer = [described_line(label(view), reply) for view, reply in zip(kept, seen, strict=True)]
        return (yield from answered(panorama, question, look, [*lines, SEEN_CLOSER, *closer], tuple(kept)))
    return (yield from _shown_closer(panorama, question, look, lines, kept))


def most_calls(look: Look) -> int:
    """The most calls that one question can take."""
    limit = look.family.max_images
    closer = look.max_regions if limit is not None and look.max_regions > limit else 0
    return len(look.plan) + 1 + look.max_regions + closer + 1


def _shown_closer(
    panorama: Panorama, question: str, look: Look, lines: Sequence[str], kept: list[PerspectiveView]
) -> Steps:
    """The last call: descriptions, the views of the regions and the question."""
    plan = ViewPlan(kept)
    views = panorama.views(plan, look.size)
    messages = view_messages(
        views,
        [label(view) for view in kept],
        question,
        labels=look.labels,
        frame_sentence="\n".join([NOTES, *lines, CLOSER.format(count=len(kept))]),
        system=look.system,
    )
    return (yield from finish(messages, views, plan, look, tuple(kept)))


def _about(
    panorama: Panorama,
    view: PerspectiveView,
    text: str,
    question: str,
    look: Look,
    purpose: str,
    *,
    other: str | None = None,
) -> Request:
    """A request about the view of one region."""
    messages = view_messages(
        panorama.views(ViewPlan([view]), look.size),
        [label(view)],
        text.format(question=question),
        labels=look.labels,
        frame_sentence=ONE_VIEW,
        system=look.system,
    )
    limit = look.max_description_tokens
    largest = "word " * limit if other is None else "yes"
    return Request(messages, limit, largest=largest, other=other, purpose=purpose)


def _regions(text: str, look: Look, size: tuple[int, int]) -> list[NamedRegion]:
    """The regions that a reply names, also as boxes in the image of the whole panorama."""
    if has_boxes(text):
        boxes = [entry.box for entry in parse_boxes(text, look.family.box_format, size).boxes]
        return read_regions("\n".join(_angles(box) for box in boxes), look.max_regions)
    return read_regions(text, look.max_regions)


def _angles(box: tuple[float, float, float, float]) -> str:
    """Where a box in the whole panorama is, as a line, with a view that shows all of it."""
    left, top, right, bottom = box
    pitch = 90 - 90 * (top + bottom)
    width = max(360 * (right - left) * math.cos(math.radians(pitch)), 180 * (bottom - top))
    return f"yaw {180 * (left + right) - 180:.1f}, pitch {pitch:.1f}, width {min(1.2 * width, 360):.1f}"


def _view(region: NamedRegion, size: tuple[int, int]) -> PerspectiveView:
    """The view that shows a region, with pixels that are as wide as high at its centre."""
    height, width = size
    hfov = max(region.width_deg, MIN_WIDTH_DEG)
    vfov = 2 * math.degrees(math.atan(math.tan(math.radians(hfov) / 2) * height / width))
    return PerspectiveView(region.yaw_deg, region.pitch_deg, hfov_deg=hfov, vfov_deg=vfov)


def _says_yes(text: str) -> bool:
    """Whether the first yes or no of a reply is yes."""
    found = _YES_OR_NO.search(text)
    return found is not None and found[1].lower() == "yes"
