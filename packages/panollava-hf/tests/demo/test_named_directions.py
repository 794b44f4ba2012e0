import pytest
from panollava_hf.demo._named_directions import named_directions
from panollava_hf.panoshapes import DIRECTIONS

NAMED = {
    "back left": [(-135, 0)],
    "Above.": [(0, 90)],
    "red cube front, blue cone left": [(0, 0), (-90, 0)],
    "A door is on your left, a car is behind you.": [(-90, 0), (180, 0)],
    "The lamp is behind you to the left (yaw -135°, pitch 10°).": [(-135, 0), (-135, 10)],
    "On the right-hand side there is a shop; straight ahead a lantern.": [(90, 0), (0, 0)],
    "It is ahead to the right.": [(45, 0)],
    "It is to the back right of the room.": [(135, 0)],
    "The sky is above you and the floor below you.": [(0, 90), (0, -90)],
    "yaw of 200 degrees": [(-160, 0)],
    "yaw −90°": [(-90, 0)],
    "In front of you, and to your right.": [(0, 0), (90, 0)],
    "left, left": [(-90, 0)],
}


@pytest.mark.parametrize("text", NAMED)
def test_directions_that_are_named(text):
    assert [(found.yaw_deg, found.pitch_deg) for found in named_directions(text)] == NAMED[text]


@pytest.mark.parametrize(
    "text",
    [
        "He left the room.",
        "He left.",
        "Turn back",
        "A cup to the left of the plate stands on the table in the middle.",
        "You are right about the colour of that door, it is red indeed.",
        "The back of the chair is made of wood, with two red stripes.",
        "There are 3 cubes.",
        "yaw 900",
        "",
        "right " * 500,
    ],
)
def test_words_that_are_no_directions(text):
    assert named_directions(text) == []


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_sectors_of_panoshapes_lie_where_it_says(name):
    (found,) = named_directions(name)
    expected = {"above": (0, 90), "below": (0, -90)}
    yaw = 45 * DIRECTIONS.index(name)
    assert (found.yaw_deg, found.pitch_deg) == expected.get(name, (yaw if yaw <= 180 else yaw - 360, 0))
    assert found.words == name
