"""Objects against the places that the scenes record."""

import dataclasses

import pytest
from panollava_hf.demo._finding import find
from panollava_hf.demo._named_directions import named_directions
from panollava_hf.demo._objects import areas_of, named_objects
from panollava_hf.demo._spots import spots_of
from panollava_hf.demo._stoppable import StoppableChat
from panollava_hf.panoshapes import sample_scene

CASES = {
    ("What colour is the cube?", "red"): ["red cube"],
    ("What shape is the red object?", "torus"): ["red torus"],
    ("Where is the red cube?", "back left"): ["red cube"],
    ("What is to the back left?", "blue cone"): ["blue cone"],
    ("Is there a red cube?", "yes"): ["red cube"],
    ("Is there a red cube?", "no"): [],
    ("How many cubes are there?", "2"): [],
    ("Which is nearer, the red cube or the blue cone?", "blue cone"): ["blue cone"],
    ("Is the red cube left of the blue cone?", "left"): ["red cube", "blue cone"],
    ("Describe it.", "red cube front, blue cone left"): ["red cube", "blue cone"],
    ("Who is there?", "A man in a red coat."): [],
}


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_the_objects_that_an_answer_is_about(case):
    assert [found.name for found in named_objects(*case)] == CASES[case]


def test_words_around_an_object_place_it():
    both = named_objects("Describe it.", "red cube front, blue cone left")
    assert [found.direction.yaw_deg for found in both] == [0, -90]
    (asked,) = named_objects("What can you see to the back left?", "blue cone")
    assert asked.direction.yaw_deg == -135


def between(first, second):
    return abs((first - second + 180) % 360 - 180)


def alone(scene):
    """The objects that can be named, and are not near a pole or hidden."""
    return [
        item
        for item in scene.objects
        if item.horizontal and item.visible_share > 0.9 and scene.only(item.colour, item.shape) is item
    ]


def test_objects_are_within_two_degrees_of_the_truth(rendered):
    errors = []
    for index in range(12):
        scene = sample_scene(3, "test", index)
        image = rendered(scene)
        for item in alone(scene):
            if len(scene.matching(item.colour)) == 1:
                (direction,) = named_directions(item.direction)
                found = areas_of(image, item.colour, direction)
                assert found, (scene.name, item.name)
                errors.append(between(found[0].yaw_deg, item.yaw_deg))
    assert len(errors) >= 15
    assert sum(error < 2 for error in errors) / len(errors) >= 0.95, errors


def test_a_colour_that_is_not_there_has_no_area(rendered):
    scene = sample_scene(3, "test", 0)
    missing = next(colour for colour in ("red", "green", "purple", "orange") if not scene.matching(colour))
    assert areas_of(rendered(scene), missing, named_directions("front")[0]) == []


def test_the_checkpoint_tells_objects_of_one_colour_apart(embedded, rendered):
    """Two solids of one colour in one sector: the area alone does not say which is which."""
    base = sample_scene(18, "test", 54)
    first = next(item for item in base.objects if item.horizontal)
    pair = (
        dataclasses.replace(first, colour="red", shape="cube", yaw_deg=-13.0, pitch_deg=0.0, distance=3.5),
        dataclasses.replace(first, colour="red", shape="sphere", yaw_deg=13.0, pitch_deg=0.0, distance=3.0),
    )
    tint = dict.fromkeys(("tint",), (0.86, 0.07, 0.09))
    scene = dataclasses.replace(base, objects=tuple(dataclasses.replace(item, **tint) for item in pair))
    image = rendered(scene)
    chat = StoppableChat(embedded.chat)
    for item in scene.objects:
        (spot,) = find(embedded, chat, image, f"the {item.name}")
        assert between(spot.yaw_deg, item.yaw_deg) < 2, item.name
        assert spot.kind == "object"


def test_the_hot_spot_of_an_answer_is_the_object(embedded, rendered):
    scene = sample_scene(18, "test", 54)
    image = rendered(scene)
    right = 0
    for item in alone(scene):
        question = f"Where is the {item.name}?"
        answer = embedded.answer(image, question, max_new_tokens=8)
        if answer.text == item.direction:
            spot = spots_of(question, answer, image)[0]
            assert spot.label == item.name
            assert between(spot.yaw_deg, item.yaw_deg) < 2
            right += 1
    assert right >= 2


def test_turning_finds_what_has_no_colour(embedded, rendered, monkeypatch):
    """Without a colour, the direction is read from the answers about turned panoramas."""
    scene = sample_scene(18, "test", 54)
    (item,) = scene.matching(shape="cone", colour="green")
    monkeypatch.setattr("panollava_hf.demo._finding.named_objects", lambda question, answer: [])
    (spot,) = find(embedded, StoppableChat(embedded.chat), rendered(scene), "the green cone")
    assert spot.kind == "direction"
    assert between(spot.yaw_deg, item.yaw_deg) < 8  # the checkpoint's own precision at the borders of sectors
