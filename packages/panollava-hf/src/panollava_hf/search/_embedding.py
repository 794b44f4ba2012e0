"""Vectors of a query: a panorama cut and embedded as those of the table were, at one or several headings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panollava_hf._errors import ModelError, TableError
from panollava_hf.search._alignment import SAME_DEG, align
from panollava_hf.search._query import Direction, Query, Vectors, unit, wrapped

if TYPE_CHECKING:
    from torch import Tensor

    from panollava_hf.jobs._embedder import PanoramaEmbedder
    from panollava_hf.search._table import VectorTable

#: Headings between two tiles at which a query is embedded.
HEADINGS = 2
#: Views per forward pass.
CHUNK = 32


class QueryEmbedder:
    """Embeds panoramas at any heading, with the model and the settings of a table of vectors.

    Args:
        job: The embedder that made the vectors, or one with equal settings.

    Example:
        >>> from panollava_hf.search import QueryEmbedder
        >>> from panollava_hf.jobs import PanoramaEmbedder
        >>> embedder = QueryEmbedder(PanoramaEmbedder("embedded"))
        >>> from panollava_hf.panoshapes import render_scene, sample_scene
        >>> query = embedder.embed(render_scene(sample_scene(0, "test", 0), width=256), headings=2)
        >>> query.views.shape, query.directions[:2]
        ((12, 128), ((0.0, 0.0), (90.0, 0.0)))
    """

    def __init__(self, job: "PanoramaEmbedder") -> None:
        self.job = job

    @classmethod
    def of(cls, table: "VectorTable", *, model: str | None = None, device: str | None = None) -> "QueryEmbedder":
        """The embedder of a table, made from the settings that are stored with it.

        Args:
            table: The table.
            model: Where its model is now, if not where it was.
            device: Device of the model.

        Raises:
            TableError: The settings are not stored, or the model is no longer there.
        """
        if table.settings is None:
            raise TableError(
                f"{table.path}: the model of these vectors is not known, because the manifest that 'panollava embed' "
                "wrote next to them is missing; put it back, or search with the id of a panorama of the table"
            )
        try:
            job = embedder_of(table.settings, model=model, device=device)
            _ = job.model
        except ModelError as error:
            if model is not None:
                raise
            raise TableError(f"{error}; if the model of these vectors was moved, name it with --model") from error
        return cls(job)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Yaw and pitch of the views of a panorama."""
        return tuple(self.job.model.directions.values())

    @property
    def step_deg(self) -> float | None:
        """Angle between neighbouring tiles of the ring; None without a ring."""
        headings = align(self.directions, self.directions).headings_deg
        return 360 / len(headings) if len(headings) > 1 else None

    def read(self, panorama: Any) -> "Tensor":
        """A panorama `[3, H, 2H]` uint8, decoded no finer than the views need.

        Raises:
            PanoramaError: It cannot be read.
        """
        from panollava_geometry import load_equirectangular

        reading: dict[str, Any] = dict(self.job.reading)
        return load_equirectangular(panorama, max_width=self.job.model.max_width, **reading)

    def embed(self, panorama: Any, *, headings: int = HEADINGS) -> Query:
        """The vectors of one panorama.

        Args:
            panorama: A path, URL, the bytes of a file, an image or an array, or what `read` returned.
            headings: How many times the ring is embedded, evenly turned between two tiles.

        Raises:
            PanoramaError: It cannot be read.
        """
        step = self.step_deg
        turns = [0.0] if step is None else [step * turn / headings for turn in range(headings)]
        return self.embed_at(_as_panorama(self, panorama), turns)

    def embed_at(self, panorama: "Tensor", turns_deg: Sequence[float]) -> Query:
        """The vectors of one panorama whose views are turned to the right by some angles.

        Args:
            panorama: From `read`.
            turns_deg: The angles.
        """
        cuts = [self._cut(panorama, turn) for turn in turns_deg]
        vectors, views, unlike = self._embed_and_compare(cuts)
        directions = tuple((wrapped(yaw + turn), pitch) for turn in turns_deg for yaw, pitch in self.directions)
        return Query(unit(vectors.mean(0)), views.reshape(-1, views.shape[-1]), directions, vectors, unlike[0])

    def embed_view(self, panorama: "Tensor", yaw_deg: float, pitch_deg: float) -> tuple[Query, int]:
        """The vectors of one panorama whose first tile looks in a direction, and the place of that tile in `views`.

        Args:
            panorama: From `read`.
            yaw_deg: Yaw of the direction.
            pitch_deg: Its pitch.

        Raises:
            TableError: The model cuts no tiles that look in single directions.
        """
        from panollava_geometry import ViewPlan, extract_views

        model = self.job.model
        tiles = [place for place in model.directions if hasattr(model.plan[place], "yaw_deg")]
        if not tiles:
            raise TableError("the views of this model do not look in single directions; search without a view")
        views = list(model.plan)
        views[tiles[0]] = replace(views[tiles[0]], yaw_deg=wrapped(yaw_deg), pitch_deg=float(pitch_deg))
        cut = extract_views(panorama, ViewPlan(views), model.size, antialias=model.processor.antialias)
        vectors, found, unlike = self._embed_and_compare([cut])
        place = list(model.directions).index(tiles[0])
        directions = list(self.directions)
        directions[place] = (wrapped(yaw_deg), float(pitch_deg))
        return Query(vectors[0], found[0], tuple(directions), unlike=unlike[0]), place

    def embed_cuts(self, cuts: Sequence["Tensor"]) -> tuple[Vectors, Vectors]:
        """Vectors of views that were cut: of panoramas `[N, D]`, and of the views with a direction `[N, V, D]`."""
        return self._embed_and_compare(cuts)[:2]

    def _embed_and_compare(self, cuts: Sequence["Tensor"]) -> tuple[Vectors, Vectors, list[str]]:
        """`embed_cuts`, and what the images of the training are for each panorama that is unlike them, else ""."""
        each = max(1, CHUNK // len(cuts[0]))
        parts = [self.job.model.embed_and_compare(cuts[start : start + each]) for start in range(0, len(cuts), each)]
        vectors, views = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
        unlike = [images for part in parts for images in part[2]]
        return unit(vectors), unit(views[:, list(self.job.model.directions)]), unlike

    def agreement(self, panorama: "Tensor", rows: Vectors, heading_deg: float) -> float:
        """Mean cosine of the views of a query, turned back by a heading, and those of a panorama.

        Args:
            panorama: The query, from `read`.
            rows: `[V, D]`, the views of the panorama.
            heading_deg: What the query shows at a yaw, the panorama shows at this yaw plus the heading.
        """
        _, views = self.embed_cuts([self._cut(panorama, -heading_deg)])
        in_ring = [place for place, view in enumerate(self.directions) if _in_ring(view, self.directions)]
        return float((views[0, in_ring] * rows[in_ring]).sum(-1).mean())

    def _cut(self, panorama: "Tensor", turn_deg: float) -> "Tensor":
        from panollava_geometry import ViewPlan, extract_views

        model = self.job.model
        plan = model.plan if not turn_deg else ViewPlan([turned(view, turn_deg) for view in model.plan])
        return extract_views(panorama, plan, model.size, antialias=model.processor.antialias)


def turned(view: Any, turn_deg: float) -> Any:
    """A view that looks further to the right.

    Example:
        >>> from panollava_geometry import EquirectangularView, PerspectiveView
        >>> turned(PerspectiveView(170.0, 5.0), 20.0).yaw_deg, turned(EquirectangularView(), 20.0).longitude_range_deg
        (-170.0, (-160.0, 200.0))
    """
    if hasattr(view, "yaw_deg"):
        return replace(view, yaw_deg=wrapped(view.yaw_deg + turn_deg))
    left, right = view.longitude_range_deg
    middle = wrapped((left + right) / 2 + turn_deg)
    return replace(view, longitude_range_deg=(middle - (right - left) / 2, middle + (right - left) / 2))


def embedder_of(
    settings: Mapping[str, Any], *, model: str | None = None, device: str | None = None
) -> "PanoramaEmbedder":
    """The job with these settings.

    Args:
        settings: `PanoramaEmbedder.settings()`, from a manifest.
        model: Where its model is now, if not where it was.
        device: Device of the model.

    Raises:
        TableError: They are of another job, or the model has other weights.
    """
    from panollava_hf.jobs._embedder import PanoramaEmbedder

    given = dict(settings)
    if given.pop("job", None) != "embed":
        raise TableError(
            "the vectors were not made by 'panollava embed', so a query cannot be embedded in the same way"
        )
    name, weights = given.pop("model"), given.pop("weights", None)
    if "crop_strategy" in given:
        given["strategy"] = given.pop("crop_strategy")
    job = PanoramaEmbedder(model or name, device=device, **given)
    now = job.settings()["weights"]
    if weights is not None and now is not None and now != weights:
        raise TableError(
            f"the model {job.name} has other weights than the one that made these vectors; vectors of different models "
            "cannot be compared: embed the panoramas again, or name the old model"
        )
    return job


def _as_panorama(embedder: QueryEmbedder, panorama: Any) -> "Tensor":
    import torch

    if isinstance(panorama, torch.Tensor):
        return panorama
    return embedder.read(str(panorama) if isinstance(panorama, Path) else panorama)


def _in_ring(view: Direction, views: Sequence[Direction]) -> bool:
    return sum(abs(view[1] - pitch) < SAME_DEG for _, pitch in views) > 1
