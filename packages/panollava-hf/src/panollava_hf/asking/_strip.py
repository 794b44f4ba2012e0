"""The direction of a view, written into the image."""

from PIL import Image, ImageDraw, ImageFont

#: Height of the strip: at least that of letters that can be read, at most a share of the image.
_MIN_HEIGHT, _SHARE, _MAX_SHARE = 12, 1 / 16, 1 / 5
#: Smallest letters that can be read, in pixels; height of the letters in the strip.
_MIN_LETTERS, _LETTERS = 8.0, 0.75
_MARGIN = 4


def with_strip(image: Image.Image, number: int, name: str) -> Image.Image:
    """The image with its label in a black strip over its upper edge; size and geometry stay.

    Where the whole label would be too small to read, its degrees are left out, then its direction.

    Args:
        image: The view.
        number: Number of the image in the message.
        name: Its label, such as "left (yaw -90°, pitch 0°)".
    """
    words = name.partition(" (")[0]
    height = max(1, min(max(_MIN_HEIGHT, round(image.height * _SHARE)), int(image.height * _MAX_SHARE)))
    titles = (f"Image {number}: {name}", f"{number}: {name}", f"{number}: {words}", words, str(number))
    title, letters = _fitting(titles, image.width - 2 * _MARGIN, height * _LETTERS)
    drawn = image.copy()
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((0, 0, image.width, height - 1), fill="black")
    draw.text((_MARGIN, height / 2), title, fill="white", font=ImageFont.load_default(size=letters), anchor="lm")
    return drawn


def _fitting(titles: tuple[str, ...], width: float, height: float) -> tuple[str, float]:
    """The first title that fits with letters that can be read, and the size of its letters."""
    for title in titles:
        letters = height
        while letters > _MIN_LETTERS and _length(title, letters) > width:
            letters -= 0.5
        if _length(title, letters) <= width:
            return title, letters
    return titles[-1], height


def _length(title: str, letters: float) -> float:
    return float(ImageFont.load_default(size=letters).getlength(title))
