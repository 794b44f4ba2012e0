"""Samples: rendered scenes, which the embedded checkpoint was trained for, and a photograph of this package."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import torch

from panollava_hf.demo._loading import prepare
from panollava_hf.demo._sessions import Shown
from panollava_hf.panoshapes import Scene, render_scene, sample_scene

#: Width of a rendered scene in pixels.
WIDTH = 2048
#: Seed of the rendered scenes. The embedded checkpoint answers their questions correctly.
_SEED = 18


@dataclass(frozen=True)
class Sample:
    """A panorama that can be chosen.

    Attributes:
        title: What it is called.
        questions: Questions that it suits.
        seed: Seed of a rendered scene; None for a photograph.
        index: Number of the scene.
        file: File of a photograph in `static/`.
    """

    title: str
    questions: tuple[str, ...]
    seed: int | None = None
    index: int = 0
    file: str = ""

    def scene(self) -> Scene | None:
        """The scene, with the true place of each object; None for a photograph."""
        return None if self.seed is None else sample_scene(self.seed, "test", self.index)


SAMPLES: dict[str, Sample] = {
    sample.title: sample
    for sample in (
        Sample(
            "Five solids",
            ("Which object is to the back?", "Where is the green cone?", "How many blue objects can you see?"),
            _SEED,
            54,
        ),
        Sample(
            "Four solids",
            ("What shape is the red object?", "Where is the orange cube?", "Count the cones."),
            _SEED,
            6,
        ),
        Sample(
            "A torus",
            ("What colour is the torus?", "Which object is to the left?", "How many yellow objects can you see?"),
            _SEED,
            22,
        ),
        Sample(
            "Leadenhall Market",
            ("What kind of place is this?", "Which shop is on the right?", "What is above?"),
            file="leadenhall-market.jpg",
        ),
    )
}


@lru_cache(maxsize=len(SAMPLES))
def _loaded(title: str) -> Shown:
    sample = SAMPLES[title]
    scene = sample.scene()
    if scene is None:
        return prepare((files("panollava_hf.demo") / "static" / sample.file).read_bytes(), title)
    return prepare(torch.from_numpy(render_scene(scene, WIDTH)).permute(2, 0, 1).contiguous(), title)


def read_sample(title: str) -> Shown:
    """A sample, with a token of its own. It is read once.

    Raises:
        KeyError: There is no such sample.
    """
    shown = _loaded(title)
    return Shown(shown.image, shown.jpeg, shown.name)
