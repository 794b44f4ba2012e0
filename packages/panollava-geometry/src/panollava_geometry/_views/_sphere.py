"""Directions, angles and rotations in float64 numpy. This module defines the axes and signs of the whole package.

Unit rays have x to the right, y up and z forward. Longitude (yaw) 0 is forward and increases to the right. Latitude
(pitch) increases upwards. A camera is rotated by roll (clockwise, as seen by the camera), then pitch, then yaw.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

#: An angle in degrees. `int` is listed because beartype, which checks types in the tests, does not take it as `float`.
Degrees = float | int


def rotation_matrix(yaw_deg: Degrees, pitch_deg: Degrees = 0.0, roll_deg: Degrees = 0.0) -> Float[ndarray, "3 3"]:
    """Compute the camera-to-world rotation `R_yaw · R_pitch · R_roll`.

    A camera ray `r` (a column vector) points to `R @ r` in the world.

    Args:
        yaw_deg: Rotation to the right, in degrees.
        pitch_deg: Rotation upwards, in degrees.
        roll_deg: Clockwise rotation as seen by the camera, in degrees.

    Returns:
        A float64 matrix. Its columns are the camera's right, up and forward axes in the world.

    Example:
        >>> from panollava_geometry import rotation_matrix
        >>> rotation_matrix(90.0)[:, 2].round(6).tolist()
        [1.0, 0.0, 0.0]
    """
    cos_yaw, cos_pitch, cos_roll = np.cos(np.deg2rad([yaw_deg, pitch_deg, roll_deg]))
    sin_yaw, sin_pitch, sin_roll = np.sin(np.deg2rad([yaw_deg, pitch_deg, roll_deg]))
    yaw = np.array([[cos_yaw, 0, sin_yaw], [0, 1, 0], [-sin_yaw, 0, cos_yaw]])
    pitch = np.array([[1, 0, 0], [0, cos_pitch, sin_pitch], [0, -sin_pitch, cos_pitch]])
    roll = np.array([[cos_roll, sin_roll, 0], [-sin_roll, cos_roll, 0], [0, 0, 1]])
    return np.asarray(yaw @ pitch @ roll)


def rotation_angles(rotation: Float[ndarray, "3 3"]) -> tuple[float, float, float]:
    """Yaw, pitch and roll of a rotation matrix, in degrees. Inverse of `rotation_matrix`.

    At a pitch of ±90°, yaw and roll turn around the same axis; the roll is then the one for the yaw of `arctan2(0, 0)`.
    """
    x, y, z = rotation[:, 2]
    yaw, pitch = np.rad2deg([np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))])
    rest = rotation_matrix(float(yaw), float(pitch)).T @ rotation
    return float(yaw), float(pitch), float(np.rad2deg(np.arctan2(rest[0, 1], rest[0, 0])))


def angles_to_rays(longitude: Float[ndarray, "*grid"], latitude: Float[ndarray, "*grid"]) -> Float[ndarray, "*grid 3"]:
    """Convert longitudes and latitudes in radians to unit rays."""
    cos_latitude = np.cos(latitude)
    return np.stack([np.sin(longitude) * cos_latitude, np.sin(latitude), np.cos(longitude) * cos_latitude], axis=-1)


def rays_to_angles(rays: Float[ndarray, "*grid 3"]) -> tuple[Float[ndarray, "*grid"], Float[ndarray, "*grid"]]:
    """Convert rays of any length to longitude in (-π, π] and latitude in [-π/2, π/2], in radians."""
    x, y, z = np.moveaxis(rays, -1, 0)
    return np.asarray(np.arctan2(x, z)), np.asarray(np.arctan2(y, np.hypot(x, z)))


def rays_to_equirect(rays: Float[ndarray, "*grid 3"], size: tuple[int, int]) -> Float[ndarray, "*grid 2"]:
    """Convert rays to continuous pixel coordinates (x, y) of a full panorama of `size` (height, width).

    The centre of pixel (row r, column c) is at (c + ½, r + ½).
    """
    height, width = size
    longitude, latitude = rays_to_angles(rays)
    return np.stack([(longitude / (2 * np.pi) + 0.5) * width, (0.5 - latitude / np.pi) * height], axis=-1)


def equirect_to_rays(xy: Float[ndarray, "*grid 2"], size: tuple[int, int]) -> Float[ndarray, "*grid 3"]:
    """Convert continuous pixel coordinates (x, y) of a full panorama to unit rays. Inverse of `rays_to_equirect`."""
    height, width = size
    longitude, latitude = (xy[..., 0] / width - 0.5) * (2 * np.pi), (0.5 - xy[..., 1] / height) * np.pi
    return angles_to_rays(np.asarray(longitude), np.asarray(latitude))


def rotated_rays(
    rotation: Float[ndarray, "3 3"],
    size: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    dtype: type[np.floating[Any]] = np.float64,
) -> tuple[Float[ndarray, "rows columns"], Float[ndarray, "rows columns"], Float[ndarray, "rows columns"]]:
    """Rotated unit rays of pixel centres of a full panorama, as three arrays: x, y and z.

    The ray of a pixel is a product of functions of its row and of its column, so no angle is computed per pixel.

    Args:
        rotation: The matrix that the rays are multiplied by.
        size: Height and width of the panorama.
        rows: First row, and the row after the last one.
        columns: First column, and the column after the last one. They may exceed the panorama.
        dtype: Of the result.
    """
    latitude = (0.5 - (np.arange(*rows) + 0.5) / size[0]) * np.pi
    longitude = ((np.arange(*columns) + 0.5) / size[1] - 0.5) * (2 * np.pi)
    across = (rotation[:, :1] * np.sin(longitude) + rotation[:, 2:] * np.cos(longitude)).astype(dtype)
    down = np.cos(latitude)[:, None].astype(dtype)
    x, y, z = (across[axis] * down + (rotation[axis, 1] * np.sin(latitude))[:, None].astype(dtype) for axis in range(3))
    return x, y, z
