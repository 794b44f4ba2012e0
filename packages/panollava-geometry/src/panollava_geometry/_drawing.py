"""Draw on a panorama what every view of a plan sees, and boxes with their labels."""

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from panollava_geometry._errors import PanoramaError
from panollava_geometry._plan import Views, as_plan
from panollava_geometry._sphere import rays_to_equirect
from panollava_geometry._spherical_box import SphericalBox
from panollava_geometry._tensors import check_panorama

_STEPS = 64
#: Rays along the outline of a box.
_OUTLINE = 721


def draw_footprints(erp: UInt8[Tensor, "3 height width"], plan: Views) -> Image.Image:
    """Draw the outline and the number of every view on a panorama. Outlines continue across the seam.

    Args:
        erp: Panorama `[3, H, 2H]`, uint8, on the CPU.
        plan: The views: a plan, a list of views, or a single view.

    Returns:
        A Pillow image of the size of the panorama.

    Raises:
        PanoramaError: The panorama is not a tensor of the shape 2:1, or the plan is not one.

    Example:
        >>> import torch
        >>> from panollava_geometry import draw_footprints, plan_views
        >>> draw_footprints(torch.zeros(3, 64, 128, dtype=torch.uint8), plan_views("cubemap")).size
        (128, 64)
    """
    check_panorama(erp)
    image = Image.fromarray(erp.permute(1, 2, 0).numpy().copy())
    draw = ImageDraw.Draw(image)
    width, height = image.size
    line = max(2, width // 500)
    font = ImageFont.load_default(size=max(12, width // 40))
    side = np.linspace(0, 1, _STEPS)
    zero, one = np.zeros(_STEPS), np.ones(_STEPS)
    outline = np.concatenate(
        [np.stack(pair, axis=-1) for pair in ((side, zero), (one, side), (side[::-1], one), (zero, side[::-1]))]
    )
    for index, view in enumerate(as_plan(plan)):
        colour = _colour(index)
        inset = 0.002 + 0.996 * outline  # keeps the outline of the global view inside the image
        _draw_line(draw, view.pixels_to_rays(inset, (1, 1)), (width, height), colour, line)
        centre = rays_to_equirect(view.rays((1, 1))[0, 0], (height, width))
        draw.text(
            tuple(centre), str(index), fill=colour, font=font, anchor="mm", stroke_width=line, stroke_fill=(0, 0, 0)
        )
    return image


def draw_boxes(
    erp: UInt8[Tensor, "3 height width"], boxes: Sequence[SphericalBox], labels: Sequence[str] = ()
) -> Image.Image:
    """Draw the curved outlines of boxes on a panorama, each with a label. Outlines continue across the seam.

    Args:
        erp: Panorama `[3, H, 2H]`, uint8, on the CPU.
        boxes: The boxes.
        labels: A label for each box, or none at all. Only the first line and 40 characters are drawn.

    Returns:
        A Pillow image of the size of the panorama.

    Raises:
        PanoramaError: The panorama is not a tensor of the shape 2:1, or there are not as many labels as boxes.

    Example:
        >>> import torch
        >>> from panollava_geometry import SphericalBox, draw_boxes
        >>> draw_boxes(torch.zeros(3, 64, 128, dtype=torch.uint8), [SphericalBox(180, 0, 30, 20)], ["door"]).size
        (128, 64)
    """
    check_panorama(erp)
    if labels and len(labels) != len(boxes):
        raise PanoramaError(f"expected one label for each of the {len(boxes)} boxes, got {len(labels)}")
    image = Image.fromarray(erp.permute(1, 2, 0).numpy().copy())
    draw = ImageDraw.Draw(image)
    width, height = image.size
    line = max(2, width // 500)
    for index, box in enumerate(boxes):
        _draw_line(draw, box.outline(_OUTLINE), (width, height), _colour(index), line)
    font = ImageFont.load_default(size=max(12, width // 60))
    taken: list[tuple[float, float, float, float]] = []
    for index, label in enumerate(labels):  # after all outlines, so that none crosses a label
        text = (label.splitlines() or [""])[0][:40]
        if text:
            places = rays_to_equirect(boxes[index].outline(_OUTLINE), (height, width))
            place = _free_place(draw, text, font, tuple(places[places[:, 1].argmin()]), (width, height), line, taken)
            taken.append(place)
            draw.rectangle(place, fill=_colour(index))
            draw.text((place[0] + line, place[1] + line), text, fill=(0, 0, 0), font=font)
    return image


def _free_place(
    draw: ImageDraw.ImageDraw,
    text: str,
    font: Any,
    top: tuple[float, ...],
    size: tuple[int, int],
    line: int,
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float, float, float]:
    """Where a label stands: above the highest point of its box, inside of the image, clear of labels drawn before."""
    _, _, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right + 2 * line, bottom + 2 * line
    left = float(min(max(top[0] - width / 2, 0), max(size[0] - width, 0)))
    start = float(min(max(top[1] - height - line, 0), max(size[1] - height, 0)))
    for step in (-1, 1):  # upwards, where a label hides no box below it; downwards if there is no room
        upper = start
        for _ in range(len(taken) + 1):
            hit = next(
                (t for t in taken if left < t[2] and t[0] < left + width and upper < t[3] and t[1] < upper + height),
                None,
            )
            if hit is None:
                return left, upper, left + width, upper + height
            upper = hit[1] - 1 - height if step < 0 else hit[3] + 1
            if not 0 <= upper <= size[1] - height:
                break
    upper = start
    return left, upper, left + width, upper + height


def _colour(index: int) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(index * 0.618 % 1, 0.85, 1.0))


def _draw_line(
    draw: ImageDraw.ImageDraw,
    rays: Float[ndarray, "points 3"],
    size: tuple[int, int],
    colour: tuple[int, ...],
    line: int,
) -> None:
    """Draw a line through rays; where it crosses the seam it is continued at the other edge."""
    width, height = size
    places = rays_to_equirect(rays, (height, width))
    jumps = np.flatnonzero(np.abs(np.diff(places[:, 0])) > width / 2) + 1
    for part in np.split(places, jumps):
        if len(part) > 1:
            draw.line([tuple(place) for place in part], fill=colour, width=line, joint="curve")
