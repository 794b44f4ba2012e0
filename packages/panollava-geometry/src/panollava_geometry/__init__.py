"""Exact, antialiased perspective views of equirectangular (360°) panoramas, and their overlaps.

Importing the package is fast: numpy, torch and Pillow are imported with the first name that needs them.
"""

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for True; importing `typing` takes longer than the rest of this module
if TYPE_CHECKING:
    from panollava_geometry._correspondences import Correspondences, find_correspondences
    from panollava_geometry._coverage import Coverage
    from panollava_geometry._cubemap import convert_cubemap, cubemap_to_equirect, equirect_to_cubemap
    from panollava_geometry._depth import radial_to_z_depth, z_to_radial_depth
    from panollava_geometry._drawing import draw_boxes, draw_footprints
    from panollava_geometry._equirectangular_view import EquirectangularView
    from panollava_geometry._errors import PanoramaError, PanoramaWarning
    from panollava_geometry._extraction import extract_views
    from panollava_geometry._fisheye import dual_fisheye_to_equirect, fisheye_to_equirect
    from panollava_geometry._fisheye_view import FisheyeView
    from panollava_geometry._flat_views import CylindricalView, StereographicView
    from panollava_geometry._information import is_panorama
    from panollava_geometry._loading import load_equirectangular, load_views
    from panollava_geometry._normals import normals_to_view, normals_to_world, rotate_normals
    from panollava_geometry._pasting import paste_views
    from panollava_geometry._perspective_view import PerspectiveView
    from panollava_geometry._plan import ViewPlan
    from panollava_geometry._poses import CameraPoses
    from panollava_geometry._rotation import rotate_equirectangular
    from panollava_geometry._saving import save_equirectangular
    from panollava_geometry._sphere import rotation_matrix
    from panollava_geometry._spherical_box import SphericalBox
    from panollava_geometry._strategies import plan_views
    from panollava_geometry._token_rays import view_rays
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
    "CameraPoses": "_poses",
    "Correspondences": "_correspondences",
    "Coverage": "_coverage",
    "CylindricalView": "_flat_views",
    "EquirectangularView": "_equirectangular_view",
    "FisheyeView": "_fisheye_view",
    "PanoramaError": "_errors",
    "PanoramaWarning": "_errors",
    "PerspectiveView": "_perspective_view",
    "SphericalBox": "_spherical_box",
    "StereographicView": "_flat_views",
    "ViewPlan": "_plan",
    "convert_cubemap": "_cubemap",
    "cubemap_to_equirect": "_cubemap",
    "draw_boxes": "_drawing",
    "draw_footprints": "_drawing",
    "dual_fisheye_to_equirect": "_fisheye",
    "equirect_to_cubemap": "_cubemap",
    "extract_views": "_extraction",
    "find_correspondences": "_correspondences",
    "fisheye_to_equirect": "_fisheye",
    "is_panorama": "_information",
    "load_equirectangular": "_loading",
    "load_views": "_loading",
    "normals_to_view": "_normals",
    "normals_to_world": "_normals",
    "paste_views": "_pasting",
    "plan_views": "_strategies",
    "radial_to_z_depth": "_depth",
    "rotate_equirectangular": "_rotation",
    "rotate_normals": "_normals",
    "rotation_matrix": "_sphere",
    "save_equirectangular": "_saving",
    "view_rays": "_token_rays",
    "z_to_radial_depth": "_depth",
}
