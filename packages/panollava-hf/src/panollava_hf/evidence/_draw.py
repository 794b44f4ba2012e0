"""The image of an `Evidence`."""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from panollava_hf.evidence._evidence import Evidence


def draw(evidence: "Evidence", width: int) -> Image.Image:
    """The map over the panorama."""
    image = Image.fromarray(evidence.panorama.permute(1, 2, 0).cpu().numpy()).resize((width, width // 2))
    values = evidence.map.numpy()
    heat = Image.fromarray((255 * values / values.max()).astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", image.size, (253, 231, 37)), image, heat.point(lambda value: value * 0.7))
