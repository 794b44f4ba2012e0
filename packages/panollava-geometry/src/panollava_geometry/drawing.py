"""For programs that write images: one set of fonts, colours and captions, for images of any size.

Example:
    >>> from PIL import Image
    >>> from panollava_geometry.drawing import Caption, colour, draw_captions
    >>> panorama = Image.new("RGB", (512, 256))
    >>> len(draw_captions(panorama, [Caption(128, 128, "left", colour(0)), Caption(256, 128, "ahead", colour(1))]))
    2
"""

from panollava_geometry._drawing._captions import Caption, draw_captions
from panollava_geometry._drawing._colour_bar import with_colour_bar
from panollava_geometry._drawing._colours import (
    EMPTY,
    GREY,
    INK,
    PALETTE,
    PAPER,
    Colour,
    colour,
    contrast,
    sequential,
    text_on,
)
from panollava_geometry._drawing._direction_words import degrees_text, direction_words, view_words
from panollava_geometry._drawing._fonts import font
from panollava_geometry._drawing._outlines import draw_outlines
from panollava_geometry._drawing._placing import Rectangle, place_labels
from panollava_geometry._drawing._text import TextLine, text_line, text_lines, text_size

__all__ = [
    "EMPTY",
    "GREY",
    "INK",
    "PALETTE",
    "PAPER",
    "Caption",
    "Colour",
    "Rectangle",
    "TextLine",
    "colour",
    "contrast",
    "degrees_text",
    "direction_words",
    "draw_captions",
    "draw_outlines",
    "font",
    "place_labels",
    "sequential",
    "text_line",
    "text_lines",
    "text_on",
    "text_size",
    "view_words",
    "with_colour_bar",
]
