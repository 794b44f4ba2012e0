"""Regions of the sphere that planes bound: clipping, area, and the area that two of them share.

A half-space is a row (a, b, c, d): it holds the unit rays r with (a, b, c) · r >= d. With d = 0 its border is a great
circle, else a small circle.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

#: Rays this far outside of a plane still count as inside: rounding of the planes themselves.
TOLERANCE = 1e-14
#: Circles of latitude over which the shared area of regions with small circles is summed.
_CIRCLES = 4096


def clip_polygon(corners: Float[ndarray, "corners 3"], planes: Float[ndarray, "planes 4"]) -> Float[ndarray, "rest 3"]:
    """The part of a convex spherical polygon inside of all planes, which go through the centre (d = 0).

    Args:
        corners: Unit rays in order; no two neighbours are opposite to each other.
        planes: Half-spaces.

    Returns:
        The corners of the part in the same order; none if nothing is left.
    """
    for plane in planes[:, :3]:
        height = corners @ plane
        inside = height >= -TOLERANCE
        kept = []
        for here in range(len(corners)):
            there = (here + 1) % len(corners)
            if inside[here]:
                kept.append(corners[here])
            if inside[here] != inside[there]:
                crossing = corners[here] * abs(height[there]) + corners[there] * abs(height[here])
                length = np.linalg.norm(crossing)
                if length > 0:
                    kept.append(crossing / length)
        corners = np.array(kept).reshape(-1, 3)
    return corners


def polygon_area(corners: Float[ndarray, "corners 3"]) -> float:
    """Solid angle of a convex spherical polygon in steradians.

    The sum over triangles, each after van Oosterom and Strackee 1983 (https://doi.org/10.1109/TBME.1983.325207). The
    determinant is that of differences, so that small polygons stay exact.
    """
    if len(corners) < 3:
        return 0.0
    centre = corners.sum(axis=0)
    length = np.linalg.norm(centre)
    if length < 1e-9:  # all corners on one great circle, evenly: a hemisphere
        return 2 * np.pi
    centre = centre / length
    following = np.roll(corners, -1, axis=0)
    determinant = np.cross(corners - centre, following - centre) @ centre
    cosines = corners @ centre + following @ centre + (corners * following).sum(axis=-1)
    return float(abs(2 * np.arctan2(determinant, 1 + cosines).sum()))


def shared_area(planes: Float[ndarray, "planes 4"], low: float = -1.0, high: float = 1.0) -> float:
    """Solid angle of what lies inside of all half-spaces, in steradians; small circles are allowed.

    On a circle of latitude each half-space leaves out one arc. The length of what the arcs leave is exact, its sum over
    the circles is a midpoint rule.

    Args:
        planes: Half-spaces.
        low: The lowest y that counts.
        high: The highest y that counts.
    """
    if low >= high:
        return 0.0
    height = low + (np.arange(_CIRCLES) + 0.5) * ((high - low) / _CIRCLES)
    a, b, c, d = planes.T[:, :, None]
    reach = np.hypot(a, c) * np.sqrt(1 - height**2)
    level = b * height - d
    # inside where reach · cos(longitude - middle) + level >= 0
    left_out = np.arccos(np.clip(level / np.maximum(reach, 1e-300), -1, 1))  # half of the arc around the far side
    far = np.arctan2(a, c) + np.pi
    start = (far - left_out) % (2 * np.pi)
    end = start + 2 * left_out
    starts = np.concatenate([start, np.zeros_like(start)])
    ends = np.concatenate([np.minimum(end, 2 * np.pi), np.maximum(end - 2 * np.pi, 0)])
    order = np.argsort(starts, axis=0)
    starts, ends = np.take_along_axis(starts, order, axis=0), np.take_along_axis(ends, order, axis=0)
    covered = np.maximum.accumulate(np.concatenate([np.zeros((1, _CIRCLES)), ends[:-1]]), axis=0)
    left = 2 * np.pi - np.maximum(ends - np.maximum(starts, covered), 0).sum(axis=0)
    return float(np.maximum(left, 0).sum() * ((high - low) / _CIRCLES))
