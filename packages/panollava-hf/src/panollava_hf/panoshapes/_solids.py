"""Intersections of rays with solids of about unit size, in the frame of the solid: its axis is y.

All rays start at one point outside of the solid. Their directions are unit vectors, given as three arrays (x, y, z).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Vector = tuple[float | np.float32, float | np.float32, float | np.float32]
Rays = tuple[Array, Array, Array]
#: Which rays hit, the distance of the hit, and the outward normal there; the last two are valid only for rays that hit.
Hits = tuple[NDArray[np.bool_], Array, Rays]

# Proportions: every shape covers about as much of an image as the unit sphere does.
CUBE_HALF = 0.76
CYLINDER_RADIUS, CYLINDER_HALF = 0.78, 0.88
CONE_RADIUS, CONE_HEIGHT = 1.1, 2.1
TORUS_MAJOR, TORUS_MINOR = 0.86, 0.34

_CONE_CENTRE_TO_APEX = (CONE_HEIGHT**2 + CONE_RADIUS**2) / (2 * CONE_HEIGHT)  # from the centre of its bounding ball
#: Radius of the smallest ball around the origin of the frame that contains the solid.
BOUNDING_RADIUS = {
    "sphere": 1.0,
    "cube": CUBE_HALF * 3**0.5,
    "cone": _CONE_CENTRE_TO_APEX,
    "cylinder": (CYLINDER_RADIUS**2 + CYLINDER_HALF**2) ** 0.5,
    "torus": TORUS_MAJOR + TORUS_MINOR,
}
_TRACING_STEPS = 160  # most rays need fewer than 20; rays that pass close to the surface need more
_TRACING_CLOSE = 2e-3


def intersect(shape: str, origin: Vector, rays: Rays) -> Hits:
    """First intersection of each ray from `origin` with a solid.

    Args:
        shape: One of `SHAPES`.
        origin: Start of all rays, outside of the solid.
        rays: Unit directions.
    """
    single = np.float32  # a float64 scalar would turn all arrays into float64
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _INTERSECTIONS[shape]((single(origin[0]), single(origin[1]), single(origin[2])), rays)


def _sphere(origin: Vector, rays: Rays) -> Hits:
    half = _dot(origin, rays)
    inside = half * half - np.float32(sum(value * value for value in origin) - 1)
    distance = -half - np.sqrt(np.maximum(inside, 0))
    return inside > 0, distance, _along(origin, rays, distance)


def _cube(origin: Vector, rays: Rays) -> Hits:
    enter, leave = _slab(origin[0], rays[0], CUBE_HALF)
    face = np.zeros(enter.shape, np.int8)
    for axis in (1, 2):
        first, last = _slab(origin[axis], rays[axis], CUBE_HALF)
        later = first > enter
        face[later] = axis
        enter, leave = np.where(later, first, enter), np.minimum(leave, last)
    x, y, z = (np.where(face == axis, -np.sign(rays[axis]), np.float32(0)) for axis in range(3))
    return enter < leave, enter, (x, y, z)


def _cylinder(origin: Vector, rays: Rays) -> Hits:
    (ox, oy, oz), (dx, dy, dz) = origin, rays
    square = dx * dx + dz * dz
    half = ox * dx + oz * dz
    inside = half * half - square * (ox * ox + oz * oz - CYLINDER_RADIUS**2)
    root = np.sqrt(np.maximum(inside, 0))
    side, side_leave = (-half - root) / square, (-half + root) / square
    cap, cap_leave = _slab(oy, dy, CYLINDER_HALF)
    distance = np.maximum(side, cap)
    on_cap = cap > side
    x, _, z = _along(origin, rays, distance)
    zero = np.float32(0)
    scale = np.float32(1 / CYLINDER_RADIUS)
    normal = (
        np.where(on_cap, zero, x * scale),
        np.where(on_cap, -np.sign(dy), zero),
        np.where(on_cap, zero, z * scale),
    )
    return (inside > 0) & (distance < np.minimum(side_leave, cap_leave)), distance, normal


def _cone(origin: Vector, rays: Rays) -> Hits:
    (ox, oy, oz), (dx, dy, dz) = origin, rays
    slope = np.float32((CONE_RADIUS / CONE_HEIGHT) ** 2)
    below = np.float32(_CONE_CENTRE_TO_APEX) - oy  # height of the apex above the start of the rays
    square = dx * dx + dz * dz - slope * dy * dy
    half = ox * dx + oz * dz + slope * below * dy
    inside = half * half - square * (ox * ox + oz * oz - slope * below * below)
    root = np.sqrt(np.maximum(inside, 0))
    nowhere = np.float32(np.inf)
    distance = np.full(dx.shape, nowhere)
    for sign in (-1, 1):
        candidate = (-half + np.float32(sign) * root) / square
        depth = below - candidate * dy
        valid = (inside > 0) & (candidate > 0) & (depth >= 0) & (depth <= CONE_HEIGHT)
        distance = np.minimum(distance, np.where(valid, candidate, nowhere))
    base = (below - np.float32(CONE_HEIGHT)) / dy
    x, z = ox + base * dx, oz + base * dz
    on_base = (base > 0) & (x * x + z * z < CONE_RADIUS**2) & (base < distance)
    distance = np.where(on_base, base, distance)
    hit = distance < nowhere
    x, y, z = _along(origin, rays, np.where(hit, distance, 0))
    lean = slope * (np.float32(_CONE_CENTRE_TO_APEX) - y)
    length = np.sqrt(x * x + lean * lean + z * z) + np.float32(1e-9)
    zero = np.float32(0)
    normal = (
        np.where(on_base, zero, x / length),
        np.where(on_base, np.float32(-1), lean / length),
        np.where(on_base, zero, z / length),
    )
    return hit, distance, normal


def _torus(origin: Vector, rays: Rays) -> Hits:
    """Sphere tracing: step by the distance to the surface until the ray has reached it or left the bounding ball.

    Hart 1996, "Sphere tracing", https://doi.org/10.1007/s003710050084.
    """
    half = _dot(origin, rays)
    outer = np.float32(sum(value * value for value in origin) - BOUNDING_RADIUS["torus"] ** 2)
    root = np.sqrt(np.maximum(half * half - outer, 0))
    distance, leave = -half - root, -half + root
    active = np.flatnonzero(root > 0)
    hit = np.zeros(distance.shape, bool)
    here, end = distance[active], leave[active]
    directions = _chosen(rays, active)
    for _ in range(_TRACING_STEPS):
        x, y, z = _along(origin, directions, here)
        ring = np.sqrt(x * x + z * z) - np.float32(TORUS_MAJOR)
        gap = np.sqrt(ring * ring + y * y) - np.float32(TORUS_MINOR)
        near = gap < _TRACING_CLOSE
        hit[active[near]] = True
        distance[active] = here
        here = here + gap
        going = ~near & (here < end)
        active, here, end = active[going], here[going], end[going]
        directions = _chosen(directions, going)
        if not len(active):
            break
    x, y, z = _along(origin, rays, distance)
    axial = np.sqrt(x * x + z * z) + np.float32(1e-9)
    ring = 1 - np.float32(TORUS_MAJOR) / axial
    scale = np.float32(1 / TORUS_MINOR)
    return hit, distance, (x * ring * scale, y * scale, z * ring * scale)


def _slab(origin: float | np.float32, direction: Array, half: float) -> tuple[Array, Array]:
    inverse = 1 / direction
    first, last = (np.float32(-half) - origin) * inverse, (np.float32(half) - origin) * inverse
    return np.minimum(first, last), np.maximum(first, last)


def _chosen(rays: Rays, which: NDArray[Any]) -> Rays:
    return rays[0][which], rays[1][which], rays[2][which]


def _dot(vector: Vector, rays: Rays) -> Array:
    return vector[0] * rays[0] + vector[1] * rays[1] + vector[2] * rays[2]


def _along(origin: Vector, rays: Rays, distance: Array) -> Rays:
    return (origin[0] + distance * rays[0], origin[1] + distance * rays[1], origin[2] + distance * rays[2])


_INTERSECTIONS: dict[str, Callable[[Vector, Rays], Hits]] = {
    "sphere": _sphere,
    "cube": _cube,
    "cone": _cone,
    "cylinder": _cylinder,
    "torus": _torus,
}
