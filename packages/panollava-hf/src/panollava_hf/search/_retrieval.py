"""How well a search finds the same place again: Recall@k under random yaw, tilt, roll, noise and brightness."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from panollava_hf._errors import EvaluationError, PanoLLaVaError, one_line
from panollava_hf._shown import counted
from panollava_hf.search._baselines import BASELINES, baseline_queries, check_baselines, recall_ranks
from panollava_hf.search._distortion import Distortion, Drawn
from panollava_hf.search._embedding import HEADINGS, QueryEmbedder
from panollava_hf.search._query import Query, wrapped
from panollava_hf.search._retrieval_results import Recall, RetrievalResults
from panollava_hf.search._scoring import Centre, score

#: Panoramas whose similarity with their own rotation is measured.
SELF = 16
Progress = Callable[[str, int, int], None]


def evaluate_retrieval(
    embedder: QueryEmbedder,
    panoramas: Sequence[Any],
    *,
    queries: int = 512,
    distortion: Distortion | None = None,
    seed: int = 0,
    headings: int = HEADINGS,
    baselines: bool = False,
    self_similarity: int = SELF,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> RetrievalResults:
    """Look for panoramas after they were turned, tilted or changed, among all of them.

    Query i is panorama i modulo their number, with a distortion drawn from the seed and i alone: a longer run begins
    with the queries of a shorter one.

    Args:
        embedder: The model.
        panoramas: Paths, URLs, bytes or images; one per place.
        queries: Number of queries.
        distortion: How they differ from the panoramas; default: a random yaw.
        seed: Seed of all random numbers.
        headings: How many times the ring of a query is embedded, evenly turned between two tiles.
        baselines: Also compute `BASELINES`.
        self_similarity: Number of panoramas whose similarity with their own rotation is measured; 0 for none.
        names: Names of the panoramas in the results; default: their paths, or numbers.
        progress: Called with the step, and how many of how many are done.

    Raises:
        EvaluationError: Fewer than two panoramas can be read, or an argument is impossible.

    Warns:
        PanoramaWarning: Panoramas are unlike those that the model was trained on, as its config has it.
    """
    started = time.perf_counter()
    changes = distortion or Distortion()
    if queries < 1 or headings < 1 or self_similarity < 0:
        raise EvaluationError(f"queries {queries}, headings {headings}: expected numbers of 1 or more")
    if baselines:
        check_baselines(embedder)
    labels = list(names) if names is not None else [_name(panoramas[i], i) for i in range(len(panoramas))]
    report = progress or (lambda step, done, total: None)
    database, failed = _database(embedder, panoramas, labels, baselines, report)
    if len(database) < 2:
        first = next(iter(failed.values()), "")
        raise EvaluationError(
            f"{len(database)} panoramas can be read, expected at least 2 {f'({first})' if first else ''}"
        )
    places = [entry.place for entry in database]
    compared = _Compared(database)
    asked: dict[int, _Entry] = {}
    answers: dict[int, tuple[dict[str, Any], int]] = {}
    for n, place in enumerate(places[:queries]):  # the queries of one panorama together: it is read once
        panorama = embedder.read(panoramas[place])
        for number in range(n, queries, len(places)):
            drawn = changes.draw(np.random.default_rng([seed, number]))
            image = drawn.apply(panorama)
            query = embedder.embed(image, headings=headings)
            answers[number] = compared.ask(query, n, drawn, [labels[place] for place in places])
            asked[number] = _Entry(n, query, *(baseline_queries(embedder, image) if baselines else (None, None)))
            report("queries", len(answers), queries)
    records, ranks = (
        [answers[number][0] for number in range(queries)],
        [answers[number][1] for number in range(queries)],
    )
    recalls = [
        Recall.of("search", ranks),
        *_plain_recalls([asked[number] for number in range(queries)], database, baselines),
    ]
    found = _self_similarity(embedder, panoramas, database, seed, self_similarity, report)
    settings = {
        "model": embedder.job.settings(),
        "queries": queries,
        "headings": headings,
        "seed": seed,
        "distortion": changes.to_dict(),
        "baselines": dict(BASELINES) if baselines else {},
    }
    errors = [one["heading_error_deg"] for one in records if one["rank"] == 1 and one["heading_error_deg"] is not None]
    heading = None
    if errors:
        heading = {"median": float(np.median(errors)), "p90": float(np.quantile(errors, 0.9))}
    seconds = round(time.perf_counter() - started, 3)
    return RetrievalResults(settings, len(database), records, recalls, found, heading, failed, seconds)


@dataclass(frozen=True)
class _Entry:
    place: int
    query: Query
    whole: Query | None = None
    py360convert: Query | None = None


class _Compared:
    """The database as `score` takes it."""

    def __init__(self, database: Sequence[_Entry]) -> None:
        self.vectors = np.stack([entry.query.vector for entry in database])
        self.views = np.stack([entry.query.views for entry in database])
        self.directions = database[0].query.directions
        flat = self.views.reshape(-1, self.views.shape[-1])
        self.centre = Centre.of(self.vectors, flat, len(database))

    def ask(self, query: Query, truth: int, drawn: Drawn, labels: Sequence[str]) -> tuple[dict[str, Any], int]:
        """The record of a query, and the rank of the right panorama from 0."""
        found = score(query, self.vectors, self.views, self.directions, self.centre)
        rank = int((found.scores > found.scores[truth]).sum())
        heading = found.headings_deg[truth]
        known = not math.isnan(heading)
        record = {
            "panorama": labels[truth],
            **{name: value for name, value in asdict(drawn).items() if name != "seed"},
            "rank": rank + 1,
            "first": labels[int(found.scores.argmax())],
            "score": round(float(found.scores[truth]), 6),
            "heading_deg": round(float(heading), 3) if known else None,
            "heading_error_deg": round(abs(wrapped(heading - drawn.yaw_deg)), 3) if known else None,
        }
        return record, rank


def _database(
    embedder: QueryEmbedder, panoramas: Sequence[Any], labels: Sequence[str], baselines: bool, report: Progress
) -> tuple[list[_Entry], dict[str, str]]:
    from panollava_geometry import PanoramaError, PanoramaWarning

    from panollava_hf.asking._unknown import unlike_vectors

    entries, failed = [], {}
    for place in range(len(panoramas)):
        try:
            image = embedder.read(panoramas[place])
        except (PanoramaError, PanoLLaVaError, OSError, ValueError) as error:
            failed[labels[place]] = one_line(error)
        else:
            more = baseline_queries(embedder, image) if baselines else (None, None)
            entries.append(_Entry(place, embedder.embed(image, headings=1), *more))
        report("panoramas", place + 1, len(panoramas))
    unlike = [entry.query.unlike for entry in entries if entry.query.unlike]
    if unlike:
        text = f"{len(unlike):,} of {counted(len(entries), 'panorama')}: {unlike_vectors(unlike[0])}"
        warnings.warn(PanoramaWarning(text), stacklevel=3)
    return entries, failed


def _plain_recalls(asked: Sequence[_Entry], database: Sequence[_Entry], baselines: bool) -> list[Recall]:
    truth = [entry.place for entry in asked]
    plain = recall_ranks([entry.query for entry in asked], [entry.query for entry in database], truth)
    recalls = [Recall.of("the panoramas' vectors alone, cosine", plain)]
    for name in BASELINES if baselines else ():
        queries, rows = ([getattr(entry, name) for entry in entries] for entries in (asked, database))
        recalls.append(Recall.of(BASELINES[name], recall_ranks(queries, rows, truth)))
    return recalls


def _self_similarity(
    embedder: QueryEmbedder,
    panoramas: Sequence[Any],
    database: Sequence[_Entry],
    seed: int,
    most: int,
    report: Progress,
) -> dict[str, float] | None:
    """Similarity of panoramas with their own rotations, at the heading of the rotation.

    All pixels of a file are rotated, by a random whole number of columns, before they are reduced to what the views
    need: a rotation that reads between pixels blurs, and the blur would be measured, not the heading.
    """
    import torch
    from panollava_geometry import load_equirectangular, rotate_equirectangular

    if embedder.step_deg is None or not most:
        return None
    values: list[float] = []
    reading: dict[str, Any] = dict(embedder.job.reading)
    for number, entry in enumerate(database[:most]):
        source = panoramas[entry.place]
        source = str(source) if isinstance(source, Path) else source
        whole = source if isinstance(source, torch.Tensor) else load_equirectangular(source, **reading)
        columns = int(np.random.default_rng([seed, number, 1]).integers(whole.shape[-1]))
        yaw = wrapped(columns / whole.shape[-1] * 360)
        turned = rotate_equirectangular(whole, yaw).permute(1, 2, 0).contiguous().numpy()
        reduced = load_equirectangular(turned, max_width=embedder.job.model.max_width)
        values.append(embedder.agreement(reduced, entry.query.views, yaw))
        report("rotations", number + 1, min(most, len(database)))
    return {"mean": float(np.mean(values)), "minimum": float(np.min(values)), "panoramas": float(len(values))}


def _name(panorama: Any, place: int) -> str:
    return str(panorama) if isinstance(panorama, str | Path) else str(place)
