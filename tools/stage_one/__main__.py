"""Does stage 1 help to find a place again under yaw and tilt?

    python -m tools.stage_one --tower TOWER --panoramas FOLDER OUT [--arms mlp-spherical …] [--seeds 3]

The vision tower is frozen, so its features of all views are made once and kept in OUT; resampler and VICReg projector
are trained on them with the library's model, pairs and loss, in three folds by panorama: trained on the rotations of
two thirds, judged on queries of the rest, among the originals of all. Finished runs are kept in OUT/runs.jsonl, so the
command can be stopped and repeated, and another call adds arms.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from transformers import AutoConfig, PretrainedConfig

from tools.stage_one.changes import CHANGES
from tools.stage_one.features import Features, encode, find_panoramas
from tools.stage_one.judging import judge
from tools.stage_one.training import new_model, tower_alone, train, vectors

#: Width of latents and of the layers before them, as in the recipe `panoshapes`; the steps are cheap.
NARROW: dict[str, Any] = {"latent_dimension": 128, "resampler_config": {"hidden_dim": 128}}
NARROW_MAMBA = {**NARROW, "resampler_config": {"hidden_dim": 128, "num_layers": 1, "d_state": 16}}
NARROW_QFORMER = {**NARROW, "resampler_config": {"hidden_dim": 128, "num_layers": 1}, "num_latent_tokens": 64}
COLUMNS = {"vicreg_pairs": "columns"}
#: Arm → settings of the config.
ARMS: dict[str, dict[str, Any]] = {
    "mlp, spherical": {"resampler_type": "mlp", **NARROW},
    "mlp, columns": {"resampler_type": "mlp", **NARROW, **COLUMNS},
    "mlp, spherical, batchwise": {"resampler_type": "mlp", **NARROW, "vicreg_mode": "batchwise"},
    "qformer, columns": {"resampler_type": "qformer", **NARROW_QFORMER, **COLUMNS},
    "bimamba, spherical": {"resampler_type": "bimamba", **NARROW_MAMBA},
    "bimamba, columns": {"resampler_type": "bimamba", **NARROW_MAMBA, **COLUMNS},
    "mlp of 384, spherical": {"resampler_type": "mlp", "latent_dimension": 384},
}
#: Pooling of the arms without training.
TOWER_ARMS = {"tower, mean": "mean", "tower, cls+mean": "cls+mean"}
FOLDS = 3


def judged(extractor: Any, features: Features, held_out: list[int]) -> dict[str, dict[str, float]]:
    """Kind of query → measures, of the queries of the panoramas that were held out."""
    gallery = vectors(extractor.eval(), features.originals)
    found = {}
    for name, queries in features.queries.items():
        asked = vectors(extractor, queries[held_out])
        truth = torch.tensor(held_out).repeat_interleave(queries.shape[1])
        plain, centred = (judge(gallery, asked, truth, centred=centred) for centred in (False, True))
        found[name] = {**asdict(plain), **{f"centred_{key}": value for key, value in asdict(centred).items()}}
    return found


def run(
    arm: str, tower: PretrainedConfig, features: Features, fold: int, seed: int, steps: list[int]
) -> Iterator[dict[str, Any]]:
    """One run: a record at each checkpoint."""
    places = range(len(features.names))
    held_out = [place for place in places if place % FOLDS == fold]
    record: dict[str, Any] = {"arm": arm, "fold": fold, "seed": seed}
    if arm in TOWER_ARMS:
        extractor = tower_alone(tower, TOWER_ARMS[arm])
        yield {**record, "steps": 0, "found": judged(extractor, features, held_out)}
        return
    model = new_model(tower, ARMS[arm], seed)
    training = [place for place in places if place % FOLDS != fold]
    for step, loss in train(model, features, training, steps, seed):
        extractor = model.to_feature_extractor("mean")
        yield {**record, "steps": step, "loss": loss, "found": judged(extractor, features, held_out)}
        model.train()


def table(records: list[dict[str, Any]], measure: str, *, gained: bool = False) -> str:
    """A Markdown table of one measure: the mean and standard deviation over folds and seeds of each arm and length.

    Args:
        records: What `run` made.
        measure: A field of `Found`, or one with `centred_` before its name.
        gained: Show the difference from the untrained resampler of the same fold and seed.
    """
    lines = [f"| {measure} | steps | runs | {' | '.join(CHANGES)} |", "|---" * (len(CHANGES) + 3) + "|"]
    start = {_run_of(one): one["found"] for one in records if one["steps"] == 0}
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for record in records:
        if record["steps"] or not gained:
            groups.setdefault((record["arm"], record["steps"]), []).append(record)
    for (arm, steps), runs in groups.items():
        cells = []
        for name in CHANGES:
            values = [one["found"][name][measure] - gained * start[_run_of(one)][name][measure] for one in runs]
            spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):{'+' if gained else ''}.2f}{spread}")
        lines.append(f"| {arm} | {steps} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _run_of(record: dict[str, Any]) -> tuple[str, int, int]:
    return record["arm"], record["fold"], record["seed"]


def main() -> None:
    """Encode, run what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tower", type=Path, required=True)
    parser.add_argument("--panoramas", "--photographs", type=Path, required=True)
    parser.add_argument("--without", nargs="*", default=["orientation-card"], help="images that are not used")
    parser.add_argument("--rotations", type=int, default=48, help="rotations for training, per panorama")
    parser.add_argument("--queries", type=int, default=8, help="queries of each kind, per panorama")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--steps", type=int, nargs="+", default=[0, 100, 300, 1000, 3000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    panoramas = find_panoramas(given.panoramas, given.without)
    features = encode(
        given.tower, panoramas, given.output / "features", rotations=given.rotations, queries=given.queries
    )
    tower = AutoConfig.from_pretrained(given.tower)
    file = given.output / "runs.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    done = {(one["arm"], one["fold"], one["seed"], one["steps"]) for one in records}
    jobs = [(arm, fold, 0, [0]) for arm in TOWER_ARMS for fold in range(FOLDS)]
    jobs += [
        (arm, fold, seed, given.steps) for seed in range(given.seeds) for arm in given.arms for fold in range(FOLDS)
    ]
    for arm, fold, seed, steps in jobs:
        if {(arm, fold, seed, step) for step in steps} <= done:
            continue
        began = time.process_time()
        for record in run(arm, tower, features, fold, seed, steps):
            if (arm, fold, seed, record["steps"]) not in done:
                records.append(record)
                with file.open("a") as lines:
                    lines.write(json.dumps(record) + "\n")
        print(f"{arm}, fold {fold}, seed {seed}: {time.process_time() - began:.0f} s of CPU", flush=True)
    for measure in ("first", "centred_first", "centred_area", "centred_margin"):
        print(table(records, measure), table(records, measure, gained=True), sep="\n\n", end="\n\n", flush=True)


if __name__ == "__main__":
    main()
