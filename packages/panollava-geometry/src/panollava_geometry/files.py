"""For programs that work through many panoramas: load one with its size, and cut one into a folder of views.

Example:
    >>> from panollava_geometry import plan_views
    >>> from panollava_geometry.files import crop_file
    >>> crop_file("pano.jpg", Path("views"), plan_views("cubemap"), 512)  # doctest: +SKIP
"""

from panollava_geometry._cropping import crop_file
from panollava_geometry._loading import load_with_size

__all__ = ["crop_file", "load_with_size"]
