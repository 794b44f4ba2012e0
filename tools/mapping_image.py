"""Draw the image of docs/geometry.md about `map_views`: views of one panorama, each changed on its own, and merged.

`python -m tools.mapping_image` writes docs/assets/geometry-mapping.jpg.
"""

from pathlib import Path

import torch
from panollava_geometry import load_equirectangular, map_views, plan_views
from PIL import Image
from torch import Tensor

ASSETS = Path(__file__).resolve().parent.parent / "docs" / "assets"
PLAN = plan_views("cubemap", fov_deg=110)


def adjust(views: Tensor) -> Tensor:
    """The automatic exposure of a camera: the brightness of every view becomes the same."""
    values = views.float()
    gain = 110 / values.mean(dim=(1, 2, 3), keepdim=True)
    return (values * gain).clamp(0, 255).round().to(torch.uint8)


def draw(panorama: Path, width: int = 1280) -> Image.Image:
    """Above: every pixel from one view. Below: feathered."""
    erp = load_equirectangular(panorama, max_width=width)
    cut = map_views(adjust, erp, PLAN, kind="labels")  # the value of one view each
    feathered = map_views(adjust, erp, PLAN)
    height, band = erp.shape[1], erp.shape[1] // 16
    sheet = Image.new("RGB", (erp.shape[2], 2 * (height - 2 * band) + 8), "white")
    for top, image in ((0, cut), (height - 2 * band + 8, feathered)):
        sheet.paste(Image.fromarray(image[:, band : height - band].permute(1, 2, 0).contiguous().numpy()), (0, top))
    return sheet


if __name__ == "__main__":
    draw(ASSETS / "leadenhall-market.jpg").save(ASSETS / "geometry-mapping.jpg", quality=84)
