"""Make the checkpoint that ships inside panollava-hf of a trained one.

    panollava data panoshapes --split train --n 20000 --width 512 --questions 4 data/panoshapes
    panollava data panoshapes --split train --n 10000 --seed 1 --width 512 --questions 12 data/pairs
    panollava train --config panoshapes
    panollava train --config panoshapes-pairs
    python -m tools.default_checkpoint runs/panoshapes-pairs/finetune OUTPUT --results results/results.json

OUTPUT is the package's `default_checkpoint`. Weights are stored in half precision and computed with in single
precision; names and settings are those that transformers 4.57 and 5.x both read. `--results` is for the card.
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from huggingface_hub import EvalResult
from panollava_hf import PanoLLaVaForConditionalGeneration
from panollava_hf.hub._card import CardFacts, write_card
from panollava_hf.hub._portable import make_portable
from panollava_hf.hub._results import read_results
from panollava_hf.hub._weights import write_old_names
from panollava_hf.training._start import copy_processor

NAME = "panollava-panoshapes"
LIMIT = 10 * 2**20


def build(source: Path, output: Path, results: tuple[EvalResult, ...] = ()) -> None:
    """Write `output` anew; it appears whole or not at all."""
    model, info = PanoLLaVaForConditionalGeneration.from_pretrained(
        source, dtype=torch.float32, output_loading_info=True
    )
    wrong = [name for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in info[kind]]
    if wrong:
        raise SystemExit(f"{source} is not whole: {wrong[:3]}")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        folder = Path(scratch) / "checkpoint"
        folder.mkdir()
        write_old_names(model)
        model.half().save_pretrained(folder)
        copy_processor(source, folder)
        (folder / "training_log.json").unlink(missing_ok=True)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for part in (config, config["vision_config"], config["text_config"]):
            part["dtype"] = "float32"  # what is computed with, whatever is stored
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        make_portable(folder)
        write_card(folder, model.config, CardFacts(model_id=NAME, license="mit", results=results))
        for file in folder.iterdir():
            file.chmod(0o644)
        size = (folder / "model.safetensors").stat().st_size
        if size > LIMIT:
            raise SystemExit(f"the weights take {size} bytes, more than the {LIMIT} that a wheel may carry")
        shutil.rmtree(output, ignore_errors=True)
        os.replace(folder, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    build(given.source, given.output, read_results(given.results) if given.results else ())
