"""Draw the README's image: a photograph, and the labelled views that a vision-language model is shown.

`python -m tools.readme_image` writes docs/assets/readme.jpg.
"""

from pathlib import Path

from panollava_geometry import extract_views, load_equirectangular
from panollava_hf.asking._directions import label
from panollava_hf.asking._messages import LOOK_AROUND
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

ASSETS = Path(__file__).resolve().parent.parent / "docs" / "assets"
PANORAMA = ASSETS / "leadenhall-market.jpg"
QUESTION = "Which shop is to my right?"
WIDTH, GAP, HEAD = 1280, 12, 60
INK, PAPER = "#1d2733", "#ffffff"


def to_image(pixels: Tensor) -> Image.Image:
    """`[3, h, w]` uint8 → an image."""
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def draw(panorama: Path, question: str) -> Image.Image:
    """The panorama on top, its views with their labels below, the question at the bottom."""
    erp = load_equirectangular(panorama)
    side = (WIDTH - GAP * (len(LOOK_AROUND) - 1)) // len(LOOK_AROUND)
    views = extract_views(erp, LOOK_AROUND, (side, side))
    sheet = Image.new("RGB", (WIDTH, WIDTH // 2 + GAP + side + HEAD + 2 * GAP), PAPER)
    sheet.paste(to_image(erp).resize((WIDTH, WIDTH // 2), Image.Resampling.LANCZOS))
    pen = ImageDraw.Draw(sheet)
    for index, (view, pixels) in enumerate(zip(LOOK_AROUND, views, strict=True)):
        left, top = index * (side + GAP), WIDTH // 2 + GAP
        sheet.paste(to_image(pixels), (left, top))
        title(pen, (left + 8, top + 8), label(view))
    baseline = sheet.height - HEAD // 2 - GAP
    pen.text((GAP, baseline), question, fill=INK, font=ImageFont.load_default(size=34), anchor="lm")
    return sheet


def title(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str) -> None:
    """White text on a dark box, readable on any view."""
    font = ImageFont.load_default(size=15)
    box = pen.textbbox(corner, text, font=font)
    pen.rectangle((box[0] - 5, box[1] - 4, box[2] + 5, box[3] + 4), fill=INK)
    pen.text(corner, text, fill=PAPER, font=font)


if __name__ == "__main__":
    draw(PANORAMA, QUESTION).save(ASSETS / "readme.jpg", quality=88)
