"""The size of every view that is cut from a panorama: the same for all, or the panorama's own resolution."""

import math

from panollava_geometry._equirectangular_view import EquirectangularView
from panollava_geometry._errors import PanoramaError
from panollava_geometry._plan import ViewPlan
from panollava_geometry._sizes import Size, size_pair
from panollava_geometry._views import View

#: Pixels of the largest view, and of all views of a panorama together.
MAX_VIEW_PIXELS, MAX_PIXELS = 178_956_970, 2**31
#: Longest side of a JPEG file.
MAX_JPEG_SIDE = 65_500


def native_size(view: View, width: int) -> tuple[int, int]:
    """Height and width at which a pixel at the centre of a view is as large as a pixel of the panorama.

    A pixel of a panorama spans `2π / width`. The centre pixel of a perspective view of n pixels spans
    `2 tan(fov / 2) / n`, so n is `width · tan(fov / 2) / π`.

    Args:
        view: The view.
        width: Width of the panorama in pixels.

    Example:
        >>> from panollava_geometry import PerspectiveView
        >>> native_size(PerspectiveView(hfov_deg=90), 4096)
        (1304, 1304)
    """
    if isinstance(view, EquirectangularView):
        (left, right), (low, high) = view.longitude_range_deg, view.latitude_range_deg
        sides = (width * (high - low) / 360, width * (right - left) / 360)
    else:
        hfov, vfov = view.fov_deg
        sides = (_tangent_side(vfov, width), _tangent_side(hfov, width))
    return max(1, round(sides[0])), max(1, round(sides[1]))


def _tangent_side(fov_deg: float, width: int) -> float:
    return width * math.tan(math.radians(fov_deg) / 2) / math.pi


def view_sizes(plan: ViewPlan, size: Size | None, width: int, image_format: str) -> list[tuple[int, int]]:
    """Height and width of every view.

    Args:
        plan: The views.
        size: Height and width of every view in pixels, or one number for both. None: the panorama's own resolution.
        width: Width of the panorama in pixels.
        image_format: The file format of the views, for its limit.

    Raises:
        PanoramaError: The views have more pixels than can be written.
    """
    sizes = [native_size(view, width) if size is None else size_pair(size) for view in plan]
    height, width = max(sizes, key=lambda side: side[0] * side[1])
    total = sum(h * w for h, w in sizes)
    if height * width > MAX_VIEW_PIXELS or total > MAX_PIXELS:
        raise PanoramaError(
            f"{len(sizes)} views of up to {width}x{height} pixels are too large ({total / 1e6:.0f} megapixels); "
            f"choose a smaller --size: a view can have {MAX_VIEW_PIXELS // 10**6} megapixels, "
            f"all views together {MAX_PIXELS // 10**6}"
        )
    if image_format == "jpeg" and max(max(side) for side in sizes) > MAX_JPEG_SIDE:
        raise PanoramaError(f"a JPEG file cannot have more than {MAX_JPEG_SIDE} pixels per side; use --format png")
    return sizes
