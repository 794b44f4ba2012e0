"""Views as image files, and all of them on one contact sheet."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

from panollava_geometry import PerspectiveView, ViewPlan
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from panollava_hf._files import write_whole

VIEW_NAME, SHEET_NAME = re.compile(r"view_\d{2,}\.png"), "contact_sheet.png"
MARGIN = 8
CAPTION = 18


def caption(view: object) -> str:
    """The direction of a view, in a few words."""
    if isinstance(view, PerspectiveView):
        text = f"yaw {view.yaw_deg:+.0f}°"
        return text + (f", pitch {view.pitch_deg:+.0f}°" if view.pitch_deg else "")
    return "whole panorama"


def contact_sheet(
    views: Tensor, plan: ViewPlan, *, names: Sequence[str] | None = None, columns: int = 4
) -> Image.Image:
    """All views with their captions in one image.

    Args:
        views: `[V, 3, h, w]` uint8.
        plan: Their directions, in the same order.
        names: What is written over each view, parts in brackets only if there is room; default: its yaw and pitch.
        columns: Images per row.

    Raises:
        ValueError: Views and plan differ in number.
    """
    if len(views) != len(plan):
        raise ValueError(f"got {len(views)} views and a plan of {len(plan)}; pass the plan of these views")
    height, width = views.shape[-2:]
    columns = min(columns, len(views))
    rows = -(-len(views) // columns)
    font = ImageFont.load_default(size=12)
    texts = [caption(view) for view in plan] if names is None else names
    captions = [f"{index}: {text}" for index, text in enumerate(texts)]
    if max(map(font.getlength, captions)) > width:  # small views: without what is in brackets
        captions = [text.partition(" (")[0] for text in captions]
    widest = max(int(font.getlength(text)) + 1 for text in captions)
    cell_w, cell_h = max(width, widest) + MARGIN, height + CAPTION + MARGIN
    sheet = Image.new("RGB", (columns * cell_w + MARGIN, rows * cell_h + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (text, pixels) in enumerate(zip(captions, views, strict=True)):
        x, y = MARGIN + index % columns * cell_w, MARGIN + index // columns * cell_h
        draw.text((x, y), text, fill="black", font=font)
        sheet.paste(_image(pixels), (x, y + CAPTION))
    return sheet


def _image(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()


def save_views(views: Tensor, plan: ViewPlan, folder: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Write `view_00.png` … and `contact_sheet.png` into a folder.

    Views of an earlier call are removed, so that the folder holds the views of its contact sheet. Other files stay.

    Args:
        views: `[V, 3, h, w]` uint8.
        plan: Their directions.
        folder: Where the files go, made if it does not exist; files of the same names are replaced.
        names: As in `contact_sheet`.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = {f"view_{index:02d}.png": _image(pixels) for index, pixels in enumerate(views)}
    images[SHEET_NAME] = contact_sheet(views, plan, names=names)
    if (folder / SHEET_NAME).is_file():  # without it, the views are not from this function
        (folder / SHEET_NAME).unlink()  # it never shows other views than those in the folder
        for old in folder.iterdir():
            if VIEW_NAME.fullmatch(old.name) and old.name not in images and old.is_file():
                old.unlink()
    for name, image in images.items():
        write_whole(folder / name, _png(image))
    return [folder / name for name in images]
