"""A view of any kind, and how it is read from JSON data."""

from collections.abc import Mapping
from typing import Any

from panollava_geometry._errors import PanoramaError, one_line, short
from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._fisheye_view import FisheyeView
from panollava_geometry._views._flat_views import CylindricalView, StereographicView
from panollava_geometry._views._perspective_view import PerspectiveView

#: Views with a camera pose: yaw, pitch and roll.
PosedView = PerspectiveView | FisheyeView | CylindricalView | StereographicView
View = PosedView | EquirectangularView
_KINDS: dict[str, Any] = {
    cls.kind: cls for cls in (PerspectiveView, EquirectangularView, FisheyeView, CylindricalView, StereographicView)
}


def view_from_dict(data: Mapping[str, Any]) -> View:
    """Make a view from the dictionary that its `to_dict` returned.

    Raises:
        PanoramaError: The kind is unknown, or a field is missing, unknown or invalid.
    """
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise PanoramaError(f"unknown kind of view {short(kind)}: expected one of {', '.join(sorted(_KINDS))}")
    try:
        view: View = _KINDS[kind](**fields)
    except TypeError as error:
        raise PanoramaError(f"cannot read a {kind} view from {short(fields)}: {one_line(error)}") from error
    return view
