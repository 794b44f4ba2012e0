"""Views through the frozen tower, once: stage 1 trains what comes after it, so its features can be kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from panollava_geometry import load_equirectangular
from panollava_hf import PanoLLaVaForFeatureExtraction, PanoLLaVaImageProcessor
from safetensors.torch import load_file, save_file
from torch import Tensor

from tools.stage_one.changes import CHANGES, apply, crop, rotate_for_training

#: The views: they overlap, and see everything.
VIEWS: dict[str, Any] = {"crop_strategy": "cubemap", "fov_deg": 104.0, "view_size": 112}
#: Panoramas are read at this width.
WIDTH = 1024
SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class Features:
    """Tower features of panoramas, float16: the CLS token of each view, then its patches.

    Attributes:
        names: The panoramas.
        originals: `[panoramas, views, 1 + patches, width]`.
        rotated: For training, `[panoramas, rotations, views, 1 + patches, width]`.
        queries: Kind of query → `[panoramas, queries, views, 1 + patches, width]`.
    """

    names: list[str]
    originals: Tensor
    rotated: Tensor
    queries: dict[str, Tensor]


def find_panoramas(folder: Path, left_out: Sequence[str]) -> list[Path]:
    """The images of a folder in order, without those named in `left_out` (without suffix)."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    kept = [path for path in found if path.stem not in left_out]
    if len(kept) < 6:
        raise SystemExit(f"{folder} has {len(kept)} panoramas; three folds need at least 6")
    return kept


def encode(tower: Path, panoramas: Sequence[Path], folder: Path, *, rotations: int, queries: int) -> Features:
    """Encode every panorama, its rotations for training and its queries, unless `folder` has them.

    Everything random about a panorama follows from its place in the list.

    Args:
        tower: The vision tower.
        panoramas: Their files.
        folder: One file per panorama is kept here.
        rotations: Rotations for training, per panorama.
        queries: Queries of each kind, per panorama.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cut = {name: value for name, value in VIEWS.items() if name != "view_size"}
    processor = PanoLLaVaImageProcessor.from_tower(str(tower), size=VIEWS["view_size"], **cut)
    backbone = PanoLLaVaForFeatureExtraction.from_tower(str(tower), **VIEWS).eval().panollava.vision_backbone
    kept = []
    for place, path in enumerate(panoramas):
        file = folder / f"{path.stem}-{rotations}-{queries}.safetensors"
        if not file.is_file():
            made = _encode_one(path, place, processor, backbone, rotations, queries)
            part = file.with_suffix(".part")
            save_file(made, part)
            part.rename(file)
            print(f"encoded {place + 1} of {len(panoramas)}: {path.stem}", flush=True)
        kept.append(load_file(file))
    return Features(
        [path.stem for path in panoramas],
        torch.stack([one["original"] for one in kept])[:, 0],
        torch.stack([one["rotated"] for one in kept]),
        {name: torch.stack([one[name] for one in kept]) for name in CHANGES},
    )


def _encode_one(
    path: Path, place: int, processor: Any, backbone: Any, rotations: int, queries: int
) -> dict[str, Tensor]:
    panorama = load_equirectangular(str(path), max_width=WIDTH)

    def features(images: Sequence[Tensor], after: Callable[[Tensor], Tensor] = lambda views: views) -> Tensor:
        return torch.stack([_tokens(backbone, after(processor(image)["pixel_values"][0])) for image in images])

    rng = np.random.default_rng([0, place])
    made = {"original": features([panorama])}
    made["rotated"] = features([rotate_for_training(panorama, rng) for _ in range(rotations)])
    for kind, (name, change) in enumerate(CHANGES.items()):
        rng = np.random.default_rng([1, place, kind])
        images = [apply(change, panorama, rng) for _ in range(queries)]
        made[name] = features(images, lambda views, change=change: crop(change, views))
    return made


@torch.inference_mode()
def _tokens(backbone: Any, views: Tensor) -> Tensor:
    output = backbone.encode(views, summaries=True)
    return torch.cat([output.cls_token[:, None], output.last_hidden_state], dim=1).half()
