"""Rendered scenes whose answers are known from the records that made them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from panollava_hf.panoshapes import Scene, render_scene, sample_scene
from PIL import Image


@dataclass(frozen=True)
class Asked:
    """A scene's file, a question, and its only right answer.

    Attributes:
        path: The panorama.
        pixels: The panorama, `[height, width, 3]` uint8.
        scene: Its record.
        question: A question with an answer of a few words.
        answer: The answer according to the record.
    """

    path: Path
    pixels: np.ndarray
    scene: Scene
    question: str
    answer: str


#: The colour of the only object to the left is the answer.
QUESTION = "Which object is to the left?"


def at_left(colour, shape):
    """A scene with one object exactly to the left and one to the front right."""
    scene = sample_scene(1, "test", 0)
    left, other = scene.objects[1], scene.objects[2]
    tint = next(o.tint for o in _many_objects() if o.colour == colour)
    left = replace(left, colour=colour, shape=shape, tint=tint, yaw_deg=-90.0, pitch_deg=0.0, distance=2.2)
    other = replace(other, colour="red", shape="torus", yaw_deg=48.0, pitch_deg=0.0, distance=2.4)
    return replace(scene, objects=(left, other), name=f"{colour}-{shape}")


def _many_objects():
    return [o for index in range(12) for o in sample_scene(1, "test", index).objects]


def written(folder):
    """Write the scenes and return them by colour and shape of the object to the left."""
    found = {}
    for colour, shape in (("purple", "sphere"), ("green", "cube"), ("blue", "cylinder"), ("yellow", "cone")):
        scene = at_left(colour, shape)
        pixels = render_scene(scene)
        path = folder / f"{scene.name}.png"
        Image.fromarray(pixels).save(path)
        found[scene.name] = Asked(path, pixels, scene, QUESTION, f"{colour} {shape}")
    return found
