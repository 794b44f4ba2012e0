"""The hits of a search in one image: the view of the query, the view that was found, and where it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panollava_geometry import (
    EquirectangularView,
    PanoramaError,
    PerspectiveView,
    ViewPlan,
    extract_views,
    load_equirectangular,
    rotate_equirectangular,
)
from panollava_geometry.cli import printable
from PIL import Image, ImageDraw, ImageFont

from panollava_hf._shown import shortened
from panollava_hf.search._search import Hit

if TYPE_CHECKING:
    from torch import Tensor

VIEW, GAP, TITLE, EDGE = 240, 10, 40, 20
PAPER, INK, GREY, EMPTY, MARK = "#ffffff", "#1c1c1e", "#6e6e73", "#ececee", "#ff9500"


def hits_sheet(query: "Tensor | None", name: str, hits: Sequence[Hit], *, fov_deg: float = 90.0) -> Image.Image:
    """A row per hit: the view of the query, the view of the hit, and the panorama turned to the query's heading.

    The yaw of both views is marked under the panoramas.

    Args:
        query: The panorama `[3, H, 2H]` uint8 that was searched for; None if only its vectors are known.
        name: Its name.
        hits: What was found, best first.
        fov_deg: Field of view of the shown views.
    """
    width = 2 * EDGE + 4 * VIEW + 2 * GAP
    height = 2 * EDGE + (len(hits) + 1) * (TITLE + VIEW) + len(hits) * EDGE
    sheet = Image.new("RGB", (width, height), PAPER)
    first = hits[0].query_yaw_deg if hits and hits[0].query_yaw_deg is not None else 0.0
    pitch = hits[0].query_pitch_deg if hits and hits[0].query_pitch_deg is not None else 0.0
    _row(sheet, EDGE, f"Query: {name}", "", [(query, first, pitch)], query, first, 0.0, fov_deg)
    draw, small = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for column, text in enumerate(("view of the query", "", "whole panorama")):
        draw.text((EDGE + column * (VIEW + GAP), EDGE + 19), text, fill=GREY, font=small)
    text = "Below: where to look in each hit,\nand the hit at the heading of the query"
    draw.multiline_text((EDGE + VIEW + GAP, EDGE + TITLE + VIEW - 36), text, fill=GREY, font=small)
    for number, hit in enumerate(hits, 1):
        panorama, problem = read_image(hit.path)
        title = f"{number}. {Path(hit.path).name if hit.path else hit.id}"
        where = (
            ""
            if hit.yaw_deg is None
            else f", look at yaw {degrees(hit.yaw_deg)}, pitch {degrees(hit.pitch_deg or 0.0)}"
        )
        heading = "" if hit.heading_deg is None else f", turned by {degrees(hit.heading_deg)}"
        views = [(query, hit.query_yaw_deg, hit.query_pitch_deg), (panorama, hit.yaw_deg, hit.pitch_deg)]
        top = EDGE + number * (TITLE + VIEW + EDGE)
        text = f"score {hit.score:.3f}{where}{heading}" + (f"; {problem}" if problem else "")
        _row(sheet, top, title, text, views, panorama, hit.yaw_deg, hit.heading_deg or 0.0, fov_deg)
    return sheet


def degrees(angle: float) -> str:
    """An angle in whole degrees.

    Example:
        >>> degrees(-119.7), degrees(0.3), degrees(45.0)
        ('-120°', '0°', '+45°')
    """
    return f"{round(angle):+d}°" if round(angle) else "0°"


def _row(
    sheet: Image.Image,
    top: int,
    title: str,
    text: str,
    views: Sequence[tuple[Any, float | None, float | None]],
    panorama: "Tensor | None",
    yaw_deg: float | None,
    heading_deg: float,
    fov_deg: float,
) -> None:
    """One panorama: its captions, views, and itself turned by a heading with a mark at a yaw."""
    draw = ImageDraw.Draw(sheet)
    draw.text((EDGE, top), shortened(printable(title), 110), fill=INK, font=ImageFont.load_default(size=15))
    draw.text((EDGE, top + 19), shortened(text, 150), fill=GREY, font=ImageFont.load_default(size=12))
    y = top + TITLE
    for column in range(2):
        found = views[column] if column < len(views) else None
        if found is None:
            continue
        cell = _view(*found, fov_deg)
        sheet.paste(cell, (EDGE + column * (VIEW + GAP), y))
    x = EDGE + 2 * (VIEW + GAP)
    sheet.paste(_whole(panorama, heading_deg), (x, y))
    if yaw_deg is not None and panorama is not None:
        middle = x + ((yaw_deg - heading_deg + 180) % 360) / 360 * 2 * VIEW
        half = fov_deg / 360 * VIEW
        for left in (middle - half - 2 * VIEW, middle - half, middle - half + 2 * VIEW):
            start, stop = max(left, x), min(left + 2 * half, x + 2 * VIEW)
            if stop > start:
                draw.rectangle((start, y + VIEW - 5, stop - 1, y + VIEW - 1), fill=MARK)


def _view(panorama: "Tensor | None", yaw_deg: float | None, pitch_deg: float | None, fov_deg: float) -> Image.Image:
    if panorama is None:
        return Image.new("RGB", (VIEW, VIEW), EMPTY)
    view = PerspectiveView(yaw_deg or 0.0, pitch_deg or 0.0, 0.0, fov_deg, fov_deg)
    return _image(extract_views(panorama, ViewPlan([view]), (VIEW, VIEW))[0])


def _whole(panorama: "Tensor | None", heading_deg: float) -> Image.Image:
    if panorama is None:
        return Image.new("RGB", (2 * VIEW, VIEW), EMPTY)
    small = extract_views(panorama, ViewPlan([EquirectangularView()]), (VIEW, 2 * VIEW))[0]
    return _image(rotate_equirectangular(small, heading_deg))


def read_image(path: str | None) -> "tuple[Tensor | None, str]":
    """A panorama for the sheet, or why there is none."""
    if path is None:
        return None, "the table does not say where its image is"
    try:
        return load_equirectangular(path, max_width=2048), ""
    except (PanoramaError, OSError):
        return None, "its image cannot be read"


def _image(pixels: "Tensor") -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
