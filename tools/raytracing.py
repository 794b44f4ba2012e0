"""Just enough ray tracing in numpy for the sample panorama: four solids, noise, sunlight with shadows.

Points and directions are `[n, 3]` arrays, x right, y up, z forward; distances `[n]`, infinite where nothing is hit.
"""

from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray
BIAS = 1e-4


def direction(yaw_deg: float, pitch_deg: float = 0.0) -> Array:
    """Unit vector of a yaw (0 ahead, positive right) and a pitch (positive up)."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    return np.array([np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)])


@dataclass(frozen=True, kw_only=True)
class Solid:
    """A thing with a place (`centre`), a colour (linear RGB, or stripes of two around its axis) and a gloss."""

    centre: Array
    color: tuple[float, float, float]
    stripes: tuple[float, float, float] | None = None
    gloss: float = 0.0

    def bound(self) -> float:
        """Radius of a ball about the centre that holds the solid."""
        raise NotImplementedError

    def hit(self, origins: Array, directions: Array) -> tuple[Array, Array]:
        """Distance and outward normal of the nearest hit in front of each origin (given relative to the centre)."""
        raise NotImplementedError

    def albedo(self, points: Array) -> Array:
        """Colour of surface points."""
        color = np.broadcast_to(self.color, points.shape)
        if self.stripes is None:
            return color
        local = points - self.centre
        around = np.arctan2(local[:, 0], local[:, 2]) * 12 / (2 * np.pi)
        return np.where((np.floor(around) % 2 == 0)[:, None], color, self.stripes)


@dataclass(frozen=True, kw_only=True)
class Ball(Solid):
    """A sphere."""

    radius: float

    def bound(self) -> float:
        """The sphere's own."""
        return self.radius

    def hit(self, origins: Array, directions: Array) -> tuple[Array, Array]:
        """The smaller root of the quadratic that lies ahead."""
        middle = -np.sum(origins * directions, axis=1)
        inside = self.radius**2 - np.sum(origins**2, axis=1) + middle**2
        root = np.sqrt(np.maximum(inside, 0))
        near = np.where(middle - root > BIAS, middle - root, middle + root)
        distance = np.where((inside > 0) & (near > BIAS), near, np.inf)
        return distance, _points(origins, directions, distance) / self.radius


@dataclass(frozen=True, kw_only=True)
class Box(Solid):
    """A box of half sizes `half`, turned about the vertical by `turn_deg`."""

    half: tuple[float, float, float]
    turn_deg: float = 0.0

    def bound(self) -> float:
        """Half the diagonal."""
        return float(np.linalg.norm(self.half))

    def hit(self, origins: Array, directions: Array) -> tuple[Array, Array]:
        """The latest entry into the three slabs, if before the earliest exit."""
        c, s = np.cos(np.radians(self.turn_deg)), np.sin(np.radians(self.turn_deg))
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        origins, directions = origins @ turn, directions @ turn
        inverse = 1 / np.where(np.abs(directions) < 1e-12, 1e-12, directions)
        half = np.array(self.half)
        first, second = (-half - origins) * inverse, (half - origins) * inverse
        near, far = np.minimum(first, second), np.maximum(first, second)
        enter, leave = near.max(axis=1), far.min(axis=1)
        axis = near.argmax(axis=1)
        normals = np.zeros_like(origins)
        rows = np.arange(len(origins))
        normals[rows, axis] = -np.sign(directions[rows, axis])
        return np.where((enter < leave) & (enter > BIAS), enter, np.inf), normals @ turn.T


@dataclass(frozen=True, kw_only=True)
class Cone(Solid):
    """A vertical cone frustum about the centre, `radius` at the bottom and `top` at the top; a cylinder if equal."""

    radius: float
    top: float
    height: float

    def bound(self) -> float:
        """From the middle of the axis to the farther rim."""
        return float(np.hypot(max(self.radius, self.top), self.height / 2))

    def hit(self, origins: Array, directions: Array) -> tuple[Array, Array]:
        """The side's quadratic, cut to the height, and the two caps."""
        slope = (self.top - self.radius) / self.height
        middle = (self.top + self.radius) / 2
        radius = middle + slope * origins[:, 1]
        a = directions[:, 0] ** 2 + directions[:, 2] ** 2 - (slope * directions[:, 1]) ** 2
        b = np.sum(origins[:, ::2] * directions[:, ::2], axis=1) - slope * directions[:, 1] * radius
        c = np.sum(origins[:, ::2] ** 2, axis=1) - radius**2
        root = np.sqrt(np.maximum(b * b - a * c, 0))
        safe = np.where(np.abs(a) < 1e-12, 1e-12, a)
        best = np.full(len(origins), np.inf)
        normals = np.zeros_like(origins)
        for distance in ((-b - root) / safe, (-b + root) / safe):
            point = _points(origins, directions, distance)
            side = (b * b > a * c) & (distance > BIAS) & (distance < best) & (np.abs(point[:, 1]) <= self.height / 2)
            side &= middle + slope * point[:, 1] >= 0  # not the cone's mirror image
            best = np.where(side, distance, best)
            outward = np.stack([point[:, 0], -slope * (middle + slope * point[:, 1]), point[:, 2]], axis=1)
            normals = np.where(side[:, None], outward, normals)
        for height, radius in ((-self.height / 2, self.radius), (self.height / 2, self.top)):
            down = np.where(np.abs(directions[:, 1]) < 1e-12, 1e-12, directions[:, 1])
            distance = (height - origins[:, 1]) / down
            point = _points(origins, directions, distance)
            cap = (distance > BIAS) & (distance < best) & (point[:, 0] ** 2 + point[:, 2] ** 2 <= radius**2)
            best = np.where(cap, distance, best)
            normals = np.where(cap[:, None], [0.0, np.sign(height), 0.0], normals)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return best, normals / np.where(length == 0, 1, length)


@dataclass(frozen=True)
class Hits:
    """For each ray the nearest solid's index (-1: none), the distance and the normal."""

    index: Array
    distance: Array
    normal: Array


def trace(solids: list[Solid], origins: Array, directions: Array) -> Hits:
    """Nearest hit of every ray; a solid is tried only with the rays that pass through its bounding ball."""
    found = Hits(np.full(len(origins), -1), np.full(len(origins), np.inf), np.zeros_like(origins))
    for number, solid in enumerate(solids):
        relative = origins - solid.centre
        along = np.maximum(-np.sum(relative * directions, axis=1), 0)
        rows = np.flatnonzero(np.sum((relative + along[:, None] * directions) ** 2, axis=1) <= solid.bound() ** 2)
        if len(rows) == 0:
            continue
        distance, normal = solid.hit(relative[rows], directions[rows])
        nearer = distance < found.distance[rows]
        rows = rows[nearer]
        found.index[rows], found.distance[rows], found.normal[rows] = number, distance[nearer], normal[nearer]
    return found


def _points(origins: Array, directions: Array, distance: Array) -> Array:
    return origins + np.where(np.isfinite(distance), distance, 0)[:, None] * directions


@dataclass(frozen=True)
class Noise:
    """Smooth noise in the plane: random values on a lattice, `octaves` of them added, each finer and weaker."""

    seed: int
    octaves: int = 4
    table: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Draw the lattice once; it repeats every 256 units."""
        object.__setattr__(self, "table", np.random.default_rng(self.seed).random((256, 256)))

    def __call__(self, x: Array, y: Array) -> Array:
        """Values between 0 and 1, mean about 0.5."""
        total, weight = np.zeros_like(x), 0.0
        for octave in range(self.octaves):
            scale, amplitude = 2.0**octave, 0.5**octave
            total += amplitude * self._lattice(x * scale + 17.3 * octave, y * scale + 41.7 * octave)
            weight += amplitude
        return total / weight

    def _lattice(self, x: Array, y: Array) -> Array:
        column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        u, v = x - column, y - row
        u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
        left, right, above, below = column % 256, (column + 1) % 256, row % 256, (row + 1) % 256
        top = self.table[above, left] * (1 - u) + self.table[above, right] * u
        bottom = self.table[below, left] * (1 - u) + self.table[below, right] * u
        return top * (1 - v) + bottom * v
