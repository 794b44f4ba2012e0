"""Large arrays that a thread uses again, because the pages of fresh memory cost as much time as the work in them."""

import math
import threading

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

#: The largest array in bytes that a thread keeps; it keeps one of each name.
_MOST_KEPT = 32 * 2**20
_kept = threading.local()


def workspace(name: str, shape: tuple[int, ...]) -> UInt8[ndarray, "..."]:
    """An uninitialised array that is valid until this thread asks for the same name again."""
    count = math.prod(shape)
    if count > _MOST_KEPT:
        return np.empty(shape, np.uint8)
    array: ndarray | None = _kept.__dict__.get(name)
    if array is None or array.size < count:
        array = _kept.__dict__[name] = np.empty(count, np.uint8)
    return array[:count].reshape(shape)
