"""The hits of a search in one image: where the query was looked at, the view that was found, and where it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from panollava_geometry import (
    EquirectangularView,
    PanoramaError,
    PerspectiveView,
    ViewPlan,
    extract_views,
    load_equirectangular,
    rotate_equirectangular,
)
from panollava_geometry.drawing import (
    EMPTY,
    GREY,
    INK,
    PAPER,
    Caption,
    Colour,
    colour,
    degrees_text,
    direction_words,
    draw_captions,
    draw_outlines,
    text_line,
    text_on,
)
from PIL import Image, ImageDraw

from panollava_hf.search._search import Hit

if TYPE_CHECKING:
    from torch import Tensor

#: Side of a view, space between images, margin, and sizes of the letters, in pixels.
_VIEW, _GAP, _EDGE, _LETTERS, _SMALL = 300, 15, 24, 24, 17
#: Heights of the line above an image, and of the title of a hit.
_LINE, _TITLE = 30, 42
_WIDE = 4 * _VIEW + 2 * _GAP


def hits_sheet(query: "Tensor | None", name: str, hits: Sequence[Hit], *, fov_deg: float = 90.0) -> Image.Image:
    """The query with the directions that were found, then a row for each hit.

    A row has the view of the query, the view of the hit, and the panorama of the hit, turned to the query's heading,
    with the outline of the view.

    Args:
        query: The panorama `[3, H, 2H]` uint8 that was searched for; None if only its vectors are known.
        name: Its name.
        hits: What was found, best first.
        fov_deg: Field of view of the shown views.
    """
    top = _EDGE + _TITLE + (_WIDE // 2 if query is not None else 0)
    row = _EDGE + _TITLE + _LINE + _VIEW
    sheet = Image.new("RGB", (_WIDE + 2 * _EDGE, top + len(hits) * row + _EDGE), PAPER)
    pen = ImageDraw.Draw(sheet)
    title = text_line(f"Query: {name}", _LETTERS, _WIDE)
    title.draw(pen, (_EDGE, _EDGE), INK)
    if query is not None:
        sheet.paste(_query(query, hits, fov_deg), (_EDGE, _EDGE + _TITLE))
    else:
        left = _EDGE + title.width + _LETTERS
        note = text_line("only its vectors are known, not its image", _SMALL, _EDGE + _WIDE - left)
        note.draw(pen, (left, _EDGE + 8), GREY)
    for number, hit in enumerate(hits, 1):
        _draw_hit(sheet, top + (number - 1) * row + _EDGE, number, hit, query, fov_deg)
    return sheet


def _query(query: "Tensor", hits: Sequence[Hit], fov_deg: float) -> Image.Image:
    """The panorama of the query with the view that each hit was found by."""
    numbers: dict[PerspectiveView, list[int]] = {}
    for number, hit in enumerate(hits, 1):
        view = _view(hit.query_yaw_deg, hit.query_pitch_deg, fov_deg)
        if view is not None:
            numbers.setdefault(view, []).append(number)
    image = _whole(query, 0.0, _WIDE)
    views = list(numbers)
    draw_outlines(image, views, [colour(found[0] - 1) for found in numbers.values()])
    captions = [
        _caption(view, ", ".join(map(str, found)), colour(found[0] - 1), image.size) for view, found in numbers.items()
    ]
    draw_captions(image, captions)
    return image


def _draw_hit(sheet: Image.Image, y: int, number: int, hit: Hit, query: "Tensor | None", fov_deg: float) -> None:
    """A hit: its number, name and score; the view of the query, its view, and the whole panorama."""
    pen, rgb = ImageDraw.Draw(sheet), colour(number - 1)
    panorama, problem = read_image(hit.path)
    digits = text_line(str(number), _LETTERS)
    chip = round(digits.width + _LETTERS)
    pen.rounded_rectangle((_EDGE, y, _EDGE + chip, y + 34), radius=6, fill=rgb)
    digits.draw(pen, (_EDGE + _LETTERS / 2, y + 2), text_on(rgb))
    score = text_line(f"score {hit.score:.3f}" + (f"; {problem}" if problem else ""), _SMALL)
    score.draw(pen, (_EDGE + _WIDE - score.width, y + 8), GREY)
    left = _EDGE + chip + _LETTERS / 2
    name = Path(hit.path).name if hit.path else hit.id
    text_line(name, _LETTERS, _EDGE + _WIDE - score.width - _LETTERS - left).draw(pen, (left, y + 2), INK)
    heading = hit.heading_deg or 0.0
    seen = _view(hit.yaw_deg, hit.pitch_deg, fov_deg)
    cells = [
        (
            _VIEW,
            "query",
            hit.query_yaw_deg,
            hit.query_pitch_deg,
            _cut(query, hit.query_yaw_deg, hit.query_pitch_deg, fov_deg),
        ),
        (_VIEW, "hit", hit.yaw_deg, hit.pitch_deg, _cut(panorama, hit.yaw_deg, hit.pitch_deg, fov_deg)),
        (2 * _VIEW, _turned(hit.heading_deg), None, None, _whole(panorama, heading, 2 * _VIEW)),
    ]
    if panorama is not None and seen is not None:
        turned = PerspectiveView(seen.yaw_deg - heading, seen.pitch_deg, hfov_deg=fov_deg)
        draw_outlines(cells[2][4], [turned], [rgb])
    x = _EDGE
    for width, text, yaw, pitch, image in cells:
        words = text if yaw is None else f"{text}: {direction_words(yaw, pitch or 0.0)}"
        line = text_line(words, _SMALL, width)
        line.draw(pen, (x, y + _TITLE), INK)
        if yaw is not None:
            degrees = text_line(degrees_text(yaw, pitch or 0.0), 0.8 * _SMALL, width - line.width - _SMALL / 2)
            degrees.draw(pen, (x + line.width + _SMALL / 2, y + _TITLE + 3), GREY)
        sheet.paste(image, (x, y + _TITLE + _LINE))
        x += width + _GAP


def _turned(heading_deg: float | None) -> str:
    if heading_deg is None or not round(heading_deg):
        return "whole panorama"
    return f"whole panorama, turned by {round(heading_deg):+d}° to the heading of the query"


def _view(yaw_deg: float | None, pitch_deg: float | None, fov_deg: float) -> PerspectiveView | None:
    return None if yaw_deg is None else PerspectiveView(yaw_deg, pitch_deg or 0.0, hfov_deg=fov_deg)


def _caption(view: PerspectiveView, text: str, rgb: Colour, size: tuple[int, int]) -> Caption:
    x = ((view.yaw_deg + 180) % 360) / 360 * size[0]
    return Caption(x, (90 - view.pitch_deg) / 180 * size[1], text, rgb)


def _cut(panorama: "Tensor | None", yaw_deg: float | None, pitch_deg: float | None, fov_deg: float) -> Image.Image:
    if panorama is None:
        return Image.new("RGB", (_VIEW, _VIEW), EMPTY)
    view = PerspectiveView(yaw_deg or 0.0, pitch_deg or 0.0, hfov_deg=fov_deg)
    return _image(extract_views(panorama, ViewPlan([view]), (_VIEW, _VIEW))[0])


def _whole(panorama: "Tensor | None", heading_deg: float, width: int) -> Image.Image:
    if panorama is None:
        return Image.new("RGB", (width, width // 2), EMPTY)
    small = extract_views(panorama, ViewPlan([EquirectangularView()]), (width // 2, width))[0]
    return _image(rotate_equirectangular(small, heading_deg))


def read_image(path: str | None) -> "tuple[Tensor | None, str]":
    """A panorama for the sheet, or the reason that there is none."""
    if path is None:
        return None, "the table does not name its image"
    try:
        return load_equirectangular(path, max_width=2048), ""
    except (PanoramaError, OSError):
        return None, "its image cannot be read"


def _image(pixels: "Tensor") -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
