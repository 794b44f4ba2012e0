"""Where the views of a plan stand on a contact sheet: in rows from left to right, as one looks around in a room."""

from collections.abc import Sequence
from typing import NamedTuple

from panollava_geometry import EquirectangularView, ViewPlan

#: Most views in a row.
MAX_COLUMNS = 8
#: Views that look up or down more than this stand after the others.
_POLE_DEG = 67.5
#: Views whose pitch differs by less stand in one row.
_ROW_DEG = 10.0


class Cell(NamedTuple):
    """A view and its place on the sheet."""

    view: int
    row: int
    column: int


def arrange(plan: ViewPlan, max_columns: int = MAX_COLUMNS) -> list[Cell]:
    """Rows from the upper to the lower views, each from the left over ahead and the right to behind; then up and down.

    Views of the whole panorama have no place.

    Args:
        plan: The views.
        max_columns: Longer rows are divided evenly.
    """
    ring: list[tuple[float, float, int]] = []
    poles: list[tuple[float, float, int]] = []
    for index, view in enumerate(plan):
        if not is_whole(view):
            yaw, pitch = _direction(view)
            (poles if abs(pitch) >= _POLE_DEG else ring).append((pitch, yaw, index))
    rows: list[list[int]] = []
    for band in _bands(ring):
        ordered = [index for _, _, index in sorted(band, key=lambda one: (one[1], one[2]))]
        parts = -(-len(ordered) // max_columns)
        rows += [ordered[len(ordered) * k // parts : len(ordered) * (k + 1) // parts] for k in range(parts)]
    ends = [index for _, _, index in sorted(poles, key=lambda one: (-one[0], one[1], one[2]))]
    if len(rows) == 1 and len(rows[0]) + len(ends) <= max_columns:
        rows[0] += ends
    else:
        rows += [ends[start : start + max_columns] for start in range(0, len(ends), max_columns)]
    return [Cell(index, y, x) for y, row in enumerate(rows) for x, index in enumerate(row)]


def is_whole(view: object) -> bool:
    """Whether a view is the whole panorama."""
    if not isinstance(view, EquirectangularView):
        return False
    (west, east), (south, north) = view.longitude_range_deg, view.latitude_range_deg
    return east - west >= 360 and north - south >= 180


def _direction(view: object) -> tuple[float, float]:
    """Yaw in (-180, 180], and pitch, of the centre of a view."""
    if isinstance(view, EquirectangularView):
        yaw, pitch = (sum(edges) / 2 for edges in (view.longitude_range_deg, view.latitude_range_deg))
    else:
        yaw, pitch = view.yaw_deg, view.pitch_deg  # type: ignore[attr-defined]
    return 180.0 - (180.0 - round(yaw, 6)) % 360.0, pitch


def _bands(ring: Sequence[tuple[float, float, int]]) -> list[list[tuple[float, float, int]]]:
    """Views of about one pitch, the highest first."""
    bands: list[list[tuple[float, float, int]]] = []
    for view in sorted(ring, reverse=True):
        if bands and bands[-1][0][0] - view[0] < _ROW_DEG:
            bands[-1].append(view)
        else:
            bands.append([view])
    return bands
