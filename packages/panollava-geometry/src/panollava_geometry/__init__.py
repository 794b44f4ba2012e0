"""Exact, antialiased perspective views of equirectangular (360°) panoramas, and their overlaps."""

from panollava_geometry._errors import PanoramaError
from panollava_geometry._extract import extract_views, view_rays
from panollava_geometry._io import load_equirectangular, load_views
from panollava_geometry._plan import ViewPlan
from panollava_geometry._strategies import plan_views
from panollava_geometry._views import EquirectangularView, PerspectiveView

__all__ = [
    "EquirectangularView",
    "PanoramaError",
    "PerspectiveView",
    "ViewPlan",
    "extract_views",
    "load_equirectangular",
    "load_views",
    "plan_views",
    "view_rays",
]
