"""Regions of the sphere that planes bound: clipping, area, and the area that two of them share.

A half-space is a row (a, b, c, d): it holds the unit rays r with (a, b, c) · r >= d. With d = 0 its border is a great
circle, else a small circle.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

#: Rays this far outside of a plane still count as inside: rounding of the planes themselves.
TOLERANCE = 1e-14


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

    On a circle of latitude each half-space leaves out one arc. The length of what the arcs leave is exact. It is a
    smooth function of the height between the heights at which an arc begins or ends or two borders cross. The integral
    over each of these pieces by the double exponential rule (Takahasi and Mori 1974,
    https://doi.org/10.2977/prims/1195192451) is exact up to rounding.

    Args:
        planes: Half-spaces.
        low: The lowest y that counts.
        high: The highest y that counts.
    """
    if low >= high:
        return 0.0
    ends = np.unique(np.clip(np.concatenate([[low, high], _turning_heights(planes)]), low, high))
    lengths = np.diff(ends)
    ends, lengths = ends[:-1][lengths > 0], lengths[lengths > 0]
    # Heights near ±1 are places between the ends, not sums: 1 - height stays exact to the last digit.
    height = (ends[:, None] + lengths[:, None] * _PLACES).ravel()
    weight = (lengths[:, None] * _WEIGHTS).ravel()
    return float(_free_length(planes, height) @ weight)


def _double_exponential() -> tuple[Float[ndarray, " places"], Float[ndarray, " places"]]:
    """Places and weights of the double exponential rule on [0, 1]."""
    step = 1 / 12
    t = np.arange(-41, 42) * step
    s = np.pi * np.sinh(t)
    places = 1 / (1 + np.exp(-s))
    weights = step * np.pi * np.cosh(t) * places * (1 - places)
    return places, weights / weights.sum()


_PLACES, _WEIGHTS = _double_exponential()


def _turning_heights(planes: Float[ndarray, "planes 4"]) -> Float[ndarray, " heights"]:
    """The heights at which the arcs that planes leave out on circles of latitude begin, end, or meet each other."""
    lengths = np.linalg.norm(planes[:, :3], axis=1)
    planes = planes[lengths > 0] / np.maximum(lengths[lengths > 0], 1e-300)[:, None]
    planes = planes[np.abs(planes[:, 3]) <= 1]  # the others have no border on the sphere
    normal, distance = planes[:, :3], planes[:, 3]
    # The highest and the lowest point of each border.
    middle, radius = distance * normal[:, 1], np.sqrt(1 - distance**2) * np.hypot(normal[:, 0], normal[:, 2])
    heights = [middle - radius, middle + radius]
    # The two points in which two borders meet: on the line of both planes, at distance 1 from the centre.
    first, second = np.triu_indices(len(planes), 1)
    along = np.cross(normal[first], normal[second])
    square = (along**2).sum(axis=1)
    crossing = square > 1e-24
    first, second, along, square = first[crossing], second[crossing], along[crossing], square[crossing]
    cosine = (normal[first] * normal[second]).sum(axis=1)
    by_first = (distance[first] - cosine * distance[second]) / square
    by_second = (distance[second] - cosine * distance[first]) / square
    base = by_first[:, None] * normal[first] + by_second[:, None] * normal[second]
    rest = (1 - (base**2).sum(axis=1)) / square
    meet = rest >= 0
    reach = np.sqrt(rest[meet]) * along[meet, 1]
    return np.concatenate([*heights, base[meet, 1] - reach, base[meet, 1] + reach])


def _free_length(planes: Float[ndarray, "planes 4"], height: Float[ndarray, " heights"]) -> Float[ndarray, " heights"]:
    """The angle that all half-spaces leave of the circle of latitude at each height."""
    a, b, c, d = planes.T[:, :, None]
    reach = np.hypot(a, c) * np.sqrt(np.maximum((1 - height) * (1 + height), 0))
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
    covered = np.maximum.accumulate(np.concatenate([np.zeros((1, len(height))), ends[:-1]]), axis=0)
    left = 2 * np.pi - np.maximum(ends - np.maximum(starts, covered), 0).sum(axis=0)
    return np.asarray(np.maximum(left, 0))
