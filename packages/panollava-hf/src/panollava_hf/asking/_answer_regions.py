"""The regions of an answer: what a strategy looked at more closely, and boxes that a model writes into its answer.

A box counts only if its syntax is that of a box, and if it is clear to which image it belongs: there is one image, or
the answer says "Image 2" before it, or `"image": 2` in the same object.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from panollava_geometry import PerspectiveView, SphericalBox, ViewPlan

from panollava_hf.asking._boxes import has_boxes, parse_boxes
from panollava_hf.asking._directions import direction
from panollava_hf.asking._regions import Region, box_around, upright

_OBJECT = re.compile(r"\{[^{}]{0,2000}\}")
_NUMBER = re.compile(r"[\"']image(?:_?(?:id|index|number))?[\"'] ?: ?[\"']?(?:image ?)?(\d{1,4})\b", re.IGNORECASE)
_TITLE = re.compile(r"\b(?:image|view) (\d{1,4})\b", re.IGNORECASE)
_SAMPLES = 32


def regions_of(
    looked_at: tuple[Any, ...], text: str, plan: ViewPlan, size: tuple[int, int], box_format: str
) -> tuple[Region, ...]:
    """The regions of an answer.

    Args:
        looked_at: Views or regions that the strategy looked at more closely; if there are any, they are the result.
        text: The answer.
        plan: The views that the model saw.
        size: Their height and width in pixels.
        box_format: How the family of the model writes boxes.
    """
    if looked_at:
        return tuple(_of_view(number, part) for number, part in enumerate(looked_at))
    if not has_boxes(text):
        return ()
    found = []
    for number, part in _by_image(text, len(plan)):
        for entry in parse_boxes(part, box_format, size).boxes:
            box = _on_sphere(plan[number], entry.box)
            if box is not None:
                found.append(Region(entry.label, box, number, (number,)))
    return tuple(found)


def _of_view(number: int, part: Any) -> Any:
    if not isinstance(part, PerspectiveView):
        return part
    box = SphericalBox.from_view_box(part, (0.0, 0.0, 1.0, 1.0))
    return Region(direction(part.yaw_deg, part.pitch_deg), box, number, (number,))


def _by_image(text: str, images: int) -> Iterator[tuple[int, str]]:
    """Parts of an answer, each with the index of the one image that it is about."""
    if images == 1:
        yield 0, text
        return
    rest = text
    for part in _OBJECT.findall(text):
        if (number := _NUMBER.search(part)) is not None:
            rest = rest.replace(part, " ")
            if 1 <= int(number[1]) <= images:
                yield int(number[1]) - 1, part
    titles = list(_TITLE.finditer(rest))
    for place, title in enumerate(titles):
        end = titles[place + 1].start() if place + 1 < len(titles) else len(rest)
        part = rest[title.end() : end]
        if 1 <= int(title[1]) <= images and has_boxes(part):
            yield int(title[1]) - 1, part


def _on_sphere(view: Any, box: tuple[float, float, float, float]) -> SphericalBox | None:
    """A box on the sphere; None if the view shows nothing there, as outside of the circle of a fisheye image."""
    if isinstance(view, PerspectiveView):
        return upright(SphericalBox.from_view_box(view, box))
    left, top, right, bottom = box
    step = np.linspace(0, 1, _SAMPLES)
    x, y = np.meshgrid(left + (right - left) * step, top + (bottom - top) * step)
    points = np.stack([x.ravel(), y.ravel()], axis=-1)
    rays = view.point_to_ray(points)
    back, seen = view.ray_to_point(rays)
    rays = rays[seen & (np.abs(np.nan_to_num(back, nan=9.0) - points) < 1e-6).all(axis=-1)]
    return box_around(rays) if len(rays) else None
