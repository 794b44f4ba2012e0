"""What is shown in place of the panorama's contents: the panorama blurred on the sphere until objects are gone."""

import torch
from panollava_geometry import EquirectangularView, ViewPlan, extract_views
from torch import Tensor
from torch.nn.functional import interpolate

from panollava_hf.asking._panorama import Panorama
from panollava_hf.evidence._sphere import blurred

#: Width of the blur, in degrees.
BLUR_DEG = 20.0
#: Height of the blurred panorama, which has no details.
_HEIGHT = 48
#: Rows that are blended at a time, to limit the memory.
_ROWS = 256


def blurred_panorama(panorama: Panorama) -> Tensor:
    """The blurred panorama, `[3, 48, 96]` float32; computed once."""
    if "evidence_blurred" not in panorama.memo:
        plan = ViewPlan([EquirectangularView()])
        small = extract_views(panorama.image.float(), plan, (_HEIGHT, 2 * _HEIGHT))[0]
        panorama.memo["evidence_blurred"] = blurred(small, BLUR_DEG)
    found: Tensor = panorama.memo["evidence_blurred"]
    return found


def blurred_views(panorama: Panorama, images: object, plan: ViewPlan, size: tuple[int, int]) -> Tensor:
    """Views of the blurred panorama, normalised by the image processor `images`, `[1, V, 3, h, w]`."""
    views = extract_views(blurred_panorama(panorama), plan, size, antialias=False)
    found: Tensor = images.normalise(views)[None]  # type: ignore[attr-defined]
    return found


def blurred_where(panorama: Panorama, mask: Tensor) -> Tensor:
    """The panorama with a part of it blurred.

    Args:
        panorama: The panorama.
        mask: 1 where it is blurred, `[h, 2h]`; any size.

    Returns:
        An image like that of the panorama.
    """
    image = panorama.image.clone()
    fill = blurred_panorama(panorama)
    height, width = image.shape[-2:]
    for top in range(0, height, _ROWS):
        rows = slice(top, min(top + _ROWS, height))
        part = _rows(mask[None], rows, (height, width))
        mixed = torch.lerp(image[:, rows].float(), _rows(fill, rows, (height, width)), part)
        image[:, rows] = mixed if image.is_floating_point() else mixed.round().clamp(0, 255).to(image.dtype)
    return image


def _rows(values: Tensor, rows: slice, size: tuple[int, int]) -> Tensor:
    """Rows of `[C, h, w]` values that are enlarged to a size."""
    centres = (torch.arange(rows.start, rows.stop) + 0.5) / size[0] * values.shape[-2] - 0.5
    low = centres.floor().long()
    share = (centres - low)[None, :, None]
    above, below = (values[:, (low + step).clamp(0, values.shape[-2] - 1)] for step in (0, 1))
    mixed = torch.lerp(above, below, share)
    wrapped = torch.cat([mixed[..., -1:], mixed, mixed[..., :1]], -1)  # columns continue across the seam
    scale = size[1] / values.shape[-1]
    wide = interpolate(wrapped, scale_factor=scale, mode="linear", align_corners=False)
    start = round(scale)
    return wide[..., start : start + size[1]]
