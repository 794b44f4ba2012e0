"""Points of panoramas and views: pixels, rays and angles, for arrays of points."""

from panollava_geometry._views._coordinates import (
    angles_to_erp,
    angles_to_rays,
    angles_to_view,
    erp_to_angles,
    erp_to_rays,
    erp_to_view,
    rays_to_angles,
    rays_to_erp,
    view_to_angles,
    view_to_erp,
)

__all__ = [
    "angles_to_erp",
    "angles_to_rays",
    "angles_to_view",
    "erp_to_angles",
    "erp_to_rays",
    "erp_to_view",
    "rays_to_angles",
    "rays_to_erp",
    "view_to_angles",
    "view_to_erp",
]
