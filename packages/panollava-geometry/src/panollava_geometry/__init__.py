"""Exact, antialiased perspective views of equirectangular (360°) panoramas, and their overlaps.

Importing the package is fast: numpy, torch and Pillow are imported with the first name that needs them.
"""

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for True; importing `typing` takes longer than the rest of this module
if TYPE_CHECKING:
    from panollava_geometry._boxes._spherical_box import SphericalBox
    from panollava_geometry._drawing._drawing import draw_boxes, draw_footprints
    from panollava_geometry._errors import PanoramaError, PanoramaWarning
    from panollava_geometry._files._information import is_panorama
    from panollava_geometry._files._loading import load_equirectangular, load_views
    from panollava_geometry._files._saving import save_equirectangular
    from panollava_geometry._merging._depth import radial_to_z_depth, z_to_radial_depth
    from panollava_geometry._merging._mapping import map_views
    from panollava_geometry._merging._normals import normals_to_view, normals_to_world, rotate_normals
    from panollava_geometry._planning._correspondences import Correspondences, find_correspondences
    from panollava_geometry._planning._plan import ViewPlan
    from panollava_geometry._planning._poses import CameraPoses
    from panollava_geometry._planning._strategies import plan_views
    from panollava_geometry._planning._token_rays import view_rays
    from panollava_geometry._projections._cubemap import convert_cubemap, cubemap_to_equirect, equirect_to_cubemap
    from panollava_geometry._projections._extraction import extract_views
    from panollava_geometry._projections._fisheye import dual_fisheye_to_equirect, fisheye_to_equirect
    from panollava_geometry._projections._pasting import paste_views
    from panollava_geometry._projections._rotation import rotate_equirectangular
    from panollava_geometry._views._coverage import Coverage
    from panollava_geometry._views._equirectangular_view import EquirectangularView
    from panollava_geometry._views._fisheye_view import FisheyeView
    from panollava_geometry._views._flat_views import CylindricalView, StereographicView
    from panollava_geometry._views._perspective_view import PerspectiveView
    from panollava_geometry._views._sphere import rotation_matrix
else:

    def __getattr__(name):
        """Import a public name when it is first used (PEP 562). Type checkers read the imports above instead."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "CameraPoses",
    "Correspondences",
    "Coverage",
    "CylindricalView",
    "EquirectangularView",
    "FisheyeView",
    "PanoramaError",
    "PanoramaWarning",
    "PerspectiveView",
    "SphericalBox",
    "StereographicView",
    "ViewPlan",
    "convert_cubemap",
    "cubemap_to_equirect",
    "draw_boxes",
    "draw_footprints",
    "dual_fisheye_to_equirect",
    "equirect_to_cubemap",
    "extract_views",
    "find_correspondences",
    "fisheye_to_equirect",
    "is_panorama",
    "load_equirectangular",
    "load_views",
    "map_views",
    "normals_to_view",
    "normals_to_world",
    "paste_views",
    "plan_views",
    "radial_to_z_depth",
    "rotate_equirectangular",
    "rotate_normals",
    "rotation_matrix",
    "save_equirectangular",
    "view_rays",
    "z_to_radial_depth",
]

#: The module of every public name.
_MODULES = {
    "CameraPoses": "_planning._poses",
    "Correspondences": "_planning._correspondences",
    "Coverage": "_views._coverage",
    "CylindricalView": "_views._flat_views",
    "EquirectangularView": "_views._equirectangular_view",
    "FisheyeView": "_views._fisheye_view",
    "PanoramaError": "_errors",
    "PanoramaWarning": "_errors",
    "PerspectiveView": "_views._perspective_view",
    "SphericalBox": "_boxes._spherical_box",
    "StereographicView": "_views._flat_views",
    "ViewPlan": "_planning._plan",
    "convert_cubemap": "_projections._cubemap",
    "cubemap_to_equirect": "_projections._cubemap",
    "draw_boxes": "_drawing._drawing",
    "draw_footprints": "_drawing._drawing",
    "dual_fisheye_to_equirect": "_projections._fisheye",
    "equirect_to_cubemap": "_projections._cubemap",
    "extract_views": "_projections._extraction",
    "find_correspondences": "_planning._correspondences",
    "fisheye_to_equirect": "_projections._fisheye",
    "is_panorama": "_files._information",
    "load_equirectangular": "_files._loading",
    "load_views": "_files._loading",
    "map_views": "_merging._mapping",
    "normals_to_view": "_merging._normals",
    "normals_to_world": "_merging._normals",
    "paste_views": "_projections._pasting",
    "plan_views": "_planning._strategies",
    "radial_to_z_depth": "_merging._depth",
    "rotate_equirectangular": "_projections._rotation",
    "rotate_normals": "_merging._normals",
    "rotation_matrix": "_views._sphere",
    "save_equirectangular": "_files._saving",
    "view_rays": "_planning._token_rays",
    "z_to_radial_depth": "_merging._depth",
}
