"""Views as image files, and all of them on one contact sheet."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from panollava_geometry import (
    CylindricalView,
    EquirectangularView,
    FisheyeView,
    PerspectiveView,
    StereographicView,
    ViewPlan,
    draw_footprints,
    extract_views,
    paste_views,
)
from panollava_geometry.drawing import (
    EMPTY,
    GREY,
    INK,
    PAPER,
    Colour,
    TextLine,
    colour,
    text_line,
    text_lines,
    text_on,
    view_words,
)
from PIL import Image, ImageDraw
from torch import Tensor

from panollava_hf._files import write_whole
from panollava_hf._sheet_layout import arrange, is_whole

VIEW_NAME, SHEET_NAME = re.compile(r"view_\d{2,}\.png"), "contact_sheet.png"
#: Sizes of thumbnails in pixels: enlarged below the first, reduced above the second or, with many columns, the third.
_LEAST, _MOST, _MOST_OF_MANY, _MANY = 240, 480, 320, 4
#: Up to this size, enlarged views show their pixels.
_PIXELS = 120
#: Least width of the panorama on the sheet.
_PANORAMA = 960
#: Shares of the width of a sheet: its margin, and the letters of questions and answers; lines of a question or answer.
_MARGIN, _LETTERS, _LINES = 1 / 60, 1 / 44, 4
#: Most questions with their answers on a sheet.
_QUESTIONS = 4
_ANSWER = (0, 90, 140)


def contact_sheet(
    views: Tensor,
    plan: ViewPlan,
    *,
    panorama: Tensor | None = None,
    answers: Sequence[tuple[str, str]] = (),
) -> Image.Image:
    """A figure: questions and answers, the panorama with the outlines of the views, and the views.

    The views stand in rows from the left over ahead and the right to behind, then up and down. Their numbers and
    colours are those of the outlines, and their numbers those of the files that `save_views` writes.

    Args:
        views: `[V, 3, h, w]` uint8.
        plan: Their directions, in the same order.
        panorama: `[3, H, 2H]` uint8; default: what the views show of it.
        answers: Questions and their answers; the first four are shown.

    Raises:
        ValueError: Views and plan differ in number.
    """
    if len(views) != len(plan):
        raise ValueError(f"got {len(views)} views and a plan of {len(plan)}; pass the plan of these views")
    cells = arrange(plan)
    columns = max((cell.column for cell in cells), default=0) + 1
    tiles = {cell.view: _tile(views[cell.view], plan[cell.view], columns) for cell in cells}
    side = max((tile.width for tile in tiles.values()), default=_LEAST)
    gap = max(8, round(side / 20))
    inner = max(columns * (side + gap) - gap, _PANORAMA)
    inner += inner % 2
    margin = round(inner * _MARGIN)
    overview = draw_footprints(_reduced(views, plan, panorama, inner), plan)
    size = round(min(side / 12.5, inner / 50))
    caption = round(1.9 * size)
    heights = [
        caption + gap + max(tiles[cell.view].height for cell in cells if cell.row == row)
        for row in range(max((cell.row for cell in cells), default=-1) + 1)
    ]
    head = _head(answers, inner, inner * _LETTERS)
    top = margin + head.height + (margin if head.height else 0)
    sheet = Image.new("RGB", (inner + 2 * margin, top + overview.height + gap + sum(heights) + margin - gap), PAPER)
    sheet.paste(head, (margin, margin))
    sheet.paste(overview, (margin, top))
    for cell in cells:
        x = margin + cell.column * (side + gap)
        y = top + overview.height + gap + sum(heights[: cell.row])
        _write_caption(sheet, (x, y), side, size, cell.view, plan[cell.view])
        sheet.paste(tiles[cell.view], (x, y + caption))
    return sheet


def _reduced(views: Tensor, plan: ViewPlan, panorama: Tensor | None, width: int) -> Tensor:
    """The panorama, or what the views show of it, `[3, width / 2, width]` uint8."""
    if panorama is None:
        whole = next((index for index, view in enumerate(plan) if is_whole(view)), None)
        if whole is not None:
            image = _image(views[whole]).resize((width, width // 2), Image.Resampling.BICUBIC)
            return torch.from_numpy(np.array(image)).permute(2, 0, 1)
        pasted, times = paste_views(views.float(), plan, width // 2)
        empty = torch.tensor(EMPTY, dtype=pasted.dtype)[:, None, None]
        return torch.where(times > 0, pasted, empty).round().clamp(0, 255).to(torch.uint8)
    return extract_views(panorama, ViewPlan([EquirectangularView()]), (width // 2, width))[0]


def _tile(pixels: Tensor, view: object, columns: int) -> Image.Image:
    """A view for the sheet in its true proportions: small views are enlarged, large ones reduced."""
    image = _image(pixels)
    longest = max(image.size)
    most = _MOST if columns <= _MANY else _MOST_OF_MANY
    side = longest * -(-_LEAST // longest) if longest <= _PIXELS else min(max(longest, _LEAST), most)
    ratio = _ratio(view)
    size = (side, max(1, round(side / ratio))) if ratio >= 1 else (max(1, round(side * ratio)), side)
    whole_pixels = longest <= _PIXELS and size[0] % image.width == size[1] % image.height == 0
    return image.resize(size, Image.Resampling.NEAREST if whole_pixels else Image.Resampling.LANCZOS)


def _ratio(view: object) -> float:
    """Width by height of what a view shows, in its projection."""
    if isinstance(view, PerspectiveView):
        wide, high = np.tan(np.deg2rad(view.fov_deg) / 2)
        return float(wide / high)
    if isinstance(view, EquirectangularView):
        (west, east), (south, north) = view.longitude_range_deg, view.latitude_range_deg
        return (east - west) / (north - south)
    if isinstance(view, CylindricalView | FisheyeView | StereographicView):
        across, up = view.centre_scale  # pixels are square in the centre
        return across / up
    return 1.0


def _head(answers: Sequence[tuple[str, str]], width: int, size: float) -> Image.Image:
    """Questions, and their answers behind a coloured line."""
    lines: list[tuple[TextLine, float, float, Colour]] = []
    y = 0.0
    for question, answer in answers[:_QUESTIONS]:
        y += size / 2 if lines else 0.0
        for text, indent, fill in ((question, 0.0, INK), (answer, size, _ANSWER)):
            y += size / 4 if indent else 0.0
            for line in text_lines(text, size, width - indent, _LINES):
                lines.append((line, indent, y, fill))
                y += line.height
    if len(answers) > _QUESTIONS:
        lines.append((text_line(f"and {len(answers) - _QUESTIONS} more", size * 0.7, width), 0.0, y, GREY))
        y += size
    head = Image.new("RGB", (width, round(y)), PAPER)
    pen = ImageDraw.Draw(head)
    for line, indent, top, fill in lines:
        line.draw(pen, (indent, top), fill)
        if indent:
            pen.rectangle((0, round(top), max(2, round(size / 6)), round(top + line.height) - 1), fill=_ANSWER)
    return head


def _write_caption(
    sheet: Image.Image, corner: tuple[int, int], width: int, size: int, number: int, view: object
) -> None:
    """The number of a view on its colour, its direction, and its degrees in small letters if there is room."""
    pen, (x, y) = ImageDraw.Draw(sheet), corner
    words, degrees = view_words(view)
    digits = text_line(str(number), size)
    chip = round(digits.width + 0.8 * size)
    pen.rounded_rectangle((x, y, x + chip, y + round(1.5 * size)), radius=size // 4, fill=colour(number))
    digits.draw(pen, (x + 0.4 * size, y + 0.1 * size), text_on(colour(number)))
    left = x + chip + 0.5 * size
    name = text_line(words, size, x + width - left)
    name.draw(pen, (left, y + 0.1 * size), INK)
    small = text_line(degrees, 0.8 * size)
    left += name.width + 0.5 * size
    if left + small.width <= x + width:
        small.draw(pen, (left, y + 0.26 * size), GREY)


def _image(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()


def save_views(
    views: Tensor,
    plan: ViewPlan,
    folder: Path,
    *,
    panorama: Tensor | None = None,
    answers: Sequence[tuple[str, str]] = (),
) -> list[Path]:
    """Write `view_00.png` … and `contact_sheet.png` into a folder.

    Views of an earlier call are removed, so that the folder holds the views of its contact sheet. Other files stay.

    Args:
        views: `[V, 3, h, w]` uint8.
        plan: Their directions.
        folder: Where the files go, made if it does not exist; files of the same names are replaced.
        panorama: As in `contact_sheet`.
        answers: As in `contact_sheet`.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = {f"view_{index:02d}.png": _image(pixels) for index, pixels in enumerate(views)}
    images[SHEET_NAME] = contact_sheet(views, plan, panorama=panorama, answers=answers)
    if (folder / SHEET_NAME).is_file():  # without it, the views are not from this function
        (folder / SHEET_NAME).unlink()  # it never shows other views than those in the folder
        for old in folder.iterdir():
            if VIEW_NAME.fullmatch(old.name) and old.name not in images and old.is_file():
                old.unlink()
    for name, image in images.items():
        write_whole(folder / name, _png(image))
    return [folder / name for name in images]
