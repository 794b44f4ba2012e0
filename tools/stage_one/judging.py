"""How well the vectors find a panorama again."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True)
class Found:
    """Means over queries.

    Attributes:
        first: Share of queries whose most similar original is the right one.
        area: Share of pairs of a query and another panorama in which the right one is more similar (area under the ROC
            curve of each query, averaged).
        margin: Similarity with the right original minus the largest with another one, in standard deviations of the
            similarities between different originals. It keeps rising when every query is found.
    """

    first: float
    area: float
    margin: float


def judge(gallery: Tensor, queries: Tensor, truth: Tensor, *, centred: bool) -> Found:
    """Compare unit vectors of queries `[Q, D]` with those of the originals `[P, D]`; `truth` `[Q]` are the right ones.

    With `centred`, the mean of the originals is subtracted first, as `panollava search` does.
    """
    if centred:
        centre = gallery.mean(0)
        gallery, queries = normalize(gallery - centre, dim=-1), normalize(queries - centre, dim=-1)
    places = len(gallery)
    between = (gallery @ gallery.T)[~torch.eye(places, dtype=torch.bool)]
    similar = queries @ gallery.T
    right = similar.gather(1, truth[:, None])
    others = similar.masked_fill(torch.nn.functional.one_hot(truth, places).bool(), -torch.inf)
    below = ((others < right).float() + 0.5 * (others == right)).sum(1) - 1  # the right one itself counts as below
    best = others.amax(1)
    return Found(
        first=float((right[:, 0] > best).float().mean()),
        area=float((below / (places - 1)).mean()),
        margin=float(((right[:, 0] - best) / between.std()).mean()),
    )
