"""Where in a panorama the objects are that a question is about."""

import dataclasses

import pytest
from panollava_hf.panoshapes import Place, Question


@pytest.fixture
def scene_with(scenes):
    """A scene of a red cube, a blue cone and a green torus at (yaw, pitch)."""

    def build(*places):
        kinds = [("red", "cube"), ("blue", "cone"), ("green", "torus")]
        objects = tuple(
            dataclasses.replace(scenes[0].objects[0], colour=colour, shape=shape, yaw_deg=yaw, pitch_deg=pitch)
            for (colour, shape), (yaw, pitch) in zip(kinds, places, strict=False)
        )
        return dataclasses.replace(scenes[0], objects=objects)

    return build


def place(scene, answer="", **program):
    return Place.of(Question(program["family"], program, "", answer), scene)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ((170, 0), "back seam"),
        ((-166, 10), "back seam"),
        ((164, 0), "elsewhere"),
        ((0, 0), "elsewhere"),
        ((178, 60), "poles"),
        ((0, -50), "poles"),
    ],
)
def test_place_of_one_object(scene_with, position, expected):
    scene = scene_with(position)
    assert place(scene, family="where", colour="red", shape="cube") == expected
    assert place(scene, family="attribute", ask="colour", shape="cube") == expected
    assert place(scene, family="what", direction=scene.objects[0].direction, answer="red cube") == expected


def test_place_of_two_objects_and_of_none(scene_with):
    scene = scene_with((0, 0), (180, 0), (20, 80))
    red, blue, green = ({"colour": item.colour, "shape": item.shape} for item in scene.objects)
    for family in ("relative", "distance"):
        assert place(scene, family=family, first=red, second=blue) == "back seam"
        assert place(scene, family=family, first=blue, second=green) == "poles"
    assert place(scene, family="existence", colour="green", shape="cube", answer="no") is None
    assert place(scene, family="count", colour="red", answer="1") is None
    assert place(scene, family="caption") is None
