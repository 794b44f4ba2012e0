"""Exact, antialiased perspective views of equirectangular (360°) panoramas, and their overlaps."""

from panollava_geometry._cubemap import cubemap_to_equirect, equirect_to_cubemap
from panollava_geometry._draw import draw_footprints
from panollava_geometry._errors import PanoramaError
from panollava_geometry._extract import extract_views, view_rays
from panollava_geometry._footprint import Coverage
from panollava_geometry._io import load_equirectangular, load_views
from panollava_geometry._overlap import Correspondences, find_correspondences
from panollava_geometry._paste import paste_views
from panollava_geometry._plan import ViewPlan
from panollava_geometry._rotate import rotate_equirectangular
from panollava_geometry._sphere import rotation_matrix
from panollava_geometry._strategies import plan_views
from panollava_geometry._views import EquirectangularView, PerspectiveView

__all__ = [
    "Correspondences",
    "Coverage",
    "EquirectangularView",
    "PanoramaError",
    "PerspectiveView",
    "ViewPlan",
    "cubemap_to_equirect",
    "draw_footprints",
    "equirect_to_cubemap",
    "extract_views",
    "find_correspondences",
    "load_equirectangular",
    "load_views",
    "paste_views",
    "plan_views",
    "rotate_equirectangular",
    "rotation_matrix",
    "view_rays",
]
