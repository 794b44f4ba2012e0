"""Which pixels an object covers, and how bright it is there. Rays are cast only around the object."""

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from panollava_hf.panoshapes._scene import SceneObject
from panollava_hf.panoshapes._solids import BOUNDING_RADIUS, intersect

Matrix = NDArray[np.float64]


class Grid(NamedTuple):
    """Sines and cosines of the longitudes and latitudes of the samples of a panorama."""

    width: int
    rows: int
    columns: int
    sin_longitude: NDArray[np.float32]
    cos_longitude: NDArray[np.float32]
    sin_latitude: NDArray[np.float32]
    cos_latitude: NDArray[np.float32]


class Patch(NamedTuple):
    """Pixels around an object: `panorama[rows][:, columns]`; the columns continue across the seam."""

    rows: slice
    columns: NDArray[np.int64]


class Coverage(NamedTuple):
    """The share of each pixel of a patch that an object covers (0 to 1), and this share times its brightness."""

    patch: Patch
    share: NDArray[np.float32]
    light: NDArray[np.float32]


@functools.lru_cache(maxsize=16)
def pixel_grid(width: int, row_samples: int = 1, column_samples: int = 1) -> Grid:
    """Directions of the samples of a panorama of `width` × `width / 2` pixels."""
    rows, columns = width // 2 * row_samples, width * column_samples
    longitude = ((np.arange(columns) + 0.5) / columns - 0.5) * 2 * np.pi
    latitude = (0.5 - (np.arange(rows) + 0.5) / rows) * np.pi
    waves = (np.sin(longitude), np.cos(longitude), np.sin(latitude), np.cos(latitude))
    return Grid(width, rows, columns, *(wave.astype(np.float32) for wave in waves))


def direction_vector(yaw_deg: float, pitch_deg: float) -> NDArray[np.float64]:
    """Unit vector of a direction: x right, y up, z forward.

    >>> direction_vector(90.0, 0.0).round(6).tolist()
    [1.0, 0.0, 0.0]
    """
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    return np.array([math.cos(pitch) * math.sin(yaw), math.sin(pitch), math.cos(pitch) * math.cos(yaw)])


def object_frame(item: SceneObject) -> Matrix:
    """Rotation from the world to the object: its x, its axis and its z as rows, in world coordinates."""
    sight = direction_vector(item.yaw_deg, item.pitch_deg)
    up = direction_vector(item.yaw_deg, item.pitch_deg + 90)
    right = direction_vector(item.yaw_deg + 90, 0)
    tilt, roll, spin = (math.radians(angle) for angle in (item.tilt_deg, item.roll_deg, item.spin_deg))
    upright = math.cos(roll) * up + math.sin(roll) * right
    side = math.cos(roll) * right - math.sin(roll) * up
    axis = math.cos(tilt) * upright - math.sin(tilt) * sight
    front = -math.sin(tilt) * upright - math.cos(tilt) * sight
    return np.stack(
        [math.cos(spin) * side + math.sin(spin) * front, axis, math.cos(spin) * front - math.sin(spin) * side]
    )


def angular_radius_deg(item: SceneObject) -> float:
    """Half the angle that the bounding ball of an object covers, seen from the camera."""
    return math.degrees(math.asin(min(1.0, BOUNDING_RADIUS[item.shape] * item.radius / item.distance)))


def patch_around(width: int, yaw_deg: float, pitch_deg: float, radius_deg: float) -> Patch:
    """The pixels that a disc on the sphere of directions can touch."""
    height = width // 2
    top = math.floor((90 - pitch_deg - radius_deg) / 180 * height)
    bottom = math.ceil((90 - pitch_deg + radius_deg) / 180 * height)
    rows = slice(max(top, 0), min(bottom, height))
    if abs(pitch_deg) + radius_deg >= 89.9:
        return Patch(rows, np.arange(width))
    half = math.asin(math.sin(math.radians(radius_deg)) / math.cos(math.radians(pitch_deg)))
    middle, reach = (yaw_deg + 180) / 360 * width, half / (2 * math.pi) * width
    columns = np.arange(math.floor(middle - reach), math.ceil(middle + reach))
    return Patch(rows, columns[:width] % width)


def cover(item: SceneObject, width: int, samples: int = 2, light: NDArray[np.float64] | None = None) -> Coverage:
    """Cast `samples` × `samples` rays per pixel at one object.

    Args:
        item: The object.
        width: Width of the panorama in pixels.
        samples: Rays per pixel, down and across; one across near the poles, where pixels are narrow.
        light: Unit vector towards the light; None if the brightness is not needed.
    """
    across = samples if item.horizontal else 1
    grid = pixel_grid(width, samples, across)
    patch = patch_around(width, item.yaw_deg, item.pitch_deg, angular_radius_deg(item))
    rows = slice(patch.rows.start * samples, patch.rows.stop * samples)
    columns = (patch.columns[:, None] * across + np.arange(across)).ravel()
    sin_lat, cos_lat = grid.sin_latitude[rows], grid.cos_latitude[rows]
    sin_lon, cos_lon = grid.sin_longitude[columns], grid.cos_longitude[columns]

    sight = direction_vector(item.yaw_deg, item.pitch_deg)
    closeness = cos_lat[:, None] * (np.float32(sight[0]) * sin_lon + np.float32(sight[2]) * cos_lon)
    closeness += (np.float32(sight[1]) * sin_lat)[:, None]
    row, column = np.nonzero(closeness > math.cos(math.radians(angular_radius_deg(item))))
    flat = cos_lat[row]
    world = (flat * sin_lon[column], sin_lat[row], flat * cos_lon[column])

    frame = object_frame(item)
    turn = frame.astype(np.float32)
    rays = tuple(turn[axis, 0] * world[0] + turn[axis, 1] * world[1] + turn[axis, 2] * world[2] for axis in range(3))
    origin = -item.distance / item.radius * (frame @ sight)
    hit, _, normals = intersect(item.shape, (origin[0], origin[1], origin[2]), (rays[0], rays[1], rays[2]))
    share = np.zeros((len(sin_lat), len(columns)), np.float32)
    share[row[hit], column[hit]] = 1
    bright = np.zeros_like(share)
    if light is not None:
        bright[row[hit], column[hit]] = _brightness(normals, rays, frame, light)[hit]
    return Coverage(patch, _pixel_means(share, samples, across), _pixel_means(bright, samples, across))


def _brightness(
    normals: tuple[NDArray[np.float32], ...],
    rays: tuple[NDArray[np.float32], ...],
    frame: Matrix,
    light: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Lambert's law, plus light from the whole sky and from the camera, so that unlit sides still show their shape."""
    towards, up = (frame @ light).astype(np.float32), frame[:, 1].astype(np.float32)
    lit = normals[0] * towards[0] + normals[1] * towards[1] + normals[2] * towards[2]
    sky = normals[0] * up[0] + normals[1] * up[1] + normals[2] * up[2]
    facing = -(normals[0] * rays[0] + normals[1] * rays[1] + normals[2] * rays[2])
    return np.float32(0.52) + np.float32(0.06) * sky + np.float32(0.30) * np.maximum(lit, 0) + np.float32(0.24) * facing


def _pixel_means(samples: NDArray[np.float32], down: int, across: int) -> NDArray[np.float32]:
    if down == across == 1:
        return samples
    height, width = samples.shape
    return samples.reshape(height // down, down, width // across, across).mean((1, 3), dtype=np.float32)
