"""Strategies against a model that answers only from what it is shown.

The panorama has another colour in each direction. The stand-in reads the question, looks for the image or description
whose label names that direction, and says its colour: a right answer proves that views, labels and order fit together.
"""

import base64
import io
import re

import numpy as np
import pytest
import torch
from panollava_geometry import rotate_equirectangular
from panollava_hf.asking._chat import Reply
from panollava_hf.asking._directions import SECTORS, direction
from panollava_hf.asking._messages import LOOK_AROUND
from panollava_hf.asking.strategies import Look
from PIL import Image

COLOURS = {
    "left": ("red", (220, 30, 30)),
    "ahead": ("green", (30, 200, 30)),
    "right": ("blue", (30, 30, 220)),
    "behind": ("yellow", (220, 220, 30)),
    "above": ("white", (250, 250, 250)),
    "below": ("black", (5, 5, 5)),
}
ASKED = {"ahead": "ahead of me", "behind": "behind me", "left": "to the left", "right": "to the right"}
LOOK = Look(LOOK_AROUND, (64, 64), max_new_tokens=8)


def panorama(height=256):
    """Four quarters of the horizon, a white top and a black bottom."""
    yaw = (np.arange(2 * height) + 0.5) / height * 180 - 180
    pitch = 90 - (np.arange(height) + 0.5) / height * 180
    pixels = np.zeros((height, 2 * height, 3), np.uint8)
    names = np.array(["behind", "left", "ahead", "right", "behind"])[np.digitize(yaw, [-135, -45, 45, 135])]
    for name, (_, colour) in COLOURS.items():
        if name in ASKED:
            pixels[:, names == name] = colour
    pixels[pitch > 45], pixels[pitch < -45] = COLOURS["above"][1], COLOURS["below"][1]
    return torch.from_numpy(pixels).permute(2, 0, 1)


def colour_of(part):
    data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    assert max(image.size) <= 1024
    middle = np.asarray(image)[image.height // 2, image.width // 2].astype(int)
    return min(COLOURS.values(), key=lambda entry: np.abs(middle - entry[1]).sum())[0]


class Stand_in:  # noqa: N801
    """Answers questions of the form "What colour is it …?" from labelled images or from descriptions."""

    name = "stand-in"

    def __init__(self):
        self.requests = []

    def reply(self, conversations, *, max_new_tokens, on_text=None):
        self.requests += conversations
        return [Reply(self._answer(messages[-1]["content"]), 1, 1) for messages in conversations]

    def _answer(self, content):
        question = content[-1]["text"]
        shown = {}
        for before, part in zip(content, content[1:], strict=False):
            if part["type"] == "image_url":
                shown[re.match(r"Image \d+: ([^(]*?)(?: \(|$)", before["text"])[1]] = colour_of(part)
        if question.startswith("Describe"):
            return f"It is {next(iter(shown.values()))}."
        for name, colour in re.findall(r"^- ([^(]*?) \(.*?: It is (\w+)\.$", content[0]["text"], re.MULTILINE):
            shown[name] = colour
        wanted = next(name for name in (*SECTORS, "above", "below") if question == asked(name))
        return shown[wanted]


def asked(name):
    return f"What colour is it {ASKED.get(name, name)}?"


@pytest.mark.parametrize("strategy", [views, describe], ids=["views", "describe"])
@pytest.mark.parametrize("name", COLOURS)
def test_each_direction_is_right(strategy, name):
    outcome = strategy(Stand_in(), panorama(), asked(name), LOOK)
    assert outcome.text == COLOURS[name][0]


@pytest.mark.parametrize("strategy", [views, describe], ids=["views", "describe"])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_rotated_panorama_has_rotated_answers(strategy, turns):
    rotated = rotate_equirectangular(panorama(), yaw_deg=90.0 * turns)
    ring = ["ahead", "right", "behind", "left"]
    found = {name: strategy(Stand_in(), rotated, asked(name), LOOK).text for name in ring}
    moved = [COLOURS[name][0] for name in ring]
    assert [found[name] for name in ring] in (moved[turns:] + moved[:turns], moved[-turns:] + moved[:-turns])


def test_describe_shows_each_view_by_itself_and_the_whole_panorama_last():
    model = Stand_in()
    outcome = describe(model, panorama(), asked("left"), LOOK)
    images = [sum(part["type"] == "image_url" for part in messages[-1]["content"]) for messages in model.requests]
    assert images == [1] * 7
    assert len(outcome.replies) == 7
    assert outcome.views.shape == (1, 3, 256, 512)


def test_erp_shows_the_panorama_as_it_is():
    model = Stand_in()
    with pytest.raises(KeyError):  # nothing is labelled with a direction
        erp(model, panorama(), asked("left"), LOOK)
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    ("yaw", "pitch", "name"),
    [
        (0, 0, "ahead"),
        (22.4, 0, "ahead"),
        (22.6, 0, "ahead to the right"),
        (359, 0, "ahead"),
        (-180, 0, "behind"),
        (180, 14, "behind"),
        (-90, 16, "left, upwards"),
        (135, -40, "behind to the right, downwards"),
        (77, 68, "above"),
        (77, -90, "below"),
    ],
)
def test_directions_in_words(yaw, pitch, name):
    assert direction(yaw, pitch) == name
