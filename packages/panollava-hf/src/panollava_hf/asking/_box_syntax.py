"""Unusual ways to write a box, rewritten as `"bbox_2d": [x0, y0, x1, y1]` before a reply is read.

Named corners (`x1`, `xmin`, `left`), corner and size (`x`, `width`), numbers in one string or with other separators,
percentages, polygons, and a score after the four numbers. Every repetition in the patterns is bounded.
"""

import re

_N = r"[-+]?(?:\d{1,9}(?:\.\d{0,17})?|\.\d{1,17})%?"
_Q = r"[\"'`]?"
_X0, _Y0 = ("x0", "xmin", "left"), ("y0", "ymin", "top")
_X1, _Y1 = ("x2", "xmax", "right"), ("y2", "ymax", "bottom")
_NAME = (
    r"(?:[xy][ _]?(?:min|max|0|1|2|cent(?:er|re))|(?:min|max)[ _]?[xy]|c[xy]|left|top|right|bottom|width|height|[xywh])"
)
_PAIR = rf"{_Q}({_NAME}){_Q} ?[:=] ?{_Q}({_N})(?:px)?{_Q}"
_KEY = r"[\"']?(?:bbox_2d|box_2d|bounding[ _-]?box|bbox|box)[\"']? ?[:=] ?"
_NAMED = re.compile(rf"({_KEY}\{{ ?)?{_PAIR}(?: ?[,;]? ?(?:and )?{_PAIR}){{3}}(?(1) ?\}}?)", re.IGNORECASE)
_ONE = re.compile(_PAIR, re.IGNORECASE)
_APART = r"(?: ?[,;] ?| )"
_LISTED = re.compile(rf"(?:[\[(] ?|(?<=>) ?|[\"'] ?)({_N}(?:{_APART}{_N}){{3}})(?: ?[\])]| ?(?=<)| ?[\"'])")
_SCORED = re.compile(rf"([\[(] ?{_N}(?: ?, ?{_N}){{3}}) ?, ?(?:0?\.\d{{1,17}}|[01](?:\.0{{0,17}})?) ?([\])])")
_POINT = rf"[\[(] ?{_N} ?, ?{_N} ?[\])]"
_POLYGON = re.compile(
    rf"(?:<quad>|<poly>|[\"']?(?:polygon|poly|quad|points|contour|segmentation|bbox_2d|bbox|box)[\"']? ?[:=] ?) ?"
    rf"[\[(]{{0,2}} ?({_POINT}(?: ?,? ?{_POINT}){{2,63}}|{_N}(?: ?, ?{_N}){{5,127}}) ?[\])]{{0,2}}(?:</quad>|</poly>)?",
    re.IGNORECASE,
)


def usual(text: str) -> str:
    """A reply whose boxes are written as usual.

    Args:
        text: The reply, with single blanks.

    Example:
        >>> usual('{"label": "door", "xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}')
        '{"label": "door", "bbox_2d": [1, 2, 3, 4]}'
        >>> usual("the door is at x=10, y=20, width=30, height=40")
        'the door is at "bbox_2d": [10, 20, 40, 60]'
        >>> usual('{"polygon": [[5, 1], [9, 5], [5, 9], [1, 5]]}')
        '{"bbox_2d": [1, 1, 9, 9]}'
        >>> usual('["25%", "25%", "50%", "75%"] [1; 2; 3; 4]')
        '[0.25, 0.25, 0.5, 0.75] [1, 2, 3, 4]'
    """
    text = _POLYGON.sub(_around, text)
    text = _NAMED.sub(_corners, text)
    text = re.sub(rf"[\"']({_N})[\"']", r"\1", text)  # numbers as strings
    text = _SCORED.sub(r"\1\2", text)
    return _LISTED.sub(lambda match: _list(re.findall(_N, match[1])), text)


def _corners(match: re.Match[str]) -> str:
    """Four named numbers as a box; unchanged if they are not one."""
    given = {re.sub(r"[ _]", "", name.lower()): _value(number) for name, number in _ONE.findall(match[0])}
    x, y = _side(given, "x", _X0, _X1, "width"), _side(given, "y", _Y0, _Y1, "height")
    if x is None or y is None:
        return match[0]
    return f'"bbox_2d": {_list([x[0], y[0], x[1], y[1]])}'


def _side(
    given: dict[str, float], axis: str, first: tuple[str, ...], last: tuple[str, ...], size: str
) -> tuple[float, float] | None:
    """Both ends of a box in one direction."""
    if f"{axis}0" not in given and f"{axis}1" in given:  # 1 and 2, not 0 and 1
        first = (*first, f"{axis}1")
    elif f"{axis}0" in given:
        last = (*last, f"{axis}1")
    lengths = [given[name] for name in (size, size[0]) if name in given]
    middles = [given[name] for name in (f"{axis}center", f"{axis}centre", f"c{axis}") if name in given]
    if middles and lengths:
        return middles[0] - lengths[0] / 2, middles[0] + lengths[0] / 2
    starts = [given[name] for name in (*first, axis, f"min{axis}") if name in given]
    ends = [given[name] for name in (*last, f"max{axis}") if name in given]
    if not starts or not (ends or lengths):
        return None
    return starts[0], ends[0] if ends else starts[0] + lengths[0]


def _around(match: re.Match[str]) -> str:
    """The box around the points of a polygon; unchanged if these are several boxes."""
    numbers = [_value(number) for number in re.findall(_N, match[1])]
    if len(numbers) % 2 or len(numbers) < 6 or (len(numbers) == 8 and _two_boxes(match[0])):
        return match[0]
    x, y = numbers[::2], numbers[1::2]
    return f'"bbox_2d": {_list([min(x), min(y), max(x), max(y)])}'


def _two_boxes(text: str) -> bool:
    """Whether eight numbers are written as boxes of four."""
    return re.search(rf"{_N} ?, ?{_N} ?, ?{_N} ?, ?{_N} ?[\])] ?, ?[\[(]", text) is not None


def _list(numbers: "list[str] | list[float]") -> str:
    return "[" + ", ".join(f"{_value(str(number)):.10g}" for number in numbers) + "]"


def _value(number: str) -> float:
    return float(number[:-1]) / 100 if number.endswith("%") else float(number)
