"""The figure of predicted directions: a compass rose of what was found, and counts of what was predicted for what."""

import io
import math
from collections.abc import Sequence

from panollava_geometry.cli import printable
from panollava_geometry.drawing import EMPTY, GREY, INK, PALETTE, PAPER, Colour, TextLine, text_line, text_on
from PIL import Image, ImageDraw

from panollava_hf._shown import shortened
from panollava_hf.panoshapes import DIRECTIONS

#: Edge of the figure, side of a cell, and sizes of the letters, in pixels.
_EDGE, _CELL, _LETTERS, _TITLE, _SMALL = 40, 64, 22, 34, 18
#: Radius of the rose, and its centre's distance from its upper left corner.
_RADIUS, _MIDDLE = 190, 300
#: The figure is drawn this many times larger, for smooth edges.
_SCALE = 2
#: Longest label, in letters.
_LONGEST = 30
_DEEP: Colour = (0, 90, 140)
#: The eight directions around the viewer, clockwise from the front, then above and below.
_SECTORS, _POLES = DIRECTIONS[:8], DIRECTIONS[8:]


def draw_directions(labels: Sequence[str], counts: Sequence[Sequence[int]], subject: str) -> bytes:
    """A PNG: accuracy as title, a compass rose of the correct shares, and a table of the counts.

    Args:
        labels: The expected answers: the ten directions, then others.
        counts: For each of them, how often each label was predicted, then how often anything else.
        subject: Model and data.
    """
    right, total = sum(row[index] for index, row in enumerate(counts)), sum(map(sum, counts))
    share = f" ({100 * right / total:.1f} %)" if total else ""
    names = [_label(label) for label in labels]
    rows, wide = [text_line(name, _LETTERS) for name in names], 2 * _MIDDLE
    left = _EDGE + wide + _EDGE + max(line.width for line in rows) + 16
    columns = [text_line(name, _LETTERS) for name in [*names, "other"]]
    head = _EDGE + round(2.6 * _TITLE)
    top = head + max(line.width for line in columns) + _LETTERS
    width = round(left + len(columns) * _CELL + _EDGE)
    height = round(max(top + len(rows) * _CELL + 2 * _LETTERS, head + 2 * _MIDDLE + 3 * _CELL) + _EDGE)
    figure = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(figure)
    title = f"{right} of {total} directions predicted correctly{share}"
    text_line(title, _TITLE, width - 2 * _EDGE).draw(pen, (_EDGE, _EDGE), INK)
    below = text_line(shortened(printable(subject), 200), _SMALL, width - 2 * _EDGE)
    below.draw(pen, (_EDGE, _EDGE + 1.35 * _TITLE), GREY)
    shares = {label: _share(row, index) for index, (label, row) in enumerate(zip(labels, counts, strict=True))}
    figure.paste(_rose(shares), (_EDGE, head))
    _poles(pen, (_EDGE, head + 2 * _MIDDLE), shares)
    _table(figure, (left, top), rows, columns, counts)
    stream = io.BytesIO()
    figure.save(stream, format="PNG")
    return stream.getvalue()


def _label(text: str) -> str:
    return shortened(" ".join(printable(text).split()), _LONGEST)


def _share(row: Sequence[int], index: int) -> tuple[int, int]:
    """How many of a row are correct, and how many there are."""
    return row[index], sum(row)


def _rose(shares: dict[str, tuple[int, int]]) -> Image.Image:
    """A wedge for each direction, as long as its share of correct predictions; the front is at the top."""
    side = 2 * _MIDDLE * _SCALE
    rose = Image.new("RGB", (side, side), PAPER)
    pen, middle = ImageDraw.Draw(rose), _MIDDLE * _SCALE
    for number, sector in enumerate(_SECTORS):
        right, total = shares.get(sector, (0, 0))
        start = 45 * number - 90 - 22.5
        for radius, rgb in ((_RADIUS, EMPTY), (_RADIUS * right / total if total else 0, PALETTE[5])):
            reach = radius * _SCALE
            if reach >= 1:
                box = (middle - reach, middle - reach, middle + reach, middle + reach)
                pen.pieslice(box, start + 1, start + 44, fill=rgb)
    for share in (0.5, 1.0):
        reach = _RADIUS * _SCALE * share
        pen.ellipse((middle - reach, middle - reach, middle + reach, middle + reach), outline=GREY, width=_SCALE)
    rose = rose.reduce(_SCALE)
    pen = ImageDraw.Draw(rose)
    for number, sector in enumerate(_SECTORS):
        right, total = shares.get(sector, (0, 0))
        angle = math.radians(45 * number)
        x, y = math.sin(angle), -math.cos(angle)
        lines = [(text_line(sector, _LETTERS), INK), (text_line(f"{right} of {total}" if total else "–", _SMALL), GREY)]
        wide, high = max(line.width for line, _ in lines), sum(line.height for line, _ in lines)
        distance = _RADIUS + 12
        centre = (_MIDDLE + x * (distance + wide / 2), _MIDDLE + y * (distance + high / 2))
        upper = centre[1] - high / 2
        for line, fill in lines:
            place = min(max(centre[0] - line.width / 2, 0), 2 * _MIDDLE - line.width)
            line.draw(pen, (place, upper), fill)
            upper += line.height
    return rose


def _poles(pen: ImageDraw.ImageDraw, corner: tuple[float, float], shares: dict[str, tuple[int, int]]) -> None:
    """A bar for each direction that a compass does not have."""
    bar = (corner[0] + 120, 2 * _RADIUS)
    for number, pole in enumerate(_POLES):
        right, total = shares.get(pole, (0, 0))
        y = corner[1] + _CELL * number
        text_line(pole, _LETTERS).draw(pen, (corner[0] + 20, y), INK)
        pen.rectangle((bar[0], y + 3, bar[0] + bar[1], y + 25), fill=EMPTY)
        if right:
            pen.rectangle((bar[0], y + 3, bar[0] + bar[1] * right / total, y + 25), fill=PALETTE[5])
        counts = text_line(f"{right} of {total}" if total else "–", _SMALL)
        counts.draw(pen, (bar[0] + bar[1] + 12, y + 3), GREY)


def _table(
    figure: Image.Image,
    corner: tuple[float, float],
    rows: Sequence[TextLine],
    columns: Sequence[TextLine],
    counts: Sequence[Sequence[int]],
) -> None:
    """A row for each expected label, a column for each predicted one; the share of a row is its colour."""
    pen, (left, top) = ImageDraw.Draw(figure), corner
    for x, line in enumerate(columns):
        upright = Image.new("RGB", (math.ceil(line.width) + 4, math.ceil(line.height)), PAPER)
        line.draw(ImageDraw.Draw(upright), (0, 0), INK)
        turned = upright.transpose(Image.Transpose.ROTATE_90)
        gap = 12 if x == len(columns) - 1 else 0
        place = (round(left + (x + 0.5) * _CELL - turned.width / 2 + gap), round(top - 8 - turned.height))
        figure.paste(turned, place)
    for y, (line, row) in enumerate(zip(rows, counts, strict=True)):
        upper, total = top + y * _CELL, sum(row)
        line.draw(pen, (left - 16 - line.width, upper + (_CELL - line.height) / 2), INK if total else GREY)
        for x, count in enumerate(row):
            gap = 12 if x == len(row) - 1 else 0
            cell = (left + x * _CELL + 2 + gap, upper + 2, left + (x + 1) * _CELL - 2 + gap, upper + _CELL - 2)
            rgb = _blend(count / total if total else 0.0)
            pen.rectangle(cell, fill=rgb, outline=INK if x == y else None, width=2)
            if count:
                digits = text_line(str(count), _LETTERS if count < 1000 else _SMALL)
                x_digits = (cell[0] + cell[2] - digits.width) / 2
                digits.draw(pen, (x_digits, (cell[1] + cell[3] - digits.height) / 2), text_on(rgb))
    note = text_line("rows: expected; columns: predicted; colour: share of the row", _SMALL)
    note.draw(pen, (left, top + len(rows) * _CELL + _SMALL / 2), GREY)


def _blend(share: float) -> Colour:
    """From the colour of empty cells to a deep blue."""
    red, green, blue = (round(low + share * (high - low)) for low, high in zip(EMPTY, _DEEP, strict=True))
    return red, green, blue
