"""The experiments of docs/log.md: one thing changed at a time, trained briefly and judged on unseen scenes.

    panollava data panoshapes --split train --n 6000 --width 512 --questions 4 DATA
    panollava data panoshapes --split test --n 300 --width 512 DATA
    python -m tools.experiments DATA OUT [NAME …] [--seeds 3]

A variant that is finished is kept, so the command can be stopped and given again. The recipe is `panoshapes` at a
resolution and length that one core-hour affords; figures say which of two is better, not how good either can become.
"""

import argparse
import json
from pathlib import Path
from statistics import mean, stdev

from panollava_hf.cli import run as panollava

#: Views of 64 pixels with 16 tokens each, and a short finetuning.
SHORT = [
    "model.config.view_size=64",
    "model.config.num_latent_tokens=16",
    "model.config.vision_config.hidden_sizes=[32, 64, 128]",
    "model.config.vision_config.embedding_size=32",
    "stages.vicreg.steps=150",
    "stages.resampler.steps=100",
    "stages.finetune.steps=1600",
    "stages.finetune.data.easy_first={column: difficulty, share: 1.0}",
]
#: Without stage one, the second starts from nothing.
WITHOUT_STAGE_1 = ["stages.vicreg.steps=1", "stages.vicreg.learning_rate=1e-9"]

#: What is compared: question → variant → settings on top of SHORT.
COMPARISONS: dict[str, dict[str, list[str]]] = {
    "view strategy": {
        "cubemap": [],
        "resize": ["model.config.crop_strategy=resize", "model.config.view_size=[112, 224]",
                   "model.config.num_latent_tokens=98", "model.config.vicreg_pairs=columns", *WITHOUT_STAGE_1],
        "e2p": ["model.config.crop_strategy=e2p", "model.config.fov_deg=90"],
        "anyres_e2p": ["model.config.crop_strategy=anyres_e2p", "model.config.fov_deg=90"],
    },
    "stage 1": {
        "spherical pairs": [],
        "fixed columns": ["model.config.vicreg_pairs=columns"],
        "none": WITHOUT_STAGE_1,
    },
    "positional encoding": {
        "spherical": [],
        "yaw": ["model.config.positional_encoding=yaw"],
        "none": ["model.config.positional_encoding=none"],
    },
    "resampler": {
        "spatial_pool": [],
        "mlp": ["model.config.resampler_type=mlp"],
        "c_abstractor": ["model.config.resampler_type=c_abstractor", "model.config.resampler_config={num_layers: 1}"],
        "perceiver": ["model.config.resampler_type=perceiver", "model.config.vicreg_pairs=columns",
                      "model.config.resampler_config={num_layers: 2}"],
        "qformer": ["model.config.resampler_type=qformer", "model.config.vicreg_pairs=columns",
                    "model.config.resampler_config={num_layers: 2}"],
        "bimamba": ["model.config.resampler_type=bimamba", "model.config.resampler_config={num_layers: 1}"],
    },
}  # fmt: skip


def measure(data: Path, folder: Path, settings: list[str], seed: int) -> dict[str, float]:
    """Train one variant and ask it about the test scenes; what is there already is not made again."""
    results = folder / "results" / "results.json"
    if not results.is_file():
        changes = [*SHORT, *settings, f"seed={seed}", f"data.source={data}", f"output={folder / 'run'}"]
        words = [word for change in changes for word in ("--set", change)]
        resume = ["--resume"] if (folder / "run").exists() else []
        if panollava(["train", "--config", "panoshapes", *words, *resume]):
            raise SystemExit(f"{folder.name}: training failed")
        model = str(folder / "run" / "finetune")
        if panollava(["eval", "--model", model, "--data", str(data), "--output", str(results.parent)]):
            raise SystemExit(f"{folder.name}: evaluation failed")
    found = json.loads(results.read_text(encoding="utf-8"))
    families = {name: figures["exact_match"] for name, figures in found["families"].items()}
    return {"all": found["exact_match"], **families}


def table(comparison: str, rows: dict[str, list[dict[str, float]]]) -> str:
    """A Markdown table: per variant the mean over seeds, and the spread of the overall figure."""
    families = [name for name in next(iter(rows.values()))[0] if name != "caption"]
    lines = [f"| {comparison} | {' | '.join(families)} | spread |", "|---" * (len(families) + 2) + "|"]
    for name, runs in rows.items():
        means = [f"{100 * mean(run[family] for run in runs):.1f}" for family in families]
        spread = f"±{100 * stdev(run['all'] for run in runs):.1f} ({len(runs)})" if len(runs) > 1 else "1 seed"
        lines.append(f"| {name} | {' | '.join(means)} | {spread} |")
    return "\n".join(lines)


def main() -> None:
    """Run the comparisons that are named, or all of them, and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(COMPARISONS))
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    unknown = set(given.names) - COMPARISONS.keys()
    if unknown:
        parser.error(f"no comparison {', '.join(sorted(unknown))}: choose from {', '.join(COMPARISONS)}")
    for comparison in given.names or COMPARISONS:
        rows: dict[str, list[dict[str, float]]] = {}
        for name, settings in COMPARISONS[comparison].items():
            label = "base" if not settings else f"{comparison}-{name}".replace(" ", "-")
            runs = [measure(given.data, given.output / f"{label}-{s}", settings, s) for s in range(given.seeds)]
            rows[name] = runs
        print(table(comparison, rows), flush=True)


if __name__ == "__main__":
    main()
