"""Panoramas of random colours, where transformers' suites make images of any shape."""

import numpy as np
import torch
from PIL import Image

__all__ = ["panoramas"]


def panoramas(count, *, heights=(32,), channels=3, kind="pil"):
    """Images twice as wide as high: `pil`, `numpy` [H, W, C] or `torch` [C, H, W]; heights are used in turn."""
    generator = np.random.default_rng(0)
    made = []
    for index in range(count):
        height = heights[index % len(heights)]
        pixels = generator.integers(0, 256, (height, 2 * height, channels), dtype=np.uint8)
        if kind == "pil":
            made.append(Image.fromarray(pixels, {3: "RGB", 4: "RGBA"}[channels]))
        else:
            made.append(pixels if kind == "numpy" else torch.from_numpy(pixels).permute(2, 0, 1))
    return made
