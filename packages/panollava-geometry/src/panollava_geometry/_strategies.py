"""`plan_views`: how a panorama is cut, by the name of a strategy.

Strategies: `resize` and the flat grids `anyres`, `anyres_max` after LLaVA-NeXT (https://llava-vl.github.io/blog/2024-01-30-llava-next/);
`e2p`, `anyres_e2p` closed rings of perspective tiles; `cubemap`; `sliding_window` windows of the ERP itself.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from panollava_geometry._errors import PanoramaError
from panollava_geometry._plan import ViewPlan
from panollava_geometry._sphere import Degrees
from panollava_geometry._views import EquirectangularView, PerspectiveView, View


@dataclass(frozen=True)
class _Request:
    hfov_deg: float
    vfov_deg: float
    overlap_ratio: float | int
    num_views: int | None
    pitch_range_deg: tuple[float, float]
    num_rings: int | None

    def ring_yaws(self) -> list[Degrees]:
        """Yaws of a closed ring, the first one straight ahead, in (-180, 180]."""
        count = self.num_views
        if count is None:
            count = math.ceil(360 / (self.hfov_deg * (1 - self.overlap_ratio)) - 1e-9)
        return [_wrapped(360 * i / count) for i in range(count)]

    def ring_pitches(self) -> list[float]:
        low, high = self.pitch_range_deg
        rings = self.num_rings
        if rings is None:
            rings = 1 + math.ceil((high - low) / (self.vfov_deg * (1 - self.overlap_ratio)) - 1e-9)
        return [(low + high) / 2] if rings == 1 else np.linspace(high, low, rings).tolist()


def _wrapped(yaw_deg: Degrees) -> Degrees:
    return yaw_deg - 360 if yaw_deg > 180 else yaw_deg


def _ring_tiles(request: _Request) -> list[View]:
    return [
        PerspectiveView(yaw, pitch, 0.0, request.hfov_deg, request.vfov_deg)
        for pitch in request.ring_pitches()
        for yaw in request.ring_yaws()
    ]


def _cubemap(request: _Request) -> list[View]:
    if min(request.hfov_deg, request.vfov_deg) < 90:
        raise PanoramaError(
            f"a cubemap of {request.hfov_deg} degree faces leaves gaps: pass fov_deg=90, or more for an overlap"
        )
    if request.num_views not in (None, 4, 6):
        raise PanoramaError(
            f"a cubemap has 6 views (or the 4 sides), got num_views={request.num_views}: use strategy='e2p' for a ring"
        )
    turns = [(0.0, 0.0), (90.0, 0.0), (180.0, 0.0), (-90.0, 0.0), (0.0, 90.0), (0.0, -90.0)][: request.num_views]
    return [PerspectiveView(yaw, pitch, 0.0, request.hfov_deg, request.vfov_deg) for yaw, pitch in turns]


def _sliding_window(request: _Request) -> list[View]:
    half = request.hfov_deg / 2
    return [EquirectangularView((yaw - half, yaw + half)) for yaw in request.ring_yaws()]


def _grid(rows: int, columns: int) -> list[View]:
    longitudes, latitudes = np.linspace(-180, 180, columns + 1), np.linspace(90, -90, rows + 1)
    return [
        EquirectangularView((longitudes[c], longitudes[c + 1]), (latitudes[r + 1], latitudes[r]))
        for r in range(rows)
        for c in range(columns)
    ]


def _anyres(request: _Request) -> list[View]:
    rows, columns = math.ceil(180 / request.vfov_deg - 1e-9), math.ceil(360 / request.hfov_deg - 1e-9)
    if request.num_views not in (None, rows * columns):
        raise PanoramaError(
            f"anyres with fov_deg=({request.hfov_deg}, {request.vfov_deg}) has {rows} x {columns} patches, got "
            f"num_views={request.num_views}: change fov_deg, or use strategy='anyres_max' for an upper bound"
        )
    return [EquirectangularView(), *_grid(rows, columns)]


def _anyres_max(request: _Request) -> list[View]:
    limit = 9 if request.num_views is None else request.num_views
    if limit < 2:
        raise PanoramaError(f"anyres_max needs num_views >= 2 (two square halves of the panorama), got {limit}")
    rows = math.isqrt(limit // 2)
    return [EquirectangularView(), *_grid(rows, 2 * rows)]


STRATEGIES: dict[str, Callable[[_Request], list[View]]] = {
    "anyres_e2p": lambda request: [EquirectangularView(), *_ring_tiles(request)],
    "e2p": _ring_tiles,
    "cubemap": _cubemap,
    "sliding_window": _sliding_window,
    "anyres": _anyres,
    "anyres_max": _anyres_max,
    "resize": lambda request: [EquirectangularView()],
}


def plan_views(
    strategy: str = "anyres_e2p",
    *,
    fov_deg: Degrees | tuple[Degrees, Degrees] = 90.0,
    overlap_ratio: float | int = 0.3,
    num_views: int | None = None,
    pitch_range_deg: tuple[Degrees, Degrees] = (-45.0, 45.0),
    num_rings: int | None = 1,
) -> ViewPlan:
    """Plan the views of a panorama.

    | strategy | views, in order |
    |---|---|
    | `anyres_e2p` | the global view, then the tiles of `e2p` |
    | `e2p` | closed ring(s) of perspective tiles, from yaw 0 to the right; upper rings first |
    | `cubemap` | front, right, back, left, up, down; with `num_views=4` the sides alone |
    | `sliding_window` | a closed ring of windows of the ERP, `fov_deg` wide, of full height |
    | `anyres` | the global view, then a grid of ERP patches of at most `fov_deg`, row by row |
    | `anyres_max` | the global view, then the largest grid of square ERP patches with at most `num_views` (9) |
    | `resize` | the global view |

    Args:
        strategy: One of the names above.
        fov_deg: Field of view of a tile, one number or (horizontal, vertical).
        overlap_ratio: Wanted overlap of neighbouring tiles, in [0, 1). A ring gets
            `ceil(360 / (fov · (1 - overlap)))` tiles at equal spacing, so the true overlap is at least this.
        num_views: Tiles per ring (without the global view); None means by the overlap. A given number wins over
            `overlap_ratio`.
        pitch_range_deg: Pitch of the lowest and the highest ring; a single ring lies in the middle.
        num_rings: Rings of tiles for `e2p` and `anyres_e2p`; None means as many as keep the overlap.

    Returns:
        The plan.

    Raises:
        PanoramaError: The request cannot be met; the message says what to change.

    Example:
        >>> len(plan_views("anyres_e2p"))
        7
        >>> [view.yaw_deg for view in plan_views("e2p", num_views=4)]
        [0.0, 90.0, 180.0, -90.0]
    """
    if strategy not in STRATEGIES:
        raise PanoramaError(f"unknown strategy {strategy!r}: choose from {', '.join(STRATEGIES)}")
    hfov, vfov = fov_deg if isinstance(fov_deg, tuple) else (fov_deg, fov_deg)
    low, high = pitch_range_deg
    for name, fov in (("horizontal", hfov), ("vertical", vfov)):
        if not (math.isfinite(fov) and 0 < fov < 180):
            raise PanoramaError(f"the {name} fov_deg must lie between 0 and 180 degrees, got {fov}: use e.g. 90")
    if not 0 <= overlap_ratio < 1:
        raise PanoramaError(f"overlap_ratio must lie in [0, 1), got {overlap_ratio}: 0.3 makes 30 % overlap")
    if num_views is not None and num_views < 1:
        raise PanoramaError(f"num_views must be at least 1, or None to derive it from fov and overlap; got {num_views}")
    if num_rings is not None and num_rings < 1:
        raise PanoramaError(f"num_rings must be at least 1, or None to derive it from the range; got {num_rings}")
    if not -90 <= low <= high <= 90:
        raise PanoramaError(f"pitch_range_deg must be (lowest, highest) within [-90, 90], got {pitch_range_deg}")
    request = _Request(float(hfov), float(vfov), overlap_ratio, num_views, (float(low), float(high)), num_rings)
    return ViewPlan(STRATEGIES[strategy](request))
