"""Draw the README's image: a panorama, the views cut from it, a question and the embedded model's answer.

`python -m tools.readme_image` writes docs/assets/readme.jpg. The answer is the model's, whatever it is.
"""

from pathlib import Path

from panollava_geometry import extract_views, load_equirectangular
from panollava_hf import Answerer
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

ASSETS = Path(__file__).resolve().parent.parent / "docs" / "assets"
PANORAMA = ASSETS / "sample-panorama.jpg"
QUESTION = "Where is the blue cylinder?"
WIDTH, GAP, HEAD = 1280, 12, 60
INK, PAPER, ACCENT = "#1d2733", "#ffffff", "#1f6feb"
#: Names of the cubemap's faces by (yaw, pitch) in degrees.
NAMES = {(0, 0): "front", (90, 0): "right", (-180, 0): "back", (-90, 0): "left", (0, 90): "above", (0, -90): "below"}


def to_image(pixels: Tensor) -> Image.Image:
    """`[3, h, w]` uint8 → an image."""
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def draw(panorama: Path, question: str) -> Image.Image:
    """The panorama on top, its views below, question and answer at the bottom."""
    answer = Answerer.load().answer(panorama, question)
    erp = load_equirectangular(panorama)
    count = len(answer.plan)
    side = (WIDTH - GAP * (count - 1)) // count
    views = extract_views(erp, answer.plan, (side, side))
    sheet = Image.new("RGB", (WIDTH, WIDTH // 2 + GAP + side + HEAD + 2 * GAP), PAPER)
    sheet.paste(to_image(erp).resize((WIDTH, WIDTH // 2), Image.Resampling.LANCZOS))
    pen = ImageDraw.Draw(sheet)
    for index, (view, pixels) in enumerate(zip(answer.plan, views, strict=True)):
        left, top = index * (side + GAP), WIDTH // 2 + GAP
        sheet.paste(to_image(pixels), (left, top))
        yaw = (round(view.yaw_deg) + 180) % 360 - 180
        label(pen, (left + 8, top + 8), NAMES.get((yaw, round(view.pitch_deg)), f"{yaw}°"))
    baseline = sheet.height - HEAD // 2 - GAP
    font = ImageFont.load_default(size=34)
    pen.text((GAP, baseline), question, fill=INK, font=font, anchor="lm")
    pen.text(
        (GAP + pen.textlength(question, font=font) + 32, baseline), answer.text, fill=ACCENT, font=font, anchor="lm"
    )
    return sheet


def label(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str) -> None:
    """White text on a dark box, readable on any view."""
    font = ImageFont.load_default(size=20)
    box = pen.textbbox(corner, text, font=font)
    pen.rectangle((box[0] - 6, box[1] - 4, box[2] + 6, box[3] + 4), fill=INK)
    pen.text(corner, text, fill=PAPER, font=font)


if __name__ == "__main__":
    draw(PANORAMA, QUESTION).save(ASSETS / "readme.jpg", quality=88)
