import sys
from pathlib import Path

# `import standins` in the tests of this folder: pytest's import mode does not find modules next to a test. The tiny
# models of transformers are those of the tests of asking.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "asking")]

import pytest
import torch
from panollava_hf.asking import Answerer
from panollava_hf.panoshapes import render_scene, sample_scene


@pytest.fixture(scope="session")
def embedded():
    return Answerer.load("embedded")


@pytest.fixture(scope="session")
def rendered():
    """A scene as `[3, H, 2H]`."""

    def render(scene, width=1024):
        return torch.from_numpy(render_scene(scene, width)).permute(2, 0, 1).contiguous()

    return render


@pytest.fixture(scope="session")
def at_back(embedded, rendered):
    """Two scenes, each with the object that is alone at the back; another one in each, and the model names both."""
    found = {}
    for index in (54, 35, *range(100)):
        scene = sample_scene(18, "test", index)
        items = [item for item in scene.objects if item.direction == "back" and item.visible_share > 0.9]
        if len(items) != 1 or scene.only(items[0].colour, items[0].shape) is not items[0] or items[0].name in found:
            continue
        if embedded.answer(rendered(scene), "Which object is to the back?").text == items[0].name:
            found[items[0].name] = (scene, items[0])
        if len(found) == 2:
            return list(found.values())
    raise AssertionError("no two scenes whose object at the back the model names")
