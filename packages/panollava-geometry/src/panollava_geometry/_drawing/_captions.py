"""Captions on images: places that never collide, on a chip of a colour."""

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw

from panollava_geometry._drawing._colours import INK, PAPER, Colour, text_on
from panollava_geometry._drawing._fonts import Pixels
from panollava_geometry._drawing._placing import Rectangle, place_labels
from panollava_geometry._drawing._text import text_line, text_size


class Caption(NamedTuple):
    """A short text at a place of an image.

    Attributes:
        x: Column of its centre in pixels.
        y: Row of its centre.
        text: The text, one line.
        colour: Of the chip behind it.
    """

    x: Pixels
    y: Pixels
    text: str
    colour: Colour = INK


def draw_captions(
    image: Image.Image,
    captions: Sequence[Caption],
    *,
    size: Pixels | None = None,
    taken: Sequence[Rectangle] = (),
    avoid: Sequence[Rectangle] = (),
    seam: bool = True,
) -> list[list[Rectangle]]:
    """Draw captions that stay inside the image and apart from each other. At the seam of a panorama they are repeated.

    Args:
        image: The image, RGB; it is changed.
        captions: The captions, the most important first. A long one is cut to a third of the width.
        size: Size of the letters in pixels; default: `text_size` of the image. They shrink to 8 where there is no room.
        taken: Rectangles (left, top, right, bottom) that stay free.
        avoid: Rectangles that stay free where there is room nearby.
        seam: Whether the image is a whole panorama.

    Returns:
        The rectangles of each caption; none for a caption for which there was no room.

    Example:
        >>> from PIL import Image
        >>> from panollava_geometry.drawing import Caption, draw_captions
        >>> captions = [Caption(255, 64, "door"), Caption(128, 64, "red lamp")]
        >>> [len(places) for places in draw_captions(Image.new("RGB", (256, 128)), captions)]
        [2, 1]
    """
    letters = text_size(image.size) if size is None else size
    while True:
        lines = [text_line(caption.text, letters, image.width / 3) for caption in captions]
        pad = letters * 0.3
        sizes = [(line.width + 2 * pad, line.height + pad / 2) for line in lines]
        anchors = [(caption.x, caption.y) for caption in captions]
        found = place_labels(
            anchors, sizes, image.size, taken=taken, avoid=avoid, gap=max(1.0, letters / 12), seam=seam
        )
        if all(found) or letters <= 8:
            break
        letters = max(8.0, letters * 0.8)
    pen = ImageDraw.Draw(image)
    border = max(1, round(letters / 12))
    for caption, line, places in zip(captions, lines, found, strict=True):
        for left, top, right, bottom in places:
            chip = (round(left), round(top), round(right) - 1, round(bottom) - 1)
            outline = PAPER if text_on(caption.colour) == PAPER else INK
            pen.rounded_rectangle(chip, radius=pad, fill=caption.colour, outline=outline, width=border)
            line.draw(pen, (left + pad, top + pad / 4), text_on(caption.colour))
    return found
