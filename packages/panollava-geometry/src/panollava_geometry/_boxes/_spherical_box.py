"""`SphericalBox`: a rectangle on the sphere around a direction (BFoV)."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from panollava_geometry._boxes._convex import TOLERANCE, clip_polygon, polygon_area, shared_area
from panollava_geometry._errors import PanoramaError
from panollava_geometry._views._perspective_view import PerspectiveView
from panollava_geometry._views._sphere import Degrees, rotation_matrix
from panollava_geometry._views._view_base import check_finite

#: Smallest width and height in degrees. Below it, rounding errors are larger than the box.
_MIN_SIZE_DEG = 1e-6
#: From this width on, a box is bounded by circles of latitude.
_HALF_TURN_DEG = 180.0
#: Up to this size, no two neighbouring corners are opposite to each other, also after clipping.
CORNERS_DEG = 179.0
#: Rays along an outline that find its highest and lowest point.
_OUTLINE = 721


@dataclass(frozen=True)
class SphericalBox:
    """A rectangle on the sphere, given by its centre and its field of view (BFoV).

    In the frame of the box (x right, y up, z to its centre) a ray (x, y, z) is inside if

    - `width_deg` <= 180: |atan2(x, z)| <= width / 2 and |atan2(y, z)| <= height / 2, z >= 0. This is what a
      `PerspectiveView` of this direction and field of view sees: each side is an arc of a great circle. The area is
      4 asin(sin(width / 2) · sin(height / 2)).
    - `width_deg` > 180: |atan2(x, z)| <= width / 2 and |asin(y)| <= height / 2. No flat image is that wide: the left
      and right sides are still planes through the vertical axis of the box, the upper and lower side are circles of
      latitude in its frame, in the planes y = ± sin(height / 2). The area is 2 · width · sin(height / 2). 360 x 180 is
      the sphere.

    Boxes of this kind are used by 360VOT (https://arxiv.org/abs/2307.14630) and "Unbiased IoU for Spherical Image
    Object Detection" (https://doi.org/10.1609/aaai.v36i1.19929).

    Args:
        yaw_deg: Rotation of the centre to the right in degrees. 0 is the centre column of the panorama.
        pitch_deg: Rotation of the centre upwards in degrees, in [-90, 90].
        width_deg: Width in degrees, in [1e-6, 360].
        height_deg: Height in degrees, in [1e-6, 180].
        roll_deg: Clockwise rotation about the centre in degrees, as seen by the camera.

    Raises:
        PanoramaError: An angle is not finite, or out of its range.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import SphericalBox
        >>> box = SphericalBox(yaw_deg=180.0, pitch_deg=0.0, width_deg=20.0, height_deg=10.0)
        >>> box.contains(np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])).tolist()
        [True, False]
        >>> round(box.iou(SphericalBox(-175.0, 0.0, 20.0, 10.0)), 2)
        0.6
    """

    yaw_deg: Degrees
    pitch_deg: Degrees
    width_deg: Degrees
    height_deg: Degrees
    roll_deg: Degrees = 0.0

    def __post_init__(self) -> None:
        check_finite(self, yaw_deg=self.yaw_deg, pitch_deg=self.pitch_deg, roll_deg=self.roll_deg)
        check_finite(self, width_deg=self.width_deg, height_deg=self.height_deg)
        if not -90 <= self.pitch_deg <= 90:
            raise PanoramaError(
                f"pitch_deg must be in [-90, 90], got {self.pitch_deg}: for a centre past a pole, add 180 to yaw_deg"
            )
        for name, size, most in (("width_deg", self.width_deg, 360), ("height_deg", self.height_deg, 180)):
            if not _MIN_SIZE_DEG <= size <= most:
                raise PanoramaError(f"{name} must be between {_MIN_SIZE_DEG} and {most} degrees, got {size}")

    @classmethod
    def from_view_box(cls, view: PerspectiveView, box: tuple[Degrees, Degrees, Degrees, Degrees]) -> "SphericalBox":
        """The box of a rectangle in a perspective view.

        The centre halves both arcs through it that run parallel to the sides of the rectangle in the view; width and
        height are the lengths of these arcs. Away from the centre of a view a rectangle is not a box on the sphere
        exactly: its arcs are not at right angles. The roll divides the difference between them.

        Args:
            view: The view, of any direction, roll and field of view.
            box: Left, top, right and bottom as fractions of the view's width and height, in [0, 1].

        Raises:
            PanoramaError: The rectangle is empty, not finite, or outside of the view.

        Example:
            >>> from panollava_geometry import PerspectiveView, SphericalBox
            >>> SphericalBox.from_view_box(PerspectiveView(90.0, hfov_deg=60.0), (0.0, 0.0, 1.0, 1.0))
            SphericalBox(yaw_deg=90.0, pitch_deg=0.0, width_deg=60.0, height_deg=60.0, roll_deg=0.0)
        """
        left, top, right, bottom = (float(value) for value in box)
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise PanoramaError(
                f"a rectangle in a view must be (left, top, right, bottom) with 0 <= left < right <= 1 and "
                f"0 <= top < bottom <= 1, got {(left, top, right, bottom)}"
            )
        half = np.tan(np.deg2rad(view.fov_deg) / 2)
        shift = 2 * np.array(view.principal_point) - 1
        x = (2 * np.array([left, right]) - 1 - shift[0]) * half[0]
        y = (1 - 2 * np.array([bottom, top]) + shift[1]) * half[1]
        centre_x, centre_y = 0.0, 0.0
        for _ in range(50):  # each step is far below the last one; a dozen are enough
            before = centre_x, centre_y
            centre_x, width = _middle(x, math.hypot(1, centre_y))
            centre_y, height = _middle(y, math.hypot(1, centre_x))
            if abs(centre_x - before[0]) + abs(centre_y - before[1]) < 1e-15:
                break
        centre_x, width = _middle(x, math.hypot(1, centre_y))
        forward = np.array([centre_x, centre_y, 1.0]) / math.sqrt(1 + centre_x**2 + centre_y**2)
        along = np.array([1.0, 0.0, 0.0]) - centre_x * forward / math.sqrt(1 + centre_x**2 + centre_y**2)
        upwards = np.array([0.0, 1.0, 0.0]) - centre_y * forward / math.sqrt(1 + centre_x**2 + centre_y**2)
        right_axis = along / np.linalg.norm(along) + np.cross(upwards / np.linalg.norm(upwards), forward)
        right_axis /= np.linalg.norm(right_axis)
        frame = np.stack([right_axis, np.cross(forward, right_axis), forward], axis=1)
        return cls.of_frame(view.rotation @ frame, width, height)

    @classmethod
    def of_frame(cls, rotation: Float[ndarray, "3 3"], width_deg: Degrees, height_deg: Degrees) -> "SphericalBox":
        """The box whose right, upper and forward axes are the columns of a rotation matrix."""
        forward = rotation[:, 2]
        flat = math.hypot(forward[0], forward[2])
        yaw = math.degrees(math.atan2(forward[0], forward[2])) if flat > 1e-12 else 0.0
        pitch = math.degrees(math.atan2(forward[1], flat))
        rest = rotation_matrix(yaw, pitch).T @ rotation
        roll = math.degrees(math.atan2(rest[0, 1], rest[0, 0]))
        values = (round(value, 12) + 0.0 for value in (yaw, pitch, width_deg, height_deg, roll))
        return cls(*values)

    def to_view_box(self, view: PerspectiveView) -> tuple[float, float, float, float] | None:
        """The smallest rectangle of a view around what the view sees of the box.

        For a box in the centre of a view without roll against it, this is the inverse of `from_view_box`.

        Returns:
            Left, top, right and bottom as fractions of the view's width and height; None if the view sees none of it.
        """
        if self._wide or view.principal_point != (0.5, 0.5):
            rays = np.concatenate([self.outline(721), self._grid()])
            seen = view.rays_to_pixels(rays, (1, 1))[0]
            edge = np.linspace(0, 1, 201)
            border = np.concatenate([_pairs(edge, 0.0), _pairs(edge, 1.0), _pairs(0.0, edge), _pairs(1.0, edge)])
            inside = border[self.contains(view.pixels_to_rays(border, (1, 1)))]
            corners = np.concatenate([seen[~np.isnan(seen[:, 0])], inside])
        else:
            width, height = view.fov_deg
            whole = SphericalBox(view.yaw_deg, view.pitch_deg, width, height, view.roll_deg)
            rays = clip_polygon(whole._polygon, self.half_spaces)
            if polygon_area(rays) == 0:
                return None
            plane = rays @ view.rotation
            half = np.tan(np.deg2rad(view.fov_deg) / 2)
            corners = (plane[:, :2] / plane[:, 2:] * [1, -1] / half + 1) / 2
        if len(corners) == 0:
            return None
        left, top = np.clip(corners.min(axis=0), 0, 1).tolist()
        right, bottom = np.clip(corners.max(axis=0), 0, 1).tolist()
        return (left, top, right, bottom) if left < right and top < bottom else None

    @cached_property
    def rotation(self) -> Float[ndarray, "3 3"]:
        """Rotation matrix from the frame of the box to the world; its columns point right, up and to the centre."""
        return rotation_matrix(self.yaw_deg, self.pitch_deg, self.roll_deg)

    @property
    def area(self) -> float:
        """Solid angle in steradians."""
        width, height = math.radians(self.width_deg), math.radians(self.height_deg)
        if self._wide:
            return 2 * width * math.sin(height / 2)
        return 4 * math.asin(math.sin(width / 2) * math.sin(height / 2))

    def contains(self, rays: Float[ndarray, "*grid 3"]) -> Bool[ndarray, "*grid"]:
        """Whether rays are inside of the box or on its border.

        Args:
            rays: Directions of any length `[..., 3]`.

        Returns:
            `[...]` bool.
        """
        if not self._wide:
            lengths = np.linalg.norm(rays, axis=-1, keepdims=True)
            return np.asarray((rays @ self.half_spaces[:, :3].T >= -TOLERANCE * lengths).all(axis=-1))
        x, y, z = np.moveaxis(rays @ self.rotation, -1, 0)
        longitude, latitude = np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))
        width, height = np.deg2rad([self.width_deg, self.height_deg]) / 2 + TOLERANCE
        return np.asarray((np.abs(longitude) <= width) & (np.abs(latitude) <= height))

    def iou(self, other: "SphericalBox") -> float:
        """Intersection over union of the solid angles, in [0, 1].

        Exact up to rounding: by clipping for two boxes of at most 179°, else by an integral over circles of latitude.
        """
        shared = self.intersection(other)
        return min(1.0, shared / (self.area + other.area - shared))

    def intersection(self, other: "SphericalBox") -> float:
        """Solid angle that both boxes share, in steradians."""
        if not self._wide and not other._wide:
            if max(self.width_deg, self.height_deg, other.width_deg, other.height_deg) <= CORNERS_DEG:
                return polygon_area(clip_polygon(self._polygon, other.half_spaces))
            shared = shared_area(np.concatenate([self.half_spaces, other.half_spaces]))
            return min(shared, self.area, other.area)
        wide = min((box for box in (self, other) if box._wide), key=lambda box: box.height_deg)
        return min(max(wide._shared(other if wide is self else self), 0.0), self.area, other.area)

    def outline(self, points: int = 128) -> Float[ndarray, "points 3"]:
        """Unit rays along the border, for drawing: clockwise from the upper left corner, closed.

        Args:
            points: Number of rays, at least 5. The first and the last are the same.

        Raises:
            PanoramaError: There are fewer than 5 points.
        """
        if points < 5:
            raise PanoramaError(f"an outline needs at least 5 points, got {points}")
        place = np.linspace(0, 4, points)
        side, part = np.minimum(place.astype(int), 3), place - np.minimum(place.astype(int), 3)
        u = np.select([side == 0, side == 1, side == 2], [2 * part - 1, np.ones(points), 1 - 2 * part], -1.0)
        v = np.select(
            [side == 0, side == 1, side == 2], [np.ones(points), 1 - 2 * part, -np.ones(points)], 2 * part - 1
        )
        return self._rays(u, v)

    def to_dict(self) -> dict[str, float]:
        """A dictionary for JSON."""
        names = ("yaw_deg", "pitch_deg", "width_deg", "height_deg", "roll_deg")
        return {name: float(getattr(self, name)) for name in names}

    @property
    def _wide(self) -> bool:
        return bool(self.width_deg > _HALF_TURN_DEG)

    @cached_property
    def half_spaces(self) -> Float[ndarray, "4 4"]:
        """Half-spaces of a box of at most 180°: right, left, top, bottom."""
        return _frustum(self.rotation, self.width_deg, self.height_deg)

    @cached_property
    def _polygon(self) -> Float[ndarray, "8 3"]:
        """Corners and middles of the sides of a box of at most 180°."""
        return self.outline(9)[:-1]

    @property
    def _band(self) -> float:
        """The largest y in the frame of a box wider than 180°."""
        return math.sin(math.radians(self.height_deg) / 2)

    def _pieces(self, frame: Float[ndarray, "3 3"]) -> list[tuple[int, Float[ndarray, "_ 4"]]]:
        """The box as a sum of regions that half-spaces bound, each with its sign, in another frame."""
        turn = np.eye(4)
        turn[:3, :3] = frame
        if not self._wide:
            return [(1, self.half_spaces @ turn)]
        up = self.rotation[:, 1]
        band = np.array([[*-up, -self._band], [*up, -self._band]])
        return [(1, band @ turn), (-1, np.concatenate([band, self._gap]) @ turn)]

    @property
    def _gap(self) -> Float[ndarray, "_ 4"]:
        """Half-spaces around what a box wider than 180° leaves out between its left and its right side."""
        if self.width_deg >= 360:
            return np.array([[0.0, 0.0, 0.0, 1.0]])  # nothing
        return _frustum(self.rotation * [-1, 1, -1], 360 - self.width_deg, 180.0)

    def _shared(self, other: "SphericalBox") -> float:
        """What a box wider than 180° shares with another one: a sum over circles of latitude in its frame."""
        turn = np.eye(4)
        turn[:3, :3] = self.rotation
        low, high = -self._band, self._band
        if not other._wide:  # only the circles that can meet it
            height = other.outline(_OUTLINE) @ self.rotation[:, 1]
            margin = 1e-3 * float(np.ptp(height))
            low = low if other.contains(-self.rotation[:, 1]) else max(low, float(height.min()) - margin)
            high = high if other.contains(self.rotation[:, 1]) else min(high, float(height.max()) + margin)
        total = 0.0
        for sign, planes in other._pieces(self.rotation):
            total += sign * shared_area(planes, low, high)
            total -= sign * shared_area(np.concatenate([planes, self._gap @ turn]), low, high)
        return total

    def _rays(self, u: Float[ndarray, "*grid"], v: Float[ndarray, "*grid"]) -> Float[ndarray, "*grid 3"]:
        """Rays at fractions of half the width and height, from -1 to 1; v points up."""
        across, up = u * math.radians(self.width_deg) / 2, v * math.radians(self.height_deg) / 2
        if self._wide:
            rays = np.stack([np.sin(across) * np.cos(up), np.sin(up), np.cos(across) * np.cos(up)], axis=-1)
        else:  # tan(across), tan(up), 1, times both cosines
            rays = np.stack([np.sin(across) * np.cos(up), np.sin(up) * np.cos(across), np.cos(across) * np.cos(up)], -1)
            norm = np.linalg.norm(rays, axis=-1, keepdims=True)
            rays = rays / np.maximum(norm, 1e-300)
        return np.asarray(rays @ self.rotation.T)

    def _grid(self) -> Float[ndarray, "rays 3"]:
        u, v = np.meshgrid(np.linspace(-1, 1, 181), np.linspace(-1, 1, 91))
        return self._rays(u.ravel(), v.ravel())


def _frustum(rotation: Float[ndarray, "3 3"], width_deg: Degrees, height_deg: Degrees) -> Float[ndarray, "4 4"]:
    width, height = math.radians(width_deg) / 2, math.radians(height_deg) / 2
    sides = np.array(
        [
            [-math.cos(width), 0, math.sin(width)],
            [math.cos(width), 0, math.sin(width)],
            [0, -math.cos(height), math.sin(height)],
            [0, math.cos(height), math.sin(height)],
        ]
    )
    return np.concatenate([sides @ rotation.T, np.zeros((4, 1))], axis=1)


def _middle(ends: Float[ndarray, " 2"], distance: float) -> tuple[float, float]:
    """The place on a line that halves the angle between its ends, seen from this distance, and the angle in degrees."""
    first, last = np.arctan(ends / distance)
    return distance * math.tan((first + last) / 2), math.degrees(last - first)


def _pairs(x: Any, y: Any) -> Float[ndarray, "points 2"]:
    return np.stack(np.broadcast_arrays(x, y), axis=-1).astype(float)
