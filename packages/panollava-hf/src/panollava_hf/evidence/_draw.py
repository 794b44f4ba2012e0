"""The image of an `Evidence`: the map over the panorama, with a legend, the question and the answer."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from panollava_geometry import EquirectangularView, ViewPlan, extract_views
from panollava_geometry.drawing import (
    GREY,
    INK,
    PAPER,
    Caption,
    degrees_text,
    direction_words,
    draw_captions,
    sequential,
    text_lines,
    text_size,
    with_colour_bar,
)
from PIL import Image, ImageDraw

from panollava_hf.evidence._sphere import solid_angles

if TYPE_CHECKING:
    from panollava_hf.evidence._evidence import Evidence

#: Smallest and largest width of the image in pixels.
LEAST, MOST = 256, 8192
#: Share of the evidence inside the outline.
CORE = 0.5
#: An area whose values are equal up to this is outlined as a whole.
_TOLERANCE = 0.97
#: Opacity of the colours where the map is largest; they fade to 0 where it is 0. The panorama below is grey and darker.
_OPAQUE, _GREYED = 0.65, 0.5
_SIDES = ((180, "behind"), (-90, "left"), (0, "ahead"), (90, "right"))


def draw(evidence: "Evidence", width: int) -> Image.Image:
    """The image.

    Raises:
        ValueError: The width is not from 256 to 8192 pixels.
    """
    if not LEAST <= width <= MOST:
        raise ValueError(f"width must be from {LEAST} to {MOST} pixels, got {width}")
    width += width % 2
    values = _enlarged(evidence.map, width)
    share = values / max(float(values.max()), 1e-12)
    image = Image.fromarray(_blended(evidence, share * (not evidence.is_even), width))  # an even map has no colours
    inside = values >= _TOLERANCE * core_level(evidence.map)
    if not evidence.is_even:
        _outline(image, inside)
        _mark(image, evidence.peak)
    size = text_size(image.size, 1 / 64)
    draw_captions(
        image, [Caption(width * (yaw + 180) / 360, image.height - size, name) for yaw, name in _SIDES], size=size
    )
    times = float(evidence.map.max()) * 4 * math.pi
    high = f"{times:.0f}× mean" if times >= 10 else f"{times:.1f}× mean"
    title = "no part matters more than another" if evidence.is_even else f"white outline: {CORE:.0%} of the evidence"
    return _with_head(with_colour_bar(image, "0", high, title), evidence)


def core_level(density: torch.Tensor) -> float:
    """The value above which half of the evidence lies."""
    amounts = (density.double() * solid_angles(len(density))[:, None]).flatten()
    order = density.flatten().argsort(descending=True)
    place = int((amounts[order].cumsum(0) < CORE * float(amounts.sum())).sum())
    return float(density.flatten()[order][min(place, len(order) - 1)])


def _enlarged(density: torch.Tensor, width: int) -> np.ndarray:
    """The map in the size of the image; columns continue across the seam."""
    whole = density[None].float()
    found = extract_views(whole, ViewPlan([EquirectangularView()]), (width // 2, width), antialias=False)
    return np.asarray(found[0, 0].numpy())


def _blended(evidence: "Evidence", share: np.ndarray, width: int) -> np.ndarray:
    """The panorama in grey with the colours of the map over it, `[h, w, 3]` uint8."""
    plan = ViewPlan([EquirectangularView()])
    pixels = extract_views(evidence.panorama, plan, (width // 2, width))[0].permute(1, 2, 0).numpy().astype(np.float32)
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    dull = _GREYED * grey[..., None] + (1 - _GREYED) * pixels
    opacity = _OPAQUE * np.sqrt(share)[..., None]
    mixed = dull * (1 - opacity) + sequential(share).astype(np.float32) * opacity
    return mixed.round().clip(0, 255).astype(np.uint8)


def _outline(image: Image.Image, inside: np.ndarray) -> None:
    """A white line with a dark border around a region; it continues across the seam."""
    thick = max(1, image.width // 600)
    pixels = np.asarray(image).copy()
    for reach, colour in ((2 * thick, INK), (thick, PAPER)):
        around = inside.copy()
        for _ in range(reach):
            grown = around | np.roll(around, 1, 1) | np.roll(around, -1, 1)
            grown[1:] |= around[:-1]
            grown[:-1] |= around[1:]
            around = grown
        pixels[around & ~inside] = colour
    image.paste(Image.fromarray(pixels))


def _mark(image: Image.Image, direction: tuple[float, float]) -> None:
    """A small cross in a direction."""
    pen = ImageDraw.Draw(image)
    (yaw, pitch), (width, height) = direction, image.size
    x, y, arm = (yaw + 180) / 360 * width, (90 - pitch) / 180 * height, width / 120
    for colour, thick in ((INK, width // 250), (PAPER, width // 600)):
        pen.line([(x - arm, y), (x + arm, y)], fill=colour, width=max(1, thick))
        pen.line([(x, y - arm), (x, y + arm)], fill=colour, width=max(1, thick))


def _with_head(image: Image.Image, evidence: "Evidence") -> Image.Image:
    """The image below the question, the answer, where the evidence is and how it was found."""
    size = text_size(image.size, 1 / 44)
    margin = round(size * 0.8)
    room = image.width - 2 * margin
    lines = [(line, INK) for line in text_lines(evidence.question, size, room, 3)]
    lines += [(line, (0, 90, 140)) for line in text_lines(evidence.answer or "(no answer)", size, room, 3)]
    words, degrees = direction_words(*evidence.peak), degrees_text(*evidence.peak)
    found = "" if evidence.is_even else f"Most evidence: {words} ({degrees}). "
    remark = f"{found}Method: {evidence.method_name}.{f' Note: {evidence.note}.' if evidence.note else ''}"
    lines += [(line, GREY) for line in text_lines(remark, max(10.0, size * 0.7), room, 4)]
    top = margin + sum(math.ceil(line.height) for line, _ in lines) + margin // 2
    whole = Image.new("RGB", (image.width, image.height + top), PAPER)
    pen = ImageDraw.Draw(whole)
    y = margin
    for line, colour in lines:
        line.draw(pen, (margin, y), colour)
        y += math.ceil(line.height)
    whole.paste(image, (0, top))
    return whole
