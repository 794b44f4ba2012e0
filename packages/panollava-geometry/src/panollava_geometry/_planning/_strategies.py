"""`plan_views`: divide a panorama into views with one of several strategies.

`e2p` and `anyres_e2p` are closed rings of perspective tiles. `sliding_window` cuts windows out of the equirectangular
image. `resize` and the flat grids `anyres` and `anyres_max` follow LLaVA-NeXT
(https://llava-vl.github.io/blog/2024-01-30-llava-next/).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral, Real

import numpy as np

from panollava_geometry._arrays._sizes import MAX_VIEWS
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._planning._strategy_names import Strategy
from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._perspective_view import PerspectiveView
from panollava_geometry._views._sphere import Degrees
from panollava_geometry._views._views import View


@dataclass(frozen=True)
class _Request:
    hfov_deg: float
    vfov_deg: float
    overlap_ratio: float
    num_views: int | None
    pitch_range_deg: tuple[float, float]
    num_rings: int | None

    def ring_yaws(self) -> list[Degrees]:
        """Yaws of a closed ring in (-180, 180]. The first one is 0."""
        count = self.num_views
        if count is None:
            count = _tiles(360.0, self.hfov_deg * (1 - self.overlap_ratio))
        return [_wrapped(360 * i / count) for i in range(count)]

    def ring_pitches(self) -> list[float]:
        """Pitch of every ring, from top to bottom."""
        low, high = self.pitch_range_deg
        rings = self.num_rings
        if rings is None:
            rings = 1 + _tiles(high - low, self.vfov_deg * (1 - self.overlap_ratio))
        return [(low + high) / 2] if rings == 1 else np.linspace(high, low, rings).tolist()


def _tiles(extent_deg: float, spacing_deg: float) -> int:
    """Number of tiles that an extent needs. Beyond `MAX_VIEWS` the number is not exact."""
    return math.ceil(min(extent_deg / max(spacing_deg, 1e-300), 2.0 * MAX_VIEWS) - 1e-9)


def _wrapped(yaw_deg: Degrees) -> Degrees:
    return yaw_deg - 360 if yaw_deg > 180 else yaw_deg


def _ring_tiles(request: _Request) -> list[View]:
    yaws, pitches = request.ring_yaws(), request.ring_pitches()
    _check_count(len(yaws) * len(pitches))
    return [PerspectiveView(yaw, pitch, 0.0, request.hfov_deg, request.vfov_deg) for pitch in pitches for yaw in yaws]


def _check_count(count: int) -> None:
    if count > MAX_VIEWS:
        raise PanoramaError(
            f"these options give more than {MAX_VIEWS} views: increase fov_deg, or reduce overlap_ratio, num_views or "
            "num_rings"
        )


def _cubemap(request: _Request) -> list[View]:
    if min(request.hfov_deg, request.vfov_deg) < 90:
        raise PanoramaError(
            f"a cubemap with {request.hfov_deg} degree faces has gaps: pass fov_deg=90, or more for an overlap"
        )
    if request.num_views not in (None, 4, 6):
        raise PanoramaError(
            f"a cubemap has 6 views (or the 4 sides), got num_views={request.num_views}: use strategy='e2p' for a ring"
        )
    turns = [(0.0, 0.0), (90.0, 0.0), (180.0, 0.0), (-90.0, 0.0), (0.0, 90.0), (0.0, -90.0)][: request.num_views]
    return [PerspectiveView(yaw, pitch, 0.0, request.hfov_deg, request.vfov_deg) for yaw, pitch in turns]


def _sliding_window(request: _Request) -> list[View]:
    half, yaws = request.hfov_deg / 2, request.ring_yaws()
    _check_count(len(yaws))
    return [EquirectangularView((yaw - half, yaw + half)) for yaw in yaws]


def _grid(rows: int, columns: int) -> list[View]:
    _check_count(rows * columns + 1)
    longitudes, latitudes = np.linspace(-180, 180, columns + 1), np.linspace(90, -90, rows + 1)
    return [
        EquirectangularView((longitudes[c], longitudes[c + 1]), (latitudes[r + 1], latitudes[r]))
        for r in range(rows)
        for c in range(columns)
    ]


def _anyres(request: _Request) -> list[View]:
    rows, columns = _tiles(180.0, request.vfov_deg), _tiles(360.0, request.hfov_deg)
    _check_count(rows * columns + 1)
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


_STRATEGIES: dict[Strategy, Callable[[_Request], list[View]]] = {
    Strategy.anyres_e2p: lambda request: [EquirectangularView(), *_ring_tiles(request)],
    Strategy.e2p: _ring_tiles,
    Strategy.cubemap: _cubemap,
    Strategy.sliding_window: _sliding_window,
    Strategy.anyres: _anyres,
    Strategy.anyres_max: _anyres_max,
    Strategy.resize: lambda request: [EquirectangularView()],
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
    """Plan the views of a panorama with one of several strategies.

    | strategy | views, in order |
    |---|---|
    | `anyres_e2p` | the global view, then the tiles of `e2p` |
    | `e2p` | closed rings of perspective tiles, from yaw 0 to the right, upper rings first |
    | `cubemap` | front, right, back, left, up, down; with `num_views=4` only the four sides |
    | `sliding_window` | a closed ring of windows of the panorama, `fov_deg` wide, of full height |
    | `anyres` | the global view, then a grid of patches of the panorama of at most `fov_deg`, row by row |
    | `anyres_max` | the global view, then the largest grid of square patches, at most `num_views` (default 9) |
    | `resize` | the global view |

    Args:
        strategy: One of the names above.
        fov_deg: Field of view of a tile in degrees, one number or (horizontal, vertical).
        overlap_ratio: Minimum overlap of neighbouring tiles, in [0, 1). A ring has
            `ceil(360 / (fov · (1 - overlap)))` tiles at equal spacing, so the true overlap can be larger.
        num_views: Tiles per ring, without the global view. It takes precedence over `overlap_ratio`. None derives it
            from the overlap. A plan has at most 10000 views.
        pitch_range_deg: Pitch of the lowest and the highest ring in degrees. A single ring is placed in the middle.
        num_rings: Rings of tiles for `e2p` and `anyres_e2p`. None means as many as the overlap requires.

    Returns:
        The plan.

    Raises:
        PanoramaError: The options are invalid or contradict each other. The message says what to change.

    Example:
        >>> from panollava_geometry import plan_views
        >>> len(plan_views("anyres_e2p"))
        7
        >>> [view.yaw_deg for view in plan_views("e2p", num_views=4)]
        [0.0, 90.0, 180.0, -90.0]
    """
    if not isinstance(strategy, str) or strategy not in _STRATEGIES:
        near = get_close_matches(strategy[:100], _STRATEGIES, 1) if isinstance(strategy, str) else []
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise PanoramaError(f"unknown strategy {short(strategy)}: choose from {', '.join(_STRATEGIES)}{hint}")
    hfov, vfov = _pair(fov_deg if isinstance(fov_deg, list | tuple) else (fov_deg, fov_deg), "fov_deg")
    low, high = _pair(pitch_range_deg, "pitch_range_deg")
    for name, fov in (("horizontal", hfov), ("vertical", vfov)):
        if not 0 < fov < 180:
            raise PanoramaError(f"the {name} fov_deg must be between 0 and 180 degrees, got {fov}: use e.g. 90")
    if not 0 <= _number(overlap_ratio, "overlap_ratio") < 1:
        raise PanoramaError(f"overlap_ratio must be in [0, 1), got {short(overlap_ratio)}: 0.3 is an overlap of 30 %")
    for name, count, alternative in (
        ("num_views", num_views, "None to derive it from fov_deg and overlap_ratio"),
        ("num_rings", num_rings, "None to derive it from pitch_range_deg"),
    ):
        if count is not None and not (isinstance(count, Integral) and 1 <= count <= MAX_VIEWS):
            raise PanoramaError(
                f"{name} must be at least 1 and at most {MAX_VIEWS}, or {alternative}, got {short(count)}"
            )
    if not -90 <= low <= high <= 90:
        raise PanoramaError(f"pitch_range_deg must be (lowest, highest) within [-90, 90], got {(low, high)}")
    request = _Request(hfov, vfov, float(overlap_ratio), num_views, (low, high), num_rings)
    return ViewPlan(_STRATEGIES[Strategy(strategy)](request))


def _pair(value: object, name: str) -> tuple[float, float]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise PanoramaError(f"{name} must be a pair of numbers, got {short(value)}")
    return _number(value[0], name), _number(value[1], name)


def _number(value: object, name: str) -> float:
    try:
        number = float(value) if isinstance(value, Real) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise PanoramaError(f"{name} must be a finite number, got {short(value)}")
    return number
