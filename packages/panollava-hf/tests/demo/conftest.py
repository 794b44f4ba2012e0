import sys
from pathlib import Path

# `import standins` in the tests of this folder: pytest's import mode does not find modules next to a test. The tiny
# models of transformers are those of the tests of asking.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "asking")]

import pytest
import torch
from panollava_hf.asking import Answerer
from panollava_hf.panoshapes import render_scene


@pytest.fixture(scope="session")
def embedded():
    return Answerer.load("embedded")


@pytest.fixture(scope="session")
def rendered():
    """A scene as `[3, H, 2H]`."""

    def render(scene, width=1024):
        return torch.from_numpy(render_scene(scene, width)).permute(2, 0, 1).contiguous()

    return render
