"""What people do instead: the whole panorama resized, and views that py360convert cuts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from panollava_hf._errors import EvaluationError, boundary
from panollava_hf.search._embedding import QueryEmbedder
from panollava_hf.search._query import Query, unit

if TYPE_CHECKING:
    from torch import Tensor

#: Names of the baselines, and what they do.
BASELINES = {
    "whole": "the whole panorama resized to one view, the same model and pooling, cosine",
    "py360convert": "views in the same directions cut by py360convert, the same model and pooling, cosine of the mean",
}


def check_baselines(embedder: QueryEmbedder) -> None:
    """Check that the baselines can be computed.

    Raises:
        EvaluationError: py360convert is not installed, or the model cuts no perspective views.
    """
    with boundary(EvaluationError, "the baselines need the package py360convert", "pip install py360convert"):
        import py360convert  # noqa: F401
    if not _tiles(embedder):
        raise EvaluationError("the baselines need a model with perspective views, such as strategy anyres_e2p")


def baseline_queries(embedder: QueryEmbedder, panorama: "Tensor") -> tuple[Query, Query]:
    """The vector of the whole panorama, resized to one view, and the mean vector of tiles cut by py360convert."""
    import torch
    from panollava_geometry import EquirectangularView, ViewPlan, extract_views
    from py360convert import e2p

    model, tiles = embedder.job.model, _tiles(embedder)
    resized = extract_views(panorama, ViewPlan([EquirectangularView()]), model.size, antialias=True)[0]
    pixels = panorama.permute(1, 2, 0).contiguous().numpy()
    cuts = [resized] * len(model.plan)  # models take as many views as their plan has
    for place, view in tiles.items():
        cut = e2p(pixels, (view.hfov_deg, view.vfov_deg), view.yaw_deg, view.pitch_deg, model.size)
        cuts[place] = torch.from_numpy(cut).permute(2, 0, 1)
    others = [place for place in range(len(cuts)) if place not in tiles]
    views = unit(model.embed([torch.stack(cuts)])[1][0])
    whole = views[others[0]] if others else unit(model.embed([resized.expand(len(cuts), -1, -1, -1)])[1][0, 0])
    places = list(tiles)
    directions = tuple((float(view.yaw_deg), float(view.pitch_deg)) for view in tiles.values())
    return Query(whole, whole[None], ((0.0, 0.0),)), Query(unit(views[places].mean(0)), views[places], directions)


def recall_ranks(queries: Sequence[Query], database: Sequence[Query], truth: Sequence[int]) -> list[int]:
    """The place of the right panorama among all, by cosine, counted from 0."""
    cosines = np.stack([q.vector for q in queries]) @ np.stack([d.vector for d in database]).T
    right = cosines[np.arange(len(queries)), truth]
    return [int(n) for n in (cosines > right[:, None]).sum(1)]


def _tiles(embedder: QueryEmbedder) -> dict[int, Any]:
    return {place: view for place, view in enumerate(embedder.job.model.plan) if hasattr(view, "hfov_deg")}
