"""The experiments of docs/log.md: one change at a time, short training, evaluation on unseen scenes.

    panollava data panoshapes --split train --n 10000 --seed 1 --width 512 --questions 12 DATA
    panollava data panoshapes --split test --n 300 --width 512 DATA
    python -m tools.experiments DATA OUT [NAME …] [--seeds 3]

As usual for this model, the towers are pretrained (here those of the embedded checkpoint), and everything between them
is new: projector and resampler are trained with both towers frozen, then together with the language model. Finished
variants are kept, so the command can be stopped and repeated. The figures show which variant is better after a few
minutes of training, not how good it can become.
"""

import argparse
import json
from pathlib import Path
from statistics import mean, stdev

from panollava_hf import PanoLLaVaForConditionalGeneration, PanoLLaVaProcessor, default_checkpoint
from panollava_hf.cli import run as panollava
from transformers import AutoModelForCausalLM

#: Changes of the recipe `panoshapes`: pretrained towers, and fewer steps.
SHORT = [
    "model.tokenizer=null",
    "model.config={view_size: 80, crop_strategy: cubemap, fov_deg: 104.0, resampler_type: spatial_pool, "
    "num_latent_tokens: 25, resampler_config: {hidden_dim: 128}, latent_dimension: 128, initializer_range: 0.06}",
    "data.questions_per_panorama=12",
    "data.workers=1",
    "stages.vicreg.batch_size=8",
    "stages.vicreg.trainable_vision_blocks=0",
    "stages.resampler.trainable_vision_blocks=0",
    "stages.resampler.steps=100",
    "stages.resampler.data.curriculum=null",
    "stages.finetune.trainable_vision_blocks=0",
    "stages.finetune.steps=200",
    "stages.finetune.data.curriculum=null",
    "stages.refine=null",
    "stages.polish=null",
]
#: Without the first stage, the second one starts with a new resampler.
WITHOUT_STAGE_1 = ["stages.vicreg=null"]

#: Comparison → variant → settings in addition to SHORT.
COMPARISONS: dict[str, dict[str, list[str]]] = {
    "view strategy": {
        "cubemap": [],
        "resize": ["model.config.crop_strategy=resize", "model.config.view_size=[160, 320]",
                   "model.config.num_latent_tokens=200", "model.config.vicreg_pairs=columns", *WITHOUT_STAGE_1],
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


def write_towers(folder: Path) -> list[str]:
    """Write the two towers of the embedded checkpoint to separate folders; returns the settings that name them."""
    vision, text = folder / "vision", folder / "text"
    if not folder.is_dir():
        source = default_checkpoint()
        model = PanoLLaVaForConditionalGeneration.from_pretrained(source)
        processor = PanoLLaVaProcessor.from_pretrained(source)
        whole = model.base_model
        whole.vision_backbone.encoder.save_pretrained(vision)
        pixels = {name: list(getattr(processor.image_processor, name)) for name in ("image_mean", "image_std")}
        (vision / "preprocessor_config.json").write_text(json.dumps(pixels), encoding="utf-8")
        language_model = AutoModelForCausalLM.from_config(model.config.text_config)
        language_model.model.load_state_dict(whole.language_model.state_dict())
        language_model.lm_head.load_state_dict(model.lm_head.state_dict())
        language_model.save_pretrained(text)
        processor.tokenizer.save_pretrained(text)
    return [f"model.vision={vision}", f"model.text={text}"]


def measure(data: Path, folder: Path, settings: list[str], seed: int) -> dict[str, float]:
    """Train one variant and evaluate it on the test scenes, unless the results exist."""
    results = folder / "results" / "results.json"
    if not results.is_file():
        towers = write_towers(folder.parent / "towers")
        changes = [*SHORT, *towers, *settings, f"seed={seed}", f"data.source={data}", f"output={folder / 'run'}"]
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
    """A Markdown table: the mean over seeds of each variant, and the standard deviation of the overall figure."""
    families = [name for name in next(iter(rows.values()))[0] if name != "caption"]
    lines = [f"| {comparison} | {' | '.join(families)} | spread |", "|---" * (len(families) + 2) + "|"]
    for name, runs in rows.items():
        means = [f"{100 * mean(run[family] for run in runs):.1f}" for family in families]
        spread = f"±{100 * stdev(run['all'] for run in runs):.1f} ({len(runs)})" if len(runs) > 1 else "1 seed"
        lines.append(f"| {name} | {' | '.join(means)} | {spread} |")
    return "\n".join(lines)


def main() -> None:
    """Run the given comparisons, or all of them, and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(COMPARISONS))
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    unknown = set(given.names) - COMPARISONS.keys()
    if unknown:
        parser.error(f"unknown comparison {', '.join(sorted(unknown))}: choose from {', '.join(COMPARISONS)}")
    for comparison in given.names or COMPARISONS:
        rows: dict[str, list[dict[str, float]]] = {}
        for name, settings in COMPARISONS[comparison].items():
            label = "base" if not settings else f"{comparison}-{name}".replace(" ", "-")
            runs = [measure(given.data, given.output / f"{label}-{s}", settings, s) for s in range(given.seeds)]
            rows[name] = runs
        print(table(comparison, rows), flush=True)


if __name__ == "__main__":
    main()
