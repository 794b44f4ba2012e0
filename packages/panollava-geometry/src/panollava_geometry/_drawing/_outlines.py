"""Lines through rays on a panorama, such as the outlines of views."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image, ImageDraw

from panollava_geometry._drawing._colours import INK, Colour
from panollava_geometry._views._sphere import rays_to_equirect
from panollava_geometry._views._views import View

#: Rays along each side of a view.
_STEPS = 128
#: Lines are drawn this many times larger, up to a width of the image for which it takes little memory.
_SMOOTH, _MAX_SMOOTH = 2, 4096


def draw_outlines(
    image: Image.Image, views: Sequence[View], colours: Sequence[Colour], dashed: Sequence[bool] = ()
) -> None:
    """Draw the outlines of views on a panorama, with a dark border that shows them on any image.

    Args:
        image: The panorama, RGB; it is changed.
        views: The views.
        colours: A colour for each view.
        dashed: For each view, whether its line is dashed; default: none is.

    Example:
        >>> import numpy as np
        >>> from PIL import Image
        >>> from panollava_geometry.drawing import draw_outlines
        >>> from panollava_geometry import PerspectiveView
        >>> panorama = Image.new("RGB", (256, 128))
        >>> draw_outlines(panorama, [PerspectiveView(180.0)], [(240, 228, 66)])
        >>> [bool(np.asarray(panorama)[64, x].any()) for x in (32, 128, 224)]  # left, middle, right
        [True, False, True]
    """
    broken = dashed or [False] * len(views)
    draw_lines(image, [(_sides(view), rgb, dash) for view, rgb, dash in zip(views, colours, broken, strict=True)])


def _sides(view: View) -> Float[ndarray, "points 3"]:
    """Rays around a view, along its four sides."""
    side = np.linspace(0, 1, _STEPS)
    zero, one = np.zeros(_STEPS), np.ones(_STEPS)
    sides = ((side, zero), (one, side), (side[::-1], one), (zero, side[::-1]))
    return view.pixels_to_rays(np.concatenate([np.stack(pair, axis=-1) for pair in sides]), (1, 1))


def draw_lines(image: Image.Image, lines: Sequence[tuple[Float[ndarray, "points 3"], Colour, bool]]) -> None:
    """Draw lines through rays, some of them dashed, with a dark border that shows them on any image."""
    scale = _SMOOTH if image.width <= _MAX_SMOOTH else 1
    size = (image.width * scale, image.height * scale)
    width = max(2, round(image.width / 400)) * scale
    border = max(1, round(image.width / 1200)) * scale
    colours = Image.new("RGB", size, INK)
    mask = Image.new("L", size)
    pen, mask_pen = ImageDraw.Draw(colours), ImageDraw.Draw(mask)
    parts = [(part, rgb) for rays, rgb, dashed in lines for part in _parts(rays, size, 6.0 * width if dashed else 0.0)]
    for part, _ in parts:
        mask_pen.line(part, fill=255, width=width + 2 * border, joint="curve")
    for part, rgb in parts:
        pen.line(part, fill=rgb, width=width, joint="curve")
    if scale > 1:
        colours, mask = colours.reduce(scale), mask.reduce(scale)
    image.paste(colours, mask=mask)


def _parts(rays: Float[ndarray, "points 3"], size: tuple[int, int], dash: float) -> list[list[tuple[float, float]]]:
    """A line through rays in pixels, divided at the seam and into dashes (of a length in pixels; 0: none)."""
    # moved off the middle between two pixels, so that rounding errors do not bend a straight line
    places = np.round(rays_to_equirect(rays, (size[1], size[0])), 3) + 0.01
    steps = np.abs(np.diff(places, axis=0))
    cuts = np.flatnonzero(steps[:, 0] > size[0] / 2) + 1
    parts = np.split(places, cuts)
    if dash:
        parts = [piece for part in parts for piece in _dashes(part, dash)]
    return [[(float(x), float(y)) for x, y in part] for part in parts if len(part) > 1]


def _dashes(places: Float[ndarray, "points 2"], dash: float) -> list[Float[ndarray, "_ 2"]]:
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(places, axis=0).T))])
    found = []
    for start in np.arange(0, lengths[-1], dash * 1.7):
        at = np.linspace(start, min(start + dash, lengths[-1]), 8)
        found.append(np.stack([np.interp(at, lengths, places[:, axis]) for axis in (0, 1)], axis=-1))
    return found
