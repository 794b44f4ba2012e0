"""Place a partial panorama on the full sphere."""

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image

from panollava_geometry._errors import PanoramaError
from panollava_geometry._metadata._gpano import CroppedArea
from panollava_geometry._metadata._shape import Extent
from panollava_geometry._sources._source import MAX_PIXELS
from panollava_geometry._views._sphere import Degrees

#: Largest width of a full sphere in pixels that an image can be a part of.
_MAX_SIDE = 10**9


def centred_area(size: Extent, hfov_deg: Degrees, name: str) -> CroppedArea:
    """The area of an image with square pixels and this horizontal field of view, centred on the horizon at yaw 0.

    Raises:
        PanoramaError: The image would be higher than the sphere, or the sphere is too large to compute with.
    """
    width, height = size
    full_width = width * 360 / hfov_deg
    if full_width > _MAX_SIDE:
        raise PanoramaError(
            f"{name}: a horizontal field of view of {hfov_deg:g}° is too small; pass degrees, such as 200"
        )
    if height > 1.005 * full_width / 2:
        raise PanoramaError(
            f"{name}: with a horizontal field of view of {hfov_deg:g}° the {width}x{height} image is "
            f"{height / full_width * 360:.0f}° high, more than 180°; hfov_deg (--hfov) can be at most "
            f"{180 * width / height:.4g} for this image"
        )
    full_height = full_width / 2
    shown = min(height, full_height)
    return CroppedArea(full_width, full_height, width, shown, (full_width - width) / 2, (full_height - shown) / 2)


def place(
    rgb: Image.Image, mask: ndarray | None, area: CroppedArea, name: str, width: int | None
) -> tuple[UInt8[ndarray, "height width 3"], Bool[ndarray, "height width"]]:
    """Place a partial panorama on the full sphere. The rest is black.

    Args:
        rgb: The image, at any scale.
        mask: Which of its pixels are shown; None: all.
        area: Where it is.
        name: Its name in messages.
        width: Width that the panorama needs; None: as the image. The sphere is only reduced to this width if it has
            more than `MAX_PIXELS` pixels otherwise.

    Raises:
        PanoramaError: The sphere is too large.
    """
    height = max(1, round(area.full_width * rgb.size[0] / area.width / 2))
    if 2 * height * height > MAX_PIXELS:
        full = f"{2 * height}x{height}"
        height = 0 if width is None else max(1, (width + 1) // 2)
        if not 0 < 2 * height * height <= MAX_PIXELS:
            raise PanoramaError(
                f"{name}: the full sphere of this partial panorama is too large ({full}, at most {MAX_PIXELS} pixels); "
                "check its field of view (hfov_deg, --hfov, or GPano); or pass a smaller max_width, or use load_views"
            )
    left, top = round(area.left / area.full_width * 2 * height), round(area.top / area.full_height * height)
    left, top = min(left, 2 * height - 1), min(top, height - 1)
    right = min(2 * height, max(left + 1, round((area.left + area.width) / area.full_width * 2 * height)))
    bottom = min(height, max(top + 1, round((area.top + area.height) / area.full_height * height)))
    if rgb.size != (right - left, bottom - top):
        rgb = rgb.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        if mask is not None:
            mask = np.asarray(Image.fromarray(mask).resize(rgb.size, Image.Resampling.NEAREST))
    panorama, shown = np.zeros((height, 2 * height, 3), np.uint8), np.zeros((height, 2 * height), bool)
    panorama[top:bottom, left:right] = np.asarray(rgb)
    shown[top:bottom, left:right] = True if mask is None else mask
    return panorama, shown
