"""What a search compares: the vectors of a panorama, and of its views with their directions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
#: Yaw and pitch of a view in degrees.
Direction = tuple[float, float]


@dataclass(frozen=True)
class Query:
    """The vectors of one panorama, of unit length.

    Attributes:
        vector: `[D]`, the vector of the whole panorama.
        views: `[V, D]`, those of its views.
        directions: Yaw and pitch of each view. A query may have more views than the panoramas of a table: the same ring
            at several headings, so that one of them is near the heading of the right panorama.
        turns: `[T, D]`, the vectors of the whole panorama at each of T such headings, whose views follow each other in
            `views`; None if there is one, `vector`.
        unlike: What the images are that the model was trained on, if its config says so and this one is unlike them:
            then the vectors say little. Else empty.
    """

    vector: Vectors
    views: Vectors
    directions: tuple[Direction, ...]
    turns: Vectors | None = None
    unlike: str = ""

    @property
    def wholes(self) -> Vectors:
        """The vectors of the whole panorama, `[T, D]`."""
        return self.vector[None] if self.turns is None else self.turns


def unit(vectors: Any) -> Vectors:
    """Vectors of unit length along the last axis; a vector of zeros stays as it is.

    Example:
        >>> unit([[3.0, 4.0], [0.0, 0.0]]).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    array: Vectors = np.asarray(vectors, np.float32)
    length: Vectors = np.linalg.norm(array, axis=-1, keepdims=True)
    scaled: Vectors = np.divide(array, length, out=np.zeros_like(array), where=length > 0)
    return scaled


def wrapped(yaw_deg: float) -> float:
    """A yaw in (-180, 180], free of rounding errors below a millionth of a degree.

    Example:
        >>> wrapped(270.0), wrapped(-180.0), wrapped(-60.0000000001)
        (-90.0, 180.0, -60.0)
    """
    yaw = round(180 - (180 - yaw_deg) % 360, 6)
    return 180.0 if yaw == -180 else yaw + 0.0
