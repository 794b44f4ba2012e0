"""Draw on a panorama what every view of a plan sees, and boxes with their labels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from panollava_geometry._arrays._tensors import check_panorama
from panollava_geometry._boxes._spherical_box import SphericalBox
from panollava_geometry._drawing._captions import Caption, draw_captions
from panollava_geometry._drawing._colours import colour
from panollava_geometry._drawing._direction_words import view_words
from panollava_geometry._drawing._outlines import draw_lines, draw_outlines
from panollava_geometry._drawing._placing import Rectangle, grown
from panollava_geometry._drawing._text import text_size
from panollava_geometry._errors import PanoramaError
from panollava_geometry._planning._plan import Views, as_plan
from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._sphere import rays_to_equirect
from panollava_geometry._views._views import View

#: Rays along the outline of a box.
_OUTLINE = 721
#: With more views than this, the panorama is faded and the directions are left out; on small images, they are, too.
_FEW, _SMALL = 8, 600
_FADE = 0.4
#: Views that look up or down more than this have their label in the centre.
_POLE_DEG = 60


def draw_footprints(erp: UInt8[Tensor, "3 height width"], plan: Views) -> Image.Image:
    """Draw the outline, the number and the direction of every view on a panorama.

    Outlines continue across the seam, where labels are repeated. Views of the whole panorama are left out. Where there
    are more than eight views, the panorama is faded, every second row of views is dashed, and labels are numbers only.

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
    image = _image(erp)
    shown = [(index, view) for index, view in enumerate(as_plan(plan)) if not _is_whole(view)]
    many = len(shown) > _FEW
    if many:
        image = image.point([round(level + _FADE * (255 - level)) for level in range(256)] * 3)
    rows = sorted({_row(view) for _, view in shown})
    views = [view for _, view in shown]
    dashed = [many and rows.index(_row(view)) % 2 == 1 for view in views]
    draw_outlines(image, views, [colour(index) for index, _ in shown], dashed)
    captions = []
    for index, view in shown:
        x, y = _label_place(view, image.size, centre=many)
        words = "" if many or image.width < _SMALL else f" {view_words(view)[0]}"
        captions.append(Caption(float(x), float(y), f"{index}{words}", colour(index)))
    draw_captions(image, captions)
    return image


def draw_boxes(
    erp: UInt8[Tensor, "3 height width"], boxes: Sequence[SphericalBox], labels: Sequence[str] = ()
) -> Image.Image:
    """Draw the curved outlines of boxes on a panorama, each with a label. Outlines continue across the seam.

    Args:
        erp: Panorama `[3, H, 2H]`, uint8, on the CPU.
        boxes: The boxes.
        labels: A label for each box, or none at all. Only the first line and 40 characters are drawn.

    Returns:
        A Pillow image of the size of the panorama.

    Raises:
        PanoramaError: The panorama is not a tensor of the shape 2:1, or there are not as many labels as boxes.

    Example:
        >>> import torch
        >>> from panollava_geometry import SphericalBox, draw_boxes
        >>> draw_boxes(torch.zeros(3, 64, 128, dtype=torch.uint8), [SphericalBox(180, 0, 30, 20)], ["door"]).size
        (128, 64)
    """
    image = _image(erp)
    if labels and len(labels) != len(boxes):
        raise PanoramaError(f"expected one label for each of the {len(boxes)} boxes, got {len(labels)}")
    outlines = [box.outline(_OUTLINE) for box in boxes]
    draw_lines(image, [(outline, colour(index), False) for index, outline in enumerate(outlines)])
    captions, inside = [], []
    size = text_size(image.size)
    for index, (outline, label) in enumerate(zip(outlines, labels, strict=False)):  # no labels, or one for each
        places = rays_to_equirect(outline, (image.height, image.width))
        inside += [grown(part, image.width / 200 + 2) for part in _surrounding(places, image.width)]
        x, y = places[places[:, 1].argmin()]
        text = (label.splitlines() or [""])[0][:40]
        if text:
            captions.append(Caption(float(x), float(y) - size, text, colour(index)))
    draw_captions(image, captions, size=size, avoid=inside)
    return image


def _image(erp: Tensor) -> Image.Image:
    check_panorama(erp)
    return Image.fromarray(erp.permute(1, 2, 0).numpy().copy())


def _is_whole(view: View) -> bool:
    return isinstance(view, EquirectangularView) and float(view.solid_angles((1, 1)).sum()) > 4 * np.pi * 0.999


def _row(view: View) -> int:
    """Views of one number are in one row around the viewer."""
    return round(float(np.degrees(np.arcsin(view.rays((1, 1))[0, 0, 1]))))


def _label_place(view: View, size: tuple[int, int], *, centre: bool) -> Float[ndarray, " 2"]:
    """Where the label of a view stands, (x, y): its centre, or near its upper edge, where it hides less."""
    upright = abs(_row(view)) < _POLE_DEG
    inside = np.array([0.5, 0.07 if upright and not centre else 0.5])
    return rays_to_equirect(view.pixels_to_rays(inside, (1, 1)), (size[1], size[0]))


def _surrounding(places: Float[ndarray, "points 2"], width: int) -> list[Rectangle]:
    """Rectangles around an outline: one, or one at either edge if it crosses the seam."""
    jumps = np.flatnonzero(np.abs(np.diff(places[:, 0])) > width / 2) + 1
    sides = [part for part in np.split(places, jumps) if len(part)]
    return [(*map(float, part.min(axis=0)), *map(float, part.max(axis=0))) for part in sides]  # type: ignore[misc]
