"""The size of every view that is cut from a panorama: the same for all, or the panorama's own resolution."""

import math

from panollava_geometry._arrays._sizes import MAX_RESULT_BYTES, Size, check_result, size_pair
from panollava_geometry._errors import PanoramaError
from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._perspective_view import PerspectiveView
from panollava_geometry._views._sphere import Degrees
from panollava_geometry._views._views import View

#: Largest views at a panorama's own resolution: 2896x2896 (90 degrees of a panorama 9100 pixels wide) and 8192x4096.
#: Computing a view takes about 240 bytes per pixel for a perspective view, and 60 for one of longitudes and latitudes.
MAX_PERSPECTIVE_PIXELS, MAX_EQUIRECTANGULAR_PIXELS = 2**23, 2**25
#: Longest side of a JPEG file.
MAX_JPEG_SIDE = 65_500


def native_size(view: View, width: int) -> tuple[int, int]:
    """Height and width at which a pixel at the centre of a view is as large as a pixel of the panorama.

    A pixel of a panorama spans `2π / width`. The centre pixel of a perspective view of n pixels spans
    `2 tan(fov / 2) / n`, so n is `width · tan(fov / 2) / π`. A view that would need more than about 2 GB of memory is
    made smaller, in the same proportions: to `MAX_PERSPECTIVE_PIXELS` or `MAX_EQUIRECTANGULAR_PIXELS`.

    Args:
        view: The view.
        width: Width of the panorama in pixels.

    Example:
        >>> from panollava_geometry import PerspectiveView
        >>> native_size(PerspectiveView(0.0, hfov_deg=90.0), 4096)
        (1304, 1304)
    """
    if isinstance(view, EquirectangularView):
        (left, right), (low, high) = view.longitude_range_deg, view.latitude_range_deg
        sides, limit = (width * (high - low) / 360, width * (right - left) / 360), MAX_EQUIRECTANGULAR_PIXELS
    elif not isinstance(view, PerspectiveView):
        across, up = view.centre_scale
        sides, limit = (width * up / math.pi, width * across / math.pi), MAX_PERSPECTIVE_PIXELS
    else:
        hfov, vfov = view.fov_deg
        sides, limit = (_tangent_side(vfov, width), _tangent_side(hfov, width)), MAX_PERSPECTIVE_PIXELS
    scale = min(1.0, math.sqrt(limit / (sides[0] * sides[1])))
    if scale < 1:
        return max(1, int(sides[0] * scale)), max(1, int(sides[1] * scale))
    return max(1, round(sides[0])), max(1, round(sides[1]))


def _tangent_side(fov_deg: Degrees, width: int) -> float:
    return width * math.tan(math.radians(fov_deg) / 2) / math.pi


def check_size(plan: ViewPlan, size: Size, image_format: str) -> None:
    """Check before the work that views of one size can be computed and written.

    Raises:
        PanoramaError: They cannot.
    """
    height, width = size_pair(size)
    check_result(len(plan), (height, width), 3, 1, "--size")
    if image_format == "jpeg" and max(height, width) > MAX_JPEG_SIDE:
        raise PanoramaError(
            f"a JPEG file can have at most {MAX_JPEG_SIDE} pixels per side, got {height}x{width}; use --format png"
        )


def native_sizes(plan: ViewPlan, width: int) -> list[tuple[int, int]]:
    """The native size of every view.

    Raises:
        PanoramaError: The views together have too many pixels.
    """
    sizes = [native_size(view, width) for view in plan]
    needed = 3 * sum(h * w for h, w in sizes)
    if needed > MAX_RESULT_BYTES:
        raise PanoramaError(
            f"{len(sizes)} views at the resolution of a panorama {width} pixels wide need {needed >> 30} GB, at most "
            f"{MAX_RESULT_BYTES >> 30} are supported: reduce the number of views, or give --size"
        )
    return sizes
