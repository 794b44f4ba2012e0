"""Labels of overlapping views, joined by a vote: the label with the largest total weight wins."""

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._projections._pasting import Places, find_places, nearest_indices
from panollava_geometry._sampling._nearest import as_integers, retyped

_CHUNK = 2**20  # panorama pixels at a time, to limit the memory


def paste_votes(
    views: Shaped[Tensor, "batch views channels height width"], plan: ViewPlan, height: int
) -> tuple[Shaped[Tensor, "batch channels erp_height erp_width"], Float[Tensor, "erp_height erp_width"]]:
    """Paste label maps of views onto the panorama.

    Every view that sees a panorama pixel votes for its label there, with the weight that `paste_views` would give it.
    Of labels with the same weight, the smallest wins. Where no view sees the panorama, the result is 0.
    The second result is the number of views that see each pixel.

    Args:
        views: Labels of any dtype.
        plan: The views.
        height: Height of the panorama in pixels.
    """
    size = (views.shape[-2], views.shape[-1])
    places = [find_places(view, size, height) for view in plan]
    indices = [nearest_indices(view, size, place.grid) for view, place in zip(plan, places, strict=True)]
    labels = as_integers(views).flatten(-2).cpu()
    pasted = torch.zeros(len(views), views.shape[2], 2 * height**2, dtype=labels.dtype)
    for item in range(len(views)):
        for channel in range(views.shape[2]):
            seen = [labels[item, number, channel].numpy()[index] for number, index in enumerate(indices)]
            for first in range(0, 2 * height**2, _CHUNK):
                pixel, winner = _winners(places, seen, first)
                pasted[item, channel, torch.from_numpy(pixel)] = torch.from_numpy(winner)
    counts = np.zeros(2 * height**2, np.float32)
    for place in places:
        counts[place.pixel] += 1
    seen_by = torch.from_numpy(counts.reshape(height, 2 * height)).to(views.device)
    return retyped(pasted.to(views.device), views).reshape(*pasted.shape[:2], height, 2 * height), seen_by


def _winners(places: list[Places], seen: list[ndarray], first: int) -> tuple[ndarray, ndarray]:
    """The pixels of one chunk that are seen, and their labels."""
    pixels, labels, weights = [], [], []
    for place, values in zip(places, seen, strict=True):
        low, high = np.searchsorted(place.pixel, [first, first + _CHUNK])
        pixels.append(place.pixel[low:high])
        labels.append(values[low:high])
        weights.append(place.weight[low:high])
    names, label = np.unique(np.concatenate(labels), return_inverse=True)
    ballots, ballot = np.unique(np.concatenate(pixels) * len(names) + label, return_inverse=True)
    total = np.bincount(ballot, np.concatenate(weights), len(ballots))
    pixel, label = np.divmod(ballots, max(len(names), 1))
    order = np.lexsort((-label, total, pixel))  # the last of each pixel wins
    last = order[np.append(pixel[order][1:] != pixel[order][:-1], True)] if len(order) else order
    return pixel[last], names[label[last]]
