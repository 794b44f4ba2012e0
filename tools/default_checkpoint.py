"""Package a trained checkpoint as the one that is included in panollava-hf.

    python -m tools.default_checkpoint runs/panoshapes/polish OUTPUT --results results/results.json

OUTPUT is the folder `default_checkpoint` of the package. Weights are stored in half precision and loaded in single
precision; transformers 4.57 and 5.x both read their names and the settings. `--results` is for the model card.
`python -m tools.embedded_model` does this after the training, and adds what the checkpoint knows.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import EvalResult
from panollava_hf import PanoLLaVaForConditionalGeneration
from panollava_hf._files import edit_json, staged_folder
from panollava_hf.hub import CardFacts, read_results, write_card
from panollava_hf.hub._export import make_portable, write_old_names
from panollava_hf.training._start import copy_processor

NAME = "panollava-panoshapes"
DESCRIPTION = (
    "It understands questions in many wordings, in English and in Korean, and answers in English, in one form."
)
TRAINING_DATA = (
    "PanoShapes only: rendered scenes of coloured solids, and questions in many wordings that a grammar makes, English "
    "and Korean. No photograph was among them."
)
LIMIT = 10 * 2**20


def build(source: Path, output: Path, results: tuple[EvalResult, ...] = ()) -> None:
    """Write the checkpoint to a temporary folder, which then replaces `output`."""
    model, info = PanoLLaVaForConditionalGeneration.from_pretrained(
        source, dtype=torch.float32, output_loading_info=True
    )
    wrong = [name for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in info[kind]]
    if wrong:
        raise SystemExit(f"{source} is not a complete checkpoint: {wrong[:3]}")
    made = output.with_name(f"{output.name}.new")
    with staged_folder(made) as folder:
        write_old_names(model)
        model.half().save_pretrained(folder)
        copy_processor(source, folder)
        edit_json(folder / "config.json", _load_in_single_precision)
        make_portable(folder)
        write_card(folder, model.config, card_facts(results))
        for file in folder.iterdir():
            file.chmod(0o644)
        size = (folder / "model.safetensors").stat().st_size
        if size > LIMIT:
            raise SystemExit(f"the weights take {size} bytes; a wheel may hold at most {LIMIT}")
    shutil.rmtree(output, ignore_errors=True)
    made.rename(output)


def card_facts(results: Sequence[EvalResult]) -> CardFacts:
    """What the model card says about the checkpoint of the recipe `panoshapes`, trained from scratch.

    The results of `panollava eval` name the folder of the table; the dataset is PanoShapes, whatever that folder is.
    """
    return CardFacts(
        model_id=NAME,
        license="mit",
        language=("en", "ko"),
        results=tuple(replace(result, dataset_name="PanoShapes", dataset_type="panoshapes") for result in results),
        training_data=TRAINING_DATA,
        description=DESCRIPTION,
        from_scratch=True,
    )


def _load_in_single_precision(config: dict[str, Any]) -> None:
    for part in (config, config["vision_config"], config["text_config"]):
        part["dtype"] = "float32"  # the type after loading, whatever is stored


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    build(given.source, given.output, read_results(given.results) if given.results else ())
