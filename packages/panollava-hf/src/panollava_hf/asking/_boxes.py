"""Boxes in the replies of vision-language models: how each family is asked for them, and how they are read.

| format | example of a reply | units |
|---|---|---|
| `qwen2-vl` | `<|object_ref_start|>door<|object_ref_end|><|box_start|>(x0,y0),(x1,y1)<|box_end|>` | 0 to 1000 |
| `qwen2.5-vl` | `[{"bbox_2d": [x0, y0, x1, y1], "label": "door"}]` | pixels of the resized image |
| `qwen3-vl` | `[{"bbox_2d": [x0, y0, x1, y1], "label": "door"}]` | 0 to 1000 |
| `internvl` | `<ref>door</ref><box>[[x0, y0, x1, y1]]</box>` | 0 to 1000 |
| `gemma` | `[{"box_2d": [y0, x0, y1, x1], "label": "door"}]` | 0 to 1000 |
| `paligemma` | `<loc0256><loc0128><loc0768><loc0512> door` (y0, x0, y1, x1) | 0 to 1024 |

The syntax of a reply says the order of the numbers, whatever was asked for; the format says their units.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from panollava_hf._errors import ChatError
from panollava_hf._shown import shortened
from panollava_hf.asking._box_syntax import usual

BoxFormat = Literal["qwen2-vl", "qwen2.5-vl", "qwen3-vl", "internvl", "gemma", "paligemma"]
BOX_FORMATS: tuple[str, ...] = get_args(BoxFormat)

#: Longest reply that is read, in characters, and most boxes of a reply: a model that repeats itself writes more.
MAX_REPLY, MAX_BOXES = 100_000, 200
#: The published Qwen2.5-VL models round sides to this multiple, and keep the area within these limits.
QWEN_FACTOR, QWEN_MIN_PIXELS, QWEN_MAX_PIXELS = 28, 56 * 56, 12_845_056
#: The limit of an image processor without settings, which is lower.
_LOWEST_LIMIT = 28 * 28 * 1280

_QUESTIONS = {
    "qwen2-vl": "Find {what} in this image. Give the bounding box of each as <|box_start|>(x0,y0),(x1,y1)<|box_end|>, "
    "from 0 to 1000.",
    "qwen2.5-vl": "Locate {what} in this image. Output the bounding box of each in JSON: "
    '[{{"bbox_2d": [x0, y0, x1, y1], "label": "…"}}], in pixels.',
    "qwen3-vl": "Locate {what} in this image. Output the bounding box of each in JSON: "
    '[{{"bbox_2d": [x0, y0, x1, y1], "label": "…"}}], with coordinates from 0 to 1000.',
    "internvl": "Please provide the bounding box of each region this sentence describes: <ref>{what}</ref>. Write each "
    "as <ref>…</ref><box>[[x0, y0, x1, y1]]</box>, from 0 to 1000.",
    "gemma": "Detect {what} in this image. Output the bounding box of each in JSON: "
    '[{{"box_2d": [y0, x0, y1, x1], "label": "…"}}], with coordinates from 0 to 1000.',
    "paligemma": "detect {what}",
}
_NONE_LEFT = " If there is none in this image, answer []."

# Runs of blanks are one blank, and every repetition is bounded: no reply takes more than linear time.
_NUMBER = r"[\"']?([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|[-+]?nan|[-+]?inf(?:inity)?)[\"']?"
_FOUR = rf"[\[(] ?{_NUMBER} ?, ?{_NUMBER} ?[,)\]]{{1,2}} ?[,\[(]{{0,2}} ?{_NUMBER} ?, ?{_NUMBER} ?,? ?[\])]"
_QUAD = re.compile(_FOUR, re.IGNORECASE)
#: An opening of an entry: a key that names a box, then its four numbers. Quotes may be of any kind, or left out.
_KEYED = re.compile(rf"(bbox_2d|box_2d|bounding_box|bbox|box)[\"'”]?\s*[:=]\s*\[?\s*{_FOUR}", re.IGNORECASE)
_SYNTAX = re.compile(
    r"[\"'](?:bbox_2d|box_2d|bounding[ _-]?box|bbox|box)[\"'] ?:|<box>|<\|box_start\|>|<loc\d{4}>", re.I
)
_FURTHER = re.compile(rf" ?, ?{_FOUR}", re.IGNORECASE)
_LABEL = re.compile(
    r"[\"'](?:label|name|object|class|category|category_name|type)[\"']\s*:\s*\[?\s*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)')",
    re.I,
)
_LOC = re.compile(r"((?:<loc\d{4}>\s*){4,})([^<;]*)", re.IGNORECASE)
_INTERNVL = re.compile(r"(?:<ref>([^<]{0,500})</ref>\s*)?<box>(.*?)(?:</box>|\Z)", re.IGNORECASE | re.DOTALL)
_QWEN2 = re.compile(
    r"(?:<\|object_ref_start\|>([^<]{0,500})<\|object_ref_end\|>\s*)?<\|box_start\|>(.*?)(?:<\|box_end\|>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_NOTHING = re.compile(
    r"\A\W*(?:none|nothing|no|null|n/?a|0)\b\W*\Z"
    r"|\[\s*\]|\{\s*\}|\bnone\b|:\s*null\b"
    r"|\bno\s+(?:such\b|\w+(?:\s+\w+){0,5}?\s+(?:is|are|was|were|can|could|found|visible|present|detected|here|in)\b)"
    r"|\bno\s+(?:bounding\s+)?box(?:es)?\b|\bno\s+(?:objects?|matches|detections?)\b"
    r"|\bthere\s+(?:is|are|was|were)\s+(?:no\b|not\b)|\bthere(?:'|’)?s\s+no\b|\bthere\s+(?:isn|aren)(?:'|’)?t\b"
    r"|\b(?:is|are|was|were|do|does|did|can|could)\s*(?:not|n(?:'|’)?t)\s+(?:\w+\s+){0,2}?"
    r"(?:found|visible|present|seen|detected|shown|see|find|contain|show|locate|detect|identify|appear|exist|depict|there)\b"
    r"|\b(?:cannot|can(?:'|’)?t|couldn(?:'|’)?t|unable\s+to)\s+(?:\w+\s+)?(?:see|find|locate|detect|identify|be)\b"
    r"|\bnot\s+(?:found|visible|present|seen|detected|shown|there|in\s+(?:the|this))\b|\bnowhere\b|\babsent\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ViewBox:
    """A box in a view.

    Attributes:
        label: What the model calls it; empty if it does not say.
        box: Left, top, right and bottom as fractions of the view, in [0, 1].
    """

    label: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class ParsedBoxes:
    """What a reply says.

    Attributes:
        boxes: The boxes, in the order of the reply.
        problem: What could not be read, as one line; empty if nothing. No boxes and no problem: the model says that
            there is none.
    """

    boxes: tuple[ViewBox, ...]
    problem: str = ""


def check_box_format(name: str) -> str:
    """The name of a box format.

    Raises:
        ChatError: There is no such format.
    """
    if name not in BOX_FORMATS:
        raise ChatError(f"unknown box format {shortened(name, 80)!r}; expected one of {', '.join(BOX_FORMATS)}")
    return name


def box_question(what: str, box_format: str) -> str:
    """The question for the boxes of something, in the words that a family was trained with.

    Raises:
        ChatError: There is no such format.

    Example:
        >>> box_question("the red door", "paligemma")
        'detect the red door'
    """
    question = _QUESTIONS[check_box_format(box_format)].format(what=what.strip())
    return question if box_format == "paligemma" else question + _NONE_LEFT


def resized_size(
    height: int,
    width: int,
    factor: int = QWEN_FACTOR,
    min_pixels: int = QWEN_MIN_PIXELS,
    max_pixels: int = QWEN_MAX_PIXELS,
) -> tuple[int, int]:
    """Height and width to which the image processors of Qwen's models resize an image.

    Both sides become multiples of a factor and the area is kept within limits, as `smart_resize` of transformers does.
    The defaults are those of Qwen2-VL and Qwen2.5-VL. Boxes of Qwen2.5-VL are in pixels of the resized image.

    Example:
        >>> resized_size(448, 448), resized_size(500, 640)
        ((448, 448), (504, 644))
    """
    sides = [round(side / factor) * factor for side in (height, width)]
    if math.prod(sides) > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        sides = [max(factor, math.floor(side / shrink / factor) * factor) for side in (height, width)]
    elif math.prod(sides) < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        sides = [math.ceil(side * grow / factor) * factor for side in (height, width)]
    return sides[0], sides[1]


def has_boxes(text: str) -> bool:
    """Whether a text has the syntax of boxes, not only numbers.

    Example:
        >>> has_boxes('{"bbox_2d": [1, 2, 3, 4]}'), has_boxes("yaw -45, pitch 10 (or [10, 20, 30, 40])")
        (True, False)
    """
    return _SYNTAX.search(text[:MAX_REPLY]) is not None


def side_that_is_kept(side: int, box_format: str) -> int:
    """The side of square views, near the given one, that the model's image processor does not resize.

    Boxes of Qwen2.5-VL are in pixels of the resized image, whose size depends on limits that each checkpoint and server
    sets. They do not matter for an image that is not resized.

    Example:
        >>> side_that_is_kept(500, "qwen2.5-vl"), side_that_is_kept(1000, "qwen2.5-vl"), side_that_is_kept(500, "gemma")
        (504, 980, 500)
    """
    return resized_size(side, side, max_pixels=_LOWEST_LIMIT)[0] if box_format == "qwen2.5-vl" else side


def parse_boxes(text: str, box_format: str, size: tuple[int, int]) -> ParsedBoxes:
    """Read the boxes in a reply.

    Every complete entry is read, also with code fences, prose, trailing commas, missing labels or swapped corners, and
    in a reply that was cut off. Coordinates outside of the image are clipped to it.

    Args:
        text: The reply.
        box_format: One of `BOX_FORMATS`.
        size: Height and width in pixels of the image that was sent.

    Raises:
        ChatError: There is no such format.

    Example:
        >>> parse_boxes('[{"bbox_2d": [0, 0, 224, 448], "label": "door"}]', "qwen2.5-vl", (448, 448)).boxes
        (ViewBox(label='door', box=(0.0, 0.0, 0.5, 1.0)),)
        >>> parse_boxes("There is no door.", "qwen2.5-vl", (448, 448))
        ParsedBoxes(boxes=(), problem='')
        >>> parse_boxes("A nice room.", "qwen2.5-vl", (448, 448)).problem
        "the reply has no box and does not say that there is none: 'A nice room.'"
    """
    check_box_format(box_format)
    text = " ".join(text[:MAX_REPLY].split())
    original, text = text, usual(text)
    boxes: list[ViewBox] = []
    unusable, nothing = 0, False
    for number, (label, numbers, units) in enumerate(_entries(text, box_format, size)):
        if number == MAX_BOXES:
            return ParsedBoxes(tuple(boxes), f"only the first {MAX_BOXES} boxes of the reply were read")
        if not any(numbers):  # a box of zeros stands for none
            nothing = True
            continue
        box = _fractions(numbers, units)
        if box is None:
            unusable += 1
        elif (found := ViewBox(label, box)) not in boxes:
            boxes.append(found)
    if unusable:
        count = f"{unusable} box has" if unusable == 1 else f"{unusable} boxes have"
        return ParsedBoxes(tuple(boxes), f"{count} no area inside of the image: {shortened(original, 80)!r}")
    if not boxes and not text.strip():
        return ParsedBoxes((), "the reply is empty")
    if not boxes and not nothing and not _NOTHING.search(text):
        return ParsedBoxes((), f"the reply has no box and does not say that there is none: {shortened(original, 80)!r}")
    return ParsedBoxes(tuple(boxes))


#: What 1.0 is in x and in y.
_Units = tuple[float, float]
#: Label, (x0, y0, x1, y1), and units.
_Entry = tuple[str, tuple[float, ...], _Units]


def _units(box_format: str, size: tuple[int, int]) -> _Units:
    if box_format == "qwen2.5-vl":
        height, width = resized_size(*size)
        return float(width), float(height)
    return (1000.0, 1000.0)


def _entries(text: str, box_format: str, size: tuple[int, int]) -> Iterator[_Entry]:
    """The entries in the first syntax that the reply uses."""
    units = _units(box_format, size)
    if re.search(r"(?:<loc\d{4}>\s*){4}", text, re.IGNORECASE):
        yield from _location_tokens(text)
    elif "<|box_start|>" in text:
        yield from _tagged(_QWEN2, text, (1000.0, 1000.0))
    elif "<box>" in text.lower():
        yield from _tagged(_INTERNVL, text, (1000.0, 1000.0))
    elif _KEYED.search(text):
        yield from _keyed(text, units)
    else:
        for match in _QUAD.finditer(text):
            numbers = _values(match)
            yield "", (numbers[1], numbers[0], numbers[3], numbers[2]) if box_format == "gemma" else numbers, units


def _location_tokens(text: str) -> Iterator[_Entry]:
    for match in _LOC.finditer(text):
        numbers = [float(number) for number in re.findall(r"\d{4}", match[1])]
        for first in range(0, len(numbers) - 3, 4):
            y0, x0, y1, x1 = numbers[first : first + 4]
            yield " ".join(match[2].split()), (x0, y0, x1, y1), (1024.0, 1024.0)


def _tagged(pattern: re.Pattern[str], text: str, units: _Units) -> Iterator[_Entry]:
    for match in pattern.finditer(text):
        for quad in _QUAD.finditer(match[2]):
            yield " ".join((match[1] or "").split()), _values(quad), units


def _keyed(text: str, units: _Units) -> Iterator[_Entry]:
    """Entries of JSON, read without a JSON parser, because replies are cut off and have commas too many."""
    matches = list(_KEYED.finditer(text))
    for number, match in enumerate(matches):
        start = text.rfind("{", matches[number - 1].end() if number else 0, match.start())
        end = text.find("}", match.end())
        limit = matches[number + 1].start() if number + 1 < len(matches) else len(text)
        stop = min(end if end >= 0 else limit, limit)
        label = _label(text[match.end() : stop]) or (_label(text[start : match.start()]) if start >= 0 else "")
        numbers = tuple(float(value) for value in match.groups()[1:])
        if match[1].lower() == "box_2d":
            y0, x0, y1, x1 = numbers
            yield label, (x0, y0, x1, y1), (1000.0, 1000.0)
        else:
            yield label, numbers, units
        # further boxes in the same list: "bbox_2d": [[…], […]]
        position = match.end()
        while another := _FURTHER.match(text, position):
            yield label, _values(another), units
            position = another.end()


def _label(text: str) -> str:
    match = _LABEL.search(text)
    if match is None:
        return ""
    if match[2] is not None:
        return " ".join(match[2].split())
    try:
        decoded: Any = json.loads(f'"{match[1]}"', strict=False)
    except ValueError:  # an escape that JSON does not have
        decoded = match[1]
    return " ".join(str(decoded).split())


def _values(match: re.Match[str]) -> tuple[float, ...]:
    return tuple(float(value) for value in match.groups())


def _fractions(numbers: tuple[float, ...], units: _Units) -> tuple[float, float, float, float] | None:
    """The box as fractions of the image, with its corners in order; None if nothing of it is inside of the image."""
    if not all(math.isfinite(number) for number in numbers):
        return None
    if all(0 <= number <= 1 for number in numbers):
        units = (1.0, 1.0)  # the model wrote fractions
    x = sorted(min(max(number / units[0], 0.0), 1.0) for number in numbers[::2])
    y = sorted(min(max(number / units[1], 0.0), 1.0) for number in numbers[1::2])
    return (x[0], y[0], x[1], y[1]) if x[0] < x[1] and y[0] < y[1] else None
