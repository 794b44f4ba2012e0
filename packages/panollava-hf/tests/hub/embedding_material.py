"""Embedding exports, panoramas, and the vectors of the installed package: `python embedding_material.py FOLDER TOWER…`.

Writes `embedded` and one folder for each vision tower, and the vectors as `NAME.json`. OpenCV is hidden, because the
environments in which the exports are loaded do not have it, and it rounds pixels differently.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

#: Largest file of a panorama; larger ones are decoded at a lower resolution than the image.
SIZES = ((256, 128), (512, 256), (2048, 1024), (400, 200))


def write_panoramas(folder):
    """Panoramas with structure at several scales, as PNG and JPEG files of several sizes."""
    paths = []
    for number, size in enumerate(SIZES):
        rng = np.random.default_rng(number)
        layers = [
            Image.fromarray(rng.integers(0, 256, (4 * scale, 4 * scale, 3), dtype=np.uint8)).resize(
                (size[0] // 2, size[1]), Image.Resampling.BICUBIC
            )
            for scale in (1, 4, 16)
        ]
        half = (sum(np.asarray(layer, dtype=float) for layer in layers) / 3).astype(np.uint8)
        image = Image.fromarray(np.concatenate([half, half[:, ::-1]], axis=1))  # its left and right edges meet
        paths.append(folder / f"panorama-{number}.{('png', 'jpg')[number % 2]}")
        image.save(paths[-1])
    return paths


def unit_vectors(source, images):
    """Vectors of the installed package, one panorama at a time, with length 1."""
    import torch
    from panollava_hf._loading import load_embedder

    model, processor = load_embedder(source)
    processor.token_grid = None
    with torch.no_grad():
        rows = [model(**processor(image)).pooler_output[0].double() for image in images]
    return [(row / row.norm()).tolist() for row in rows]


def write_vectors(source, panoramas, path):
    """Store the vectors of files and of decoded images, and whether they were made with OpenCV."""
    images = [Image.open(panorama).convert("RGB") for panorama in panoramas]
    found = {"panoramas": [str(panorama) for panorama in panoramas]}
    found |= {"files": unit_vectors(source, panoramas), "images": unit_vectors(source, images)}
    found["opencv"] = sys.modules.get("cv2") is not None
    path.write_text(json.dumps(found))


def write_all(folder, towers=()):
    from panollava_hf import default_checkpoint
    from panollava_hf.hub import export_checkpoint

    folder.mkdir(parents=True, exist_ok=True)
    panoramas = write_panoramas(folder)
    for name, source in {"embedded": default_checkpoint(), **{Path(tower).name: tower for tower in towers}}.items():
        export_checkpoint(source, folder / name, purpose="embedding")
        write_vectors(source, panoramas, folder / f"{name}.json")


if __name__ == "__main__":
    sys.modules["cv2"] = None
    write_all(Path(sys.argv[1]), sys.argv[2:])
