"""A legend for images in the colours of `sequential`."""

import numpy as np
from PIL import Image, ImageDraw

from panollava_geometry._drawing._colours import GREY, INK, PAPER, sequential
from panollava_geometry._drawing._text import text_line, text_size


def with_colour_bar(image: Image.Image, low: str, high: str, title: str = "") -> Image.Image:
    """An image with a strip below it: a title, and a bar of the colours of `sequential` with the texts of its ends.

    Args:
        image: The image, RGB.
        low: What 0 means.
        high: What 1 means.
        title: What the colours show.

    Returns:
        A new image of the same width.

    Example:
        >>> from PIL import Image
        >>> from panollava_geometry.drawing import with_colour_bar
        >>> with_colour_bar(Image.new("RGB", (256, 128)), "0", "1", "share of the answer").width
        256
    """
    size = text_size(image.size, 1 / 64)
    strip = round(2.4 * size)
    whole = Image.new("RGB", (image.width, image.height + strip), PAPER)
    whole.paste(image)
    pen, gap = ImageDraw.Draw(whole), size
    bar = image.width // 4
    texts = [text_line(text, size, image.width / 6) for text in (low, high)]
    top = image.height + (strip - texts[0].height) / 2
    right = image.width - gap - texts[1].width
    texts[1].draw(pen, (right, top), GREY)
    left = right - gap / 2 - bar
    colours = np.broadcast_to(sequential(np.linspace(0, 1, bar)), (round(size), bar, 3))
    whole.paste(Image.fromarray(np.ascontiguousarray(colours)), (round(left), round(image.height + (strip - size) / 2)))
    texts[0].draw(pen, (left - gap / 2 - texts[0].width, top), GREY)
    room = left - gap / 2 - texts[0].width - 2 * gap
    if room > 0:
        text_line(title, size, room).draw(pen, (gap, top), INK)
    return whole
