"""Example 2: panoramas to vectors, and their similarity.

    python docs/examples/extract_features.py [PANORAMA ...]

Runs offline with the embedded checkpoint; any PanoLLaVA checkpoint has the same vision side.
"""

import sys
from pathlib import Path

import torch
from panollava_geometry import load_equirectangular, rotate_equirectangular
from panollava_hf import PanoLLaVaForFeatureExtraction, PanoLLaVaImageProcessor, default_checkpoint

CHECKPOINT = default_checkpoint()
SAMPLE = Path(__file__).resolve().parents[1] / "assets" / "sample-panorama.jpg"


def main(*panoramas: str) -> None:
    """Print the cosine similarity of every panorama to the first; the sample with itself, rotated by 180°."""
    processor = PanoLLaVaImageProcessor.from_pretrained(CHECKPOINT)
    model = PanoLLaVaForFeatureExtraction.from_pretrained(CHECKPOINT, pooling="mean").eval()

    images = [load_equirectangular(path, max_width=2048) for path in panoramas or [str(SAMPLE)]]
    if len(images) == 1:
        images.append(rotate_equirectangular(images[0], yaw_deg=180.0))
    with torch.no_grad():
        vectors = model(**processor(images, return_tensors="pt")).pooler_output  # [panoramas, D]

    similarity = torch.nn.functional.cosine_similarity(vectors, vectors[:1])
    for index, value in enumerate(similarity):
        print(f"{index}: {vectors.shape[1]} numbers, similarity to the first {value:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
