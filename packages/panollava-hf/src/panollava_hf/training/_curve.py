"""The losses of a run as an image."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from panollava_geometry.drawing import EMPTY, GREY, INK, PALETTE, PAPER, Colour, text_line
from PIL import Image, ImageDraw

#: Size of the plot of a stage, edge around it, and sizes of the letters, in pixels.
_WIDTH, _HEIGHT, _EDGE, _LETTERS, _TITLE = 560, 340, 36, 20, 30
#: Room for the numbers on the left of a plot, and for the heads above and the numbers below it.
_LEFT, _ABOVE, _BELOW = 84, 44, 64
#: Plots in a row.
_COLUMNS = 3
#: Lines are drawn this many times larger, for smooth edges.
_SCALE = 2
#: Most points of a line; neighbours are averaged above.
_POINTS = 800
#: With this many losses, a line of their moving average over a twentieth of them is drawn, too.
_SMOOTHED, _SHARE = 20, 20
#: Losses of a log, their names in the legend, and their colours.
Lines = tuple[tuple[str, str, Colour], ...]
_LINES: Lines = (
    ("loss", "training", PALETTE[5]),
    ("eval_loss", "validation", PALETTE[4]),
)
#: Scores in 0…1, and the terms of the validation loss of VICReg; each has a plot of its own.
_SCORES: Lines = (
    ("eval_exact_match", "exact match", PALETTE[4]),
    ("eval_token_f1", "token F1", PALETTE[5]),
)
_TERMS: Lines = (
    ("eval_invariance", "invariance", PALETTE[5]),
    ("eval_variance", "variance", PALETTE[4]),
    ("eval_covariance", "covariance", PALETTE[3]),
)
#: Most round numbers on an axis.
_TICKS = 8
_PALE: Colour = (168, 204, 226)

Points = list[tuple[float, float]]


def draw_learning_curve(logs: Mapping[str, Sequence[Mapping[str, Any]]], title: str = "Loss") -> Image.Image:
    """A plot of the losses of each stage.

    Args:
        logs: For each stage, the entries of its log (`trainer.state.log_history`): those with "step" and "loss" or
            "eval_loss" are drawn. Losses that are not finite are left out and counted.
        title: What stands above.

    Example:
        >>> draw_learning_curve({"finetune": [{"step": step, "loss": 1 / step} for step in range(1, 50)]}).size
        (752, 538)
    """
    return _figure([(stage, log, _LINES, None) for stage, log in logs.items()], title)


def draw_stage_curves(stage: str, log: Sequence[Mapping[str, Any]]) -> Image.Image:
    """A plot of the losses of one stage, and one of its scores or of the terms of its loss, if it was validated.

    Args:
        stage: Name of the stage.
        log: The entries of its log.

    Example:
        >>> draw_stage_curves("finetune", [{"step": 1, "loss": 2.0}, {"step": 1, "eval_exact_match": 0.5}]).size
        (1432, 538)
    """
    plots: list[_Plot] = [("loss", log, _LINES, None)]
    for head, lines, ends in (
        ("answers", _SCORES, (0.0, 1.0)),
        ("terms", _TERMS, None),
    ):
        if any(_points(log, key) for key, _, _ in lines):
            plots.append((head, log, lines, ends))
    return _figure(plots, stage)


#: Head, log and lines of a plot, and the ends of its axis; None follows the values.
_Plot = tuple[str, Sequence[Mapping[str, Any]], Lines, tuple[float, float] | None]


def _figure(plots: Sequence[_Plot], title: str) -> Image.Image:
    columns = max(1, min(len(plots), _COLUMNS))
    rows = max(1, -(-len(plots) // columns))
    wide, high = _LEFT + _WIDTH + _EDGE, _ABOVE + _HEIGHT + _BELOW
    figure = Image.new("RGB", (columns * wide + 2 * _EDGE, 2 * _EDGE + _TITLE + 12 + rows * high - 24), PAPER)
    text_line(title, _TITLE, figure.width - 2 * _EDGE).draw(ImageDraw.Draw(figure), (_EDGE, _EDGE // 2), INK)
    for number, plot in enumerate(plots):
        corner = (_EDGE + number % columns * wide, _EDGE + _TITLE + 12 + number // columns * high)
        _draw_plot(figure, corner, *plot)
    return figure


def _draw_plot(
    figure: Image.Image,
    corner: tuple[int, int],
    head_text: str,
    log: Sequence[Mapping[str, Any]],
    wanted: Lines,
    ends: tuple[float, float] | None,
) -> None:
    pen, (x, y) = ImageDraw.Draw(figure), (corner[0] + _LEFT, corner[1] + _ABOVE)
    found = [(name, rgb, _points(log, key)) for key, name, rgb in wanted]
    lines = [(name, rgb, points) for name, rgb, points in found if points]
    lost = sum(1 for entry in log for key, _, _ in wanted if key in entry and not _finite(entry[key]))
    head = text_line(head_text, _LETTERS * 1.1, _WIDTH / 2)
    head.draw(pen, (x, corner[1]), INK)
    at = x + head.width + _LETTERS
    for name, rgb, points in lines:
        last = (_moving_average(points) if len(points) >= _SMOOTHED else points)[-1][1]
        legend = text_line(f"{name} {_short(last)}", 0.85 * _LETTERS)
        pen.rectangle((at, corner[1] + 10, at + 18, corner[1] + 16), fill=rgb)
        legend.draw(pen, (at + 24, corner[1] + 3), GREY)
        at += legend.width + 44
    if lost or not lines:
        note = text_line(f"{lost} not finite" if lost else "no losses in the log", 0.85 * _LETTERS)
        note.draw(pen, (at, corner[1] + 3), PALETTE[4])
    if not lines:
        pen.rectangle((x, y, x + _WIDTH, y + _HEIGHT), fill=EMPTY)
        return
    steps = [step for _, _, points in lines for step, _ in points]
    losses = [loss for _, _, points in lines for _, loss in points]
    across = (min(0.0, *steps), max(steps))
    up = ends or _range(min(losses), max(losses))
    figure.paste(_plot(lines, across, up), (x, y))
    for value in _ticks(*up):
        label = text_line(_short(value), 0.85 * _LETTERS)
        label.draw(pen, (x - 10 - label.width, y + _HEIGHT * (1 - _part(value, up)) - label.height / 2), GREY)
    for value in _ticks(*across):
        label = text_line(_short(value), 0.85 * _LETTERS)
        middle = x + _WIDTH * _part(value, across) - label.width / 2
        label.draw(pen, (min(middle, x + _WIDTH - label.width), y + _HEIGHT + 6), GREY)
    unit = text_line("step", 0.85 * _LETTERS)
    unit.draw(pen, (x + (_WIDTH - unit.width) / 2, y + _HEIGHT + 28), GREY)


def _plot(
    lines: Sequence[tuple[str, Colour, Points]], across: tuple[float, float], up: tuple[float, float]
) -> Image.Image:
    """The lines on a grid: the training losses pale with their moving average, the others as they are."""
    width, height = _WIDTH * _SCALE, _HEIGHT * _SCALE
    plot = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(plot)
    for value in _ticks(*up):
        level = height * (1 - _part(value, up))
        pen.line((0, level, width, level), fill=EMPTY, width=_SCALE)
    pen.line((0, height - 1, width, height - 1), fill=GREY, width=2 * _SCALE)
    for name, rgb, points in lines:
        smooth = name == "training" and len(points) >= _SMOOTHED
        drawn = [(points, _PALE if smooth else rgb)] + ([(_moving_average(points), rgb)] if smooth else [])
        for line, colour in drawn:
            places = [(width * _part(x, across), height * (1 - _part(y, up))) for x, y in _thinned(line)]
            if len(places) == 1:
                (x, y), radius = places[0], 4 * _SCALE
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
            else:
                pen.line(places, fill=colour, width=round(2.5 * _SCALE), joint="curve")
        if name == "validation" and len(points) > 1:  # a ring marks the lowest loss, whose weights are kept
            step, loss = min(points, key=lambda point: point[1])
            (x, y), radius = (width * _part(step, across), height * (1 - _part(loss, up))), 5 * _SCALE
            x = min(max(x, radius), width - radius)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), PAPER, rgb, 2 * _SCALE)
    return plot.reduce(_SCALE)


def _points(log: Sequence[Mapping[str, Any]], key: str) -> Points:
    """Steps and losses that are finite, in the order of the steps; of a step that was repeated, the last."""
    found = {float(entry["step"]): float(entry[key]) for entry in log if "step" in entry and _finite(entry.get(key))}
    return sorted(found.items())


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _moving_average(points: Points) -> Points:
    """Each loss as the mean of its neighbours on both sides."""
    reach = max(2, len(points) // _SHARE // 2)
    sums = [0.0, *accumulate(loss for _, loss in points)]
    found = []
    for index, (step, _) in enumerate(points):
        first, last = max(index - reach, 0), min(index + reach + 1, len(points))
        found.append((step, (sums[last] - sums[first]) / (last - first)))
    return found


def _thinned(points: Points) -> Points:
    """At most `_POINTS` points, each the mean of its neighbours."""
    size = -(-len(points) // _POINTS)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _range(low: float, high: float) -> tuple[float, float]:
    """Ends of the axis of the losses: from 0 where that wastes little room, with some air."""
    if high == low:
        return low - abs(low or 1.0) / 2, high + abs(high or 1.0) / 2
    air = 0.05 * (high - low)
    return (0.0 if 0 <= low < 0.6 * high else low - air), high + air


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two numbers.

    Example:
        >>> _ticks(0.0, 1.05)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if not high > low:
        return [low]
    raw = (high - low) / _TICKS
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def _part(value: float, ends: tuple[float, float]) -> float:
    return (value - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else 0.5


def _short(value: float) -> str:
    """A number in at most four digits.

    Example:
        >>> _short(0.25), _short(1500.0), _short(0.0), _short(1.0)
        ('0.25', '1500', '0', '1')
    """
    return f"{value:.0f}" if abs(value) >= 1000 and abs(value) < 1e7 else f"{value:.3g}"
