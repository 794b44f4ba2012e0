"""How much of the sphere a set of views sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from panollava_geometry._views._views import View


@dataclass(frozen=True)
class Coverage:
    """How much of the sphere a plan sees.

    Args:
        times: Share of the sphere that is seen by exactly 0, 1, 2, … views. The shares add up to 1.
    """

    times: tuple[float, ...]

    @property
    def seen(self) -> float:
        """Share of the sphere that is seen by at least one view."""
        return 1.0 - self.times[0]

    @property
    def mean(self) -> float:
        """Mean number of views that see a direction."""
        return sum(count * share for count, share in enumerate(self.times))


def coverage(views: Sequence[View], num_directions: int = 100_000) -> Coverage:
    """Measure the coverage of some views on a Fibonacci lattice of directions. The error is about 1e-3."""
    index = np.arange(num_directions)
    y = 1 - (2 * index + 1) / num_directions
    angle = index * (np.pi * (3 - math.sqrt(5)))
    radius = np.sqrt(1 - y**2)
    rays = np.stack([radius * np.sin(angle), y, radius * np.cos(angle)], axis=-1)
    count = sum(view.rays_to_pixels(rays, (1, 1))[1].astype(np.int64) for view in views)
    return Coverage(tuple((np.bincount(count) / num_directions).tolist()))
