import sys
from pathlib import Path

import pytest
import torch
from panollava_hf.asking import Answerer
from panollava_hf.panoshapes import render_scene, sample_scene

# The endpoint, the tiny models and the panoramas of the tests of asking.
sys.path.append(str(Path(__file__).parent.parent / "asking"))


@pytest.fixture(scope="session")
def embedded():
    return Answerer.load("embedded")


@pytest.fixture(scope="session")
def scene(embedded):
    """A scene of several objects, and one of them whose shape no other has and whose colour the model recognises."""
    for index in range(50):
        found = sample_scene(1, "test", index)
        single = [item for item in found.objects if found.only(shape=item.shape) and item.horizontal]
        if len(found.objects) >= 4 and single:
            asked = f"What colour is the {single[0].shape}?"
            if embedded.answer(render_scene(found, 512), asked).text == single[0].colour:
                return found, single[0]
    raise AssertionError("no scene with an object of its own shape that the model recognises")


@pytest.fixture(scope="session")
def image(scene):
    return torch.from_numpy(render_scene(scene[0], 512)).permute(2, 0, 1)
