"""What a checkpoint knows: the words of its training questions, and what rendered scenes have in common.

The statistic of images is fitted on scenes of the training split, at several sizes and qualities. Its threshold lies
between other scenes and one half of the photographs; the other half is kept for the evaluation.
"""

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from panollava_hf._files import edit_json, staged_folder
from panollava_hf._loading import load_model, load_processor
from panollava_hf.asking.models._known_images import KnownImages, channel_means
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.panoshapes import render_scene, sample_scene
from panollava_hf.panoshapes.wordings._topics import topics
from panollava_hf.panoshapes.wordings._vocabulary import vocabulary
from PIL import Image

from tools.default_checkpoint import build
from tools.embedded_model.data import scaled

#: Scenes that the statistic is fitted on, and scenes for the threshold.
_FITTED, _CALIBRATED = 3000, 1000
#: Where the threshold lies between the largest distance of a scene and the smallest of a photograph.
_PLACE = 0.4
#: The hidden states of a tower of three stages that are used: all but the last.
_LAYERS = (0, 1, 2)
_WIDTHS, _QUALITIES = (256, 512, 512, 512, 1024, 2048), (75, 85, 92, 92, 92, 97)


def photographs_in(folder: Path) -> list[Path]:
    """The JPEG files of a folder, in order.

    Raises:
        SystemExit: There are fewer than four.
    """
    found = sorted(folder.glob("*.jpg"))
    if len(found) < 4:
        raise SystemExit(f"{folder} holds {len(found)} JPEG files; expected at least 4 photographs")
    return found


def for_calibration(photographs: Sequence[Path]) -> list[Path]:
    """Every other photograph; the others are for the evaluation."""
    return list(photographs[::2])


def add(trained: Path, work: Path, photographs: Sequence[Path], scale: float, processes: int = 1) -> Path:
    """Write the trained checkpoint in half precision with all `known_…` fields; return its folder.

    Raises:
        SystemExit: There is one of another training.
    """
    output = work / "checkpoint"
    if output.is_dir():
        if _history(output) != _history(trained):
            raise SystemExit(f"{output} is of another training than {trained}; delete it and {work / 'results'}")
        return output
    plain = work / "half"
    build(trained, plain)
    words, images = vocabulary(), fit(plain, for_calibration(photographs), scale, processes)

    def change(config: dict[str, Any]) -> None:
        config["known_words"], config["known_topics"], config["known_images"] = words, topics(), images

    with staged_folder(output) as folder:
        for file in plain.iterdir():
            shutil.copyfile(file, folder / file.name)
        edit_json(folder / "config.json", change)
    shutil.rmtree(plain)
    return output


def _history(folder: Path) -> Any:
    """How a checkpoint was trained: its stages with their losses."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8")).get("training_history")


def fit(checkpoint: Path, photographs: Sequence[Path], scale: float, processes: int = 1) -> dict[str, Any]:
    """The field `known_images` of a checkpoint."""
    means = _Means(checkpoint)
    fitted = means.of(_scenes("train", scaled(_FITTED, scale) + 8 * len(_LAYERS), processes))
    fields = KnownImages.fit(fitted, _LAYERS, 1.0, "rendered scenes")
    known = KnownImages(fields, str(checkpoint))
    scenes = known.distances_of(means.of(_scenes("validation", scaled(_CALIBRATED, scale), processes)))
    others = known.distances_of(means.of(photographs))
    largest, smallest = float(np.quantile(scenes, 0.999)), float(others.min())
    print(f"distance of scenes: median {np.median(scenes):.2f}, 99.9 % {largest:.2f}, largest {scenes.max():.2f}")
    print(f"distance of photographs: smallest {smallest:.2f}, median {np.median(others):.2f}")
    between = largest ** (1 - _PLACE) * smallest**_PLACE if smallest > largest else 1.02 * largest
    return {**fields, "threshold": round(between, 4)}


class _Means:
    """Channel means of images by a checkpoint."""

    def __init__(self, checkpoint: Path) -> None:
        self._images = load_processor(str(checkpoint)).image_processor
        model: Any = load_model(PanoLLaVaForConditionalGeneration, str(checkpoint), dtype=torch.float32).eval()
        self._backbone = model.base_model.vision_backbone

    def of(self, sources: Any) -> np.ndarray:
        rows = []
        for source in sources:
            values = self._images([self._images.fetch_images(source)])["pixel_values"]
            rows.append(channel_means(self._backbone, values, _LAYERS)[0])
        return np.stack(rows)


def _scenes(split: str, count: int, processes: int) -> Iterator[bytes]:
    """Scenes as JPEG files of several sizes and qualities."""
    rng = np.random.default_rng(0)
    drawn = [(split, index, int(rng.choice(_WIDTHS)), int(rng.choice(_QUALITIES))) for index in range(count)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(_rendered, *zip(*drawn, strict=True), chunksize=16)


def _rendered(split: str, index: int, width: int, quality: int) -> bytes:
    scene = sample_scene(7, split, index, 8 if index % 3 == 0 else 6)
    stream = io.BytesIO()
    Image.fromarray(render_scene(scene, width)).save(stream, format="JPEG", quality=quality, subsampling=0)
    return stream.getvalue()
