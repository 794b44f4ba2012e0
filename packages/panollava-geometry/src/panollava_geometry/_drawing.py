"""Draw on a panorama what every view of a plan sees."""

import colorsys

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from panollava_geometry._plan import Views, as_plan
from panollava_geometry._sphere import rays_to_equirect
from panollava_geometry._tensors import check_panorama

_STEPS = 64


def draw_footprints(erp: UInt8[Tensor, "3 height width"], plan: Views) -> Image.Image:
    """Draw the outline and the number of every view on a panorama. Outlines continue across the seam.

    Args:
        erp: Panorama `[3, H, 2H]`, uint8, on the CPU.
        plan: The views: a plan, a list of views, or a single view.

    Returns:
        A Pillow image of the size of the panorama.

    Raises:
        PanoramaError: The panorama is not a tensor of the shape 2:1, or the plan is not one.

    Example:
        >>> import torch
        >>> from panollava_geometry import draw_footprints, plan_views
        >>> draw_footprints(torch.zeros(3, 64, 128, dtype=torch.uint8), plan_views("cubemap")).size
        (128, 64)
    """
    check_panorama(erp)
    image = Image.fromarray(erp.permute(1, 2, 0).numpy().copy())
    draw = ImageDraw.Draw(image)
    width, height = image.size
    line = max(2, width // 500)
    font = ImageFont.load_default(size=max(12, width // 40))
    side = np.linspace(0, 1, _STEPS)
    zero, one = np.zeros(_STEPS), np.ones(_STEPS)
    outline = np.concatenate(
        [np.stack(pair, axis=-1) for pair in ((side, zero), (one, side), (side[::-1], one), (zero, side[::-1]))]
    )
    for index, view in enumerate(as_plan(plan)):
        colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(index * 0.618 % 1, 0.85, 1.0))
        inset = 0.002 + 0.996 * outline  # keeps the outline of the global view inside the image
        places = rays_to_equirect(view.pixels_to_rays(inset, (1, 1)), (height, width))
        jumps = np.flatnonzero(np.abs(np.diff(places[:, 0])) > width / 2) + 1
        for part in np.split(places, jumps):
            if len(part) > 1:
                draw.line([tuple(place) for place in part], fill=colour, width=line, joint="curve")
        centre = rays_to_equirect(view.rays((1, 1))[0, 0], (height, width))
        draw.text(
            tuple(centre), str(index), fill=colour, font=font, anchor="mm", stroke_width=line, stroke_fill=(0, 0, 0)
        )
    return image
