"""Lines of text, measured and drawn."""

import unicodedata
from dataclasses import dataclass
from typing import Any

from PIL import ImageDraw

from panollava_geometry._drawing._colours import Colour
from panollava_geometry._drawing._fonts import Pixels, fonts_for
from panollava_geometry._printable import printable_line

#: Longest text that is measured; what follows could not be read on an image.
_MAX_LENGTH = 2000


@dataclass(frozen=True)
class TextLine:
    """A line of text that is ready to be drawn.

    Attributes:
        text: What is drawn.
        width: Its width in pixels.
        height: Height of its line in pixels: the same for every text of a size.
    """

    text: str
    width: Pixels
    height: Pixels
    _size: Pixels
    _parts: tuple[tuple[Any, str], ...]

    def draw(
        self, pen: ImageDraw.ImageDraw, corner: tuple[Pixels, Pixels], fill: Colour, *, halo: Colour | None = None
    ) -> None:
        """Draw the line.

        Args:
            pen: Of the image.
            corner: Upper left corner (x, y) of the line.
            fill: Colour of the letters.
            halo: Colour of a border around the letters, which makes them readable on photographs.
        """
        x, baseline = corner[0], corner[1] + self.height - 0.28 * self._size
        stroke = 0 if halo is None else max(1, round(self._size / 10))
        for face, part in self._parts:
            pen.text((x, baseline), part, fill=fill, font=face, anchor="ls", stroke_width=stroke, stroke_fill=halo)
            x += face.getlength(part)


def text_line(text: str, size: Pixels, max_width: Pixels | None = None) -> TextLine:
    """Prepare a text to be drawn in one line.

    Letters that Pillow's own font lacks are taken from installed fonts. Those that no font has become question marks,
    with a `PanoramaWarning`.

    Args:
        text: The text; line breaks become spaces.
        size: Size of the letters in pixels.
        max_width: Longer lines are cut and end in "…".

    Example:
        >>> from panollava_geometry.drawing import text_line
        >>> text_line("Which shop is to my right?", 20, max_width=100).text
        'Which sh…'
    """
    shown = unicodedata.normalize("NFC", printable_line(text)[:_MAX_LENGTH])
    line = _measured(shown, size)
    if max_width is None or line.width <= max_width:
        return line
    few, many = 0, len(shown)  # as many letters as there is room for
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (
            (middle, many) if _measured(shown[:middle].rstrip() + "…", size).width <= max_width else (few, middle)
        )
    return _measured(shown[:few].rstrip() + "…" if few else "", size)


def text_lines(text: str, size: Pixels, max_width: Pixels, max_lines: int) -> list[TextLine]:
    """Prepare a text to be drawn in several lines, broken between words where possible.

    Args:
        text: The text.
        size: Size of the letters in pixels.
        max_width: Width of the lines.
        max_lines: What does not fit ends in "…".
    """
    words = printable_line(text)[:_MAX_LENGTH].split()
    lines: list[TextLine] = []
    while words:
        if len(lines) == max_lines - 1:
            return [*lines, text_line(" ".join(words), size, max_width)]
        few, many = 0, len(words) + 1
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (
                (middle, many) if text_line(" ".join(words[:middle]), size).width <= max_width else (few, middle)
            )
        if few == 0:  # a word that is longer than a line, or a script without spaces
            cut = max(1, len(text_line(words[0], size, max_width).text) - 1)
            lines.append(text_line(words[0][:cut], size, max_width))
            words[0] = words[0][cut:]
        else:
            lines.append(text_line(" ".join(words[:few]), size))
            words = words[few:]
    return lines


def text_size(image_size: tuple[int, int], share: Pixels = 1 / 48) -> float:
    """Size of the letters on an image in pixels: a share of its width, and at least 10 so that they can be read.

    Example:
        >>> from panollava_geometry.drawing import text_size
        >>> text_size((256, 128)), text_size((1920, 960))
        (10.0, 40.0)
    """
    return max(10.0, image_size[0] * share)


def _measured(text: str, size: Pixels) -> TextLine:
    parts = tuple(fonts_for(text, size))
    return TextLine(
        "".join(part for _, part in parts), sum(face.getlength(part) for face, part in parts), 1.25 * size, size, parts
    )
