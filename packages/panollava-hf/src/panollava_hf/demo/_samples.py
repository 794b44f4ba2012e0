"""Samples: rendered scenes, which the embedded checkpoint was trained for, and a photograph of this package."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import torch

from panollava_hf.demo._loading import prepare
from panollava_hf.demo._sessions import Shown
from panollava_hf.panoshapes import Scene, render_scene, sample_scene

#: Width of a rendered scene in pixels.
WIDTH = 2048
#: How many decoded samples are kept; a large one takes 25 MB.
_KEPT = 8
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
        path: File of a panorama of the user.
    """

    title: str
    questions: tuple[str, ...]
    seed: int | None = None
    index: int = 0
    file: str = ""
    path: Path | None = None

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


@lru_cache(maxsize=_KEPT)
def _loaded(sample: Sample) -> Shown:
    scene = sample.scene()
    if sample.path is not None:
        return prepare(sample.path, sample.title)
    if scene is None:
        return prepare((files("panollava_hf.demo") / "static" / sample.file).read_bytes(), sample.title)
    return prepare(torch.from_numpy(render_scene(scene, WIDTH)).permute(2, 0, 1).contiguous(), sample.title)


def read_sample(title: str, samples: Mapping[str, Sample] = SAMPLES) -> Shown:
    """A sample, with a token of its own. The last few are kept.

    Args:
        title: Its title.
        samples: The samples of the page by their titles.

    Raises:
        KeyError: There is no such sample.
        PanoramaError: Its file is not a panorama.
    """
    shown = _loaded(samples[title])
    return Shown(shown.image, shown.jpeg, shown.name)
