"""Boxes in replies, in all the ways that models write them."""

import itertools
import re
import time

import pytest
from panollava_hf._errors import ChatError
from panollava_hf.asking._boxes import BOX_FORMATS, MAX_BOXES, ParsedBoxes, box_question, parse_boxes, resized_size
from panollava_hf.asking._families import FAMILIES
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

#: `max_pixels` in the preprocessor_config.json of the published Qwen2.5-VL models; the code of transformers has less.
PUBLISHED = 12_845_056
SIZE = (448, 448)
BOX = (0.1, 0.2, 0.3, 0.4)


def boxes(text, box_format="qwen3-vl", size=SIZE):
    found = parse_boxes(text, box_format, size)
    assert found.problem == ""
    return [(entry.label, tuple(round(value, 6) for value in entry.box)) for entry in found.boxes]


@pytest.mark.parametrize(
    ("box_format", "text"),
    [
        ("qwen3-vl", '[{"bbox_2d": [100, 200, 300, 400], "label": "door"}]'),
        ("qwen3-vl", '```json\n[\n\t{"bbox_2d": [100, 200, 300, 400], "label": "door"}\n]\n```'),
        ("qwen3-vl", 'Here it is:\n[{"label": "door", "bbox_2d": [100, 200, 300, 400],},]\nIt is red.'),
        ("qwen3-vl", "[{'bbox_2d': [100, 200, 300, 400], 'label': 'door'}]"),
        ("qwen3-vl", '{"objects": [{"name": "door", "bbox": [300.0, 400.0, 100.0, 200.0]}]}'),
        ("qwen3-vl", '[{"bbox_2d": ["100", "200", "300", "400"], "label": "door"}]'),
        ("qwen3-vl", '[{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "label": "door"}]'),
        ("qwen3-vl", '[{"bbox_2d": [100, 200, 300, 400], "label": "door"}, {"bbox_2d": [500, 6'),
        ("qwen2.5-vl", '[{"bbox_2d": [44.8, 89.6, 134.4, 179.2], "label": "door"}]'),
        ("gemma", '[{"box_2d": [200, 100, 400, 300], "label": "door"}]'),
        ("qwen3-vl", '[{"box_2d": [200, 100, 400, 300], "label": "door"}]'),
        ("internvl", "<ref>door</ref><box>[[100, 200, 300, 400]]</box>"),
        ("internvl", "The <ref>door</ref><box>[[100,200,300,400]]"),
        ("qwen2-vl", "<|object_ref_start|>door<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|>"),
    ],
)
def test_one_box_in_many_forms(box_format, text):
    assert boxes(text, box_format) == [("door", BOX)]


@pytest.mark.parametrize(
    ("box_format", "text"),
    [
        ("qwen3-vl", "[100, 200, 300, 400]"),
        ("qwen3-vl", '{"bbox_2d": [100, 200, 300, 400]}'),
        ("gemma", "[200, 100, 400, 300]"),
        ("qwen2-vl", "It is at (100,200),(300,400)."),
        ("internvl", "<box>[[100, 200, 300, 400]]</box>"),
    ],
)
def test_labels_may_be_missing(box_format, text):
    assert boxes(text, box_format) == [("", BOX)]


def test_paligemma():
    text = "<loc0256><loc0128><loc0768><loc0512> red door ; <loc0000><loc0000><loc0512><loc0512> cat"
    expected = [("red door", (0.125, 0.25, 0.5, 0.75)), ("cat", (0.0, 0.0, 0.5, 0.5))]
    assert boxes(text, "paligemma") == expected


@pytest.mark.parametrize(
    "text",
    [
        '[{"bbox_2d": [100, 200, 300, 400], "label": "a"}, {"bbox_2d": [500, 0, 600, 100], "label": "b"}]',
        '{"bbox_2d": [100, 200, 300, 400], "label": "a"}\n{"bbox_2d": [500, 0, 600, 100], "label": "b"}',
        "<ref>a</ref><box>[[100, 200, 300, 400]]</box> and <ref>b</ref><box>[[500, 0, 600, 100]]</box>",
    ],
)
def test_several_boxes_keep_their_labels(text):
    assert boxes(text) == [("a", BOX), ("b", (0.5, 0.0, 0.6, 0.1))]


def test_several_boxes_of_one_label():
    expected = [("a", BOX), ("a", (0.5, 0.0, 0.6, 0.1))]
    assert boxes('{"bbox_2d": [[100, 200, 300, 400], [500, 0, 600, 100]], "label": "a"}') == expected
    assert boxes("<ref>a</ref><box>[[100, 200, 300, 400], [500, 0, 600, 100]]</box>") == expected


def test_coordinates_outside_are_clipped():
    assert boxes('[{"bbox_2d": [-50, 400, 300, 2000]}]') == [("", (0.0, 0.4, 0.3, 1.0))]


@pytest.mark.parametrize(
    "numbers", ["NaN, 0, 1, 1", "1e999, 0, 1, 1", "9" * 400 + ", 0, 1, 1", "5, 5, 5, 9", "1001, 0, 2000, 9"]
)
def test_boxes_without_area_are_reported(numbers):
    found = parse_boxes(f'[{{"bbox_2d": [{numbers}]}}, {{"bbox_2d": [100, 200, 300, 400]}}]', "qwen3-vl", SIZE)
    assert [entry.box for entry in found.boxes] == [BOX]
    assert found.problem.startswith("1 box has no area inside of the image: ")
    assert len(found.problem) < 160


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "```json\n[]\n```",
        "None",
        "none.",
        "No.",
        "There is no red door in this image.",
        "There are none.",
        "I can't see a red door here.",
        "No red door is visible.",
        "not found",
        "The image does not contain a red door.",
        "The red door isn't visible in this view.",
        '{"bbox_2d": [], "label": "none"}',
    ],
)
def test_nothing_is_nothing(text):
    assert boxes(text) == []


@pytest.mark.parametrize(
    "text", ["The door is red.", "There are two doors.", '[{"point_2d": [3, 4]}]', "[1, 2, 3]", "[{"]
)
def test_neither_a_box_nor_a_no_has_a_reason(text):
    problem = parse_boxes(text, "qwen3-vl", SIZE).problem
    assert problem == f"the reply has no box and does not say that there is none: {text!r}"


def test_an_empty_reply_has_a_reason():
    assert parse_boxes(" \n", "qwen3-vl", SIZE).problem == "the reply is empty"


@pytest.mark.parametrize("side", [28, 336, 448, 500, 512, 640, 1024, 4000])
def test_pixels_of_qwen_are_those_of_the_resized_image(side):
    height, width = smart_resize(side, side, max_pixels=PUBLISHED)
    numbers = [0.1 * width, 0.2 * height, 0.3 * width, 0.4 * height]
    assert boxes(f'[{{"bbox_2d": {numbers}}}]', "qwen2.5-vl", (side, side)) == [("", BOX)]


def test_resizing_is_that_of_transformers():
    for height, width in itertools.product(range(28, 5000, 331), range(28, 5000, 257)):
        assert resized_size(height, width) == smart_resize(height, width, max_pixels=PUBLISHED)


@pytest.mark.parametrize("box_format", BOX_FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        "<ref>" * 20_000,
        "<|object_ref_start|>" * 5_000,
        "[" * 100_000,
        "[1," + " " * 100_000,
        '{"bbox_2d": [' + "1" * 100_000,
        '{"bbox_2d": [1,2,3,4],' * 5_000,
        "<box>" * 20_000,
        "<loc0001>" * 11_000,
        "no " + "a" * 100_000,
        "no " * 33_000,
        "(1,2,,,,,,,,,,,,,,,,,,," * 4_000,
    ],
    ids=lambda text: f"{text[:12]}{text[-12:]}",
)
def test_hostile_replies_take_no_time(text, box_format):
    started = time.process_time()
    assert len(parse_boxes(text, box_format, SIZE).boxes) <= MAX_BOXES
    assert time.process_time() - started < 2


def test_every_family_has_a_format_and_a_question():
    assert {family.box_format for family in FAMILIES.values()} <= set(BOX_FORMATS)
    for box_format in BOX_FORMATS:
        assert "the {red} door" in box_question("the {red} door", box_format)


def test_an_unknown_format():
    with pytest.raises(ChatError, match=re.escape("unknown box format 'yolo'; expected one of qwen2-vl, qwen2.5-vl")):
        parse_boxes("[]", "yolo", SIZE)


@pytest.mark.parametrize(
    "text",
    [
        '[{"x1": 250, "y1": 100, "x2": 500, "y2": 300, "label": "door"}]',
        '{"label": "door", "bbox": {"x0": 250, "y0": 100, "x1": 500, "y1": 300}}',
        '{"label": "door", "ymin": 100, "xmin": 250, "ymax": 300, "xmax": 500}',
        '{"label": "door", "left": 250, "top": 100, "right": 500, "bottom": 300}',
        '{"label": "door", "x": 250, "y": 100, "width": 250, "height": 200}',
        '[{"label": "door", "box": {"x": 250, "y": 100, "w": 250, "h": 200}}]',
        '{"label": "door", "x_center": 375, "y_center": 200, "width": 250, "height": 200}',
        '[{"bbox_2d": ["25%", "10%", "50%", "30%"], "label": "door"}]',
        '[{"bbox_2d": [0.25, 0.1, 0.5, 0.3], "label": ["door", "entrance"]}]',
        '[{"bbox_2d": "250, 100, 500, 300", "label": "door"}]',
        '[{"bbox_2d": "250 100 500 300", "label": "door"}]',
        '[{"bbox_2d": [250; 100; 500; 300], "label": "door"}]',
        '[{"bbox_2d": [[250, 100], [500, 300]], "label": "door"}]',
        '[{"bbox_2d": [[250, 100], [500, 100], [500, 300], [250, 300]], "label": "door"}]',
        '[{"polygon": [[260, 100], [500, 150], [480, 300], [250, 290]], "label": "door"}]',
        '[{"poly": [250, 100, 500, 100, 500, 300, 250, 300], "label": "door"}]',
        '[{"bbox_2d": [250, 100, 500, 300, 0.98], "label": "door"}]',
        "<ref>door</ref><box>250 100 500 300</box>",
    ],
)
def test_unusual_syntaxes(text):
    (found,) = parse_boxes(text, "qwen3-vl", SIZE).boxes
    assert found.label == "door"
    assert found.box == pytest.approx((0.25, 0.1, 0.5, 0.3))


def test_prose_with_named_corners_and_quads():
    for text in (
        "The door is at x1=250, y1=100, x2=500, y2=300.",
        "<quad>(250,100),(500,100),(500,300),(250,300)</quad>",
    ):
        (found,) = parse_boxes(text, "internvl", SIZE).boxes
        assert found.box == pytest.approx((0.25, 0.1, 0.5, 0.3))


def test_several_boxes_are_not_a_polygon():
    for text in (
        '{"bbox_2d": [[0, 0, 100, 100], [200, 200, 300, 300]]}',
        "[[0, 0, 100, 100], [200, 200, 300, 300]]",
        '[{"x1": 0, "y1": 0, "x2": 100, "y2": 100}, {"x1": 200, "y1": 200, "x2": 300, "y2": 300}]',
    ):
        assert [found.box for found in parse_boxes(text, "qwen3-vl", SIZE).boxes] == [
            pytest.approx((0, 0, 0.1, 0.1)),
            pytest.approx((0.2, 0.2, 0.3, 0.3)),
        ]


@pytest.mark.parametrize("text", ['[{"bbox_2d": [0, 0, 0, 0], "label": "none"}]', '{"bbox_2d": null}'])
def test_a_box_of_zeros_or_null_stands_for_none(text):
    assert parse_boxes(text, "qwen3-vl", SIZE) == ParsedBoxes(())


@pytest.mark.parametrize(
    "part", ["[1,1,", "1 ", '"x": 1 ', "x=1, y=1, ", '"polygon": [[1,1],', "<box>1 1 ", "1%;", '"1" ']
)
def test_long_replies_of_unusual_syntaxes_are_read_in_linear_time(part):
    started = time.process_time()
    parse_boxes(part * (100_000 // len(part)), "qwen3-vl", SIZE)
    assert time.process_time() - started < 3
