"""The model card: what the Hub shows of a model, written from what the checkpoint knows."""

import json
import re
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import PretrainedConfig

from panollava_hf.hub._config_files import hub_id

#: The line of a card's example that names the model; `push` puts the repository and tag there.
MODEL_LINE = re.compile(r'^model_id, revision = ".*", ".*"$', re.MULTILINE)

#: What the Hub calls the task of each model class.
PIPELINES = {
    "PanoLLaVaForConditionalGeneration": "image-text-to-text",
    "PanoLLaVaForVICReg": "image-feature-extraction",
    "PanoLLaVaForFeatureExtraction": "image-feature-extraction",
}


@dataclass(frozen=True)
class CardFacts:
    """What a checkpoint does not know about itself.

    Attributes:
        model_id: Name that the example loads: a Hub id, or the folder's own name.
        license: Licence identifier of the weights, as the Hub spells it.
        language: Languages of questions and answers.
        datasets: Hub ids of the data it was trained on.
        results: Evaluation results.
    """

    model_id: str
    license: str | None = None
    language: tuple[str, ...] = ("en",)
    datasets: tuple[str, ...] = ()
    results: tuple[EvalResult, ...] = field(default=())


def model_line(model_id: str, revision: str) -> str:
    """The line of the example that names the model."""
    return f"model_id, revision = {json.dumps(model_id)}, {json.dumps(revision)}"


def point_card(text: str, model_id: str, revision: str) -> str:
    """A card whose example loads this model at this revision."""
    return MODEL_LINE.sub(lambda _: model_line(model_id, revision), text)


def write_card(folder: Path, config: PretrainedConfig, facts: CardFacts) -> None:
    """Write `README.md` for the model in a folder."""
    (architecture,) = config.architectures
    name = facts.model_id.split("/")[-1]
    towers = {"vision": config.vision_config, "text": config.text_config}
    bases = [base for base in (hub_id(tower.name_or_path) for tower in towers.values()) if base]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=PIPELINES[architecture],
        license=facts.license,
        language=list(facts.language),
        base_model=bases or None,
        base_model_relation="finetune" if bases else None,
        datasets=list(facts.datasets) or None,
        tags=["panollava", "custom_code", "panorama", "360", "equirectangular"],
        model_name=name if facts.results else None,
        eval_results=list(facts.results) or None,
    )
    template = files("panollava_hf.hub").joinpath("card_template.md.jinja").read_text(encoding="utf-8")
    card = ModelCard.from_template(
        data,
        template_str=template,
        name=name,
        architecture=architecture,
        generates=architecture == "PanoLLaVaForConditionalGeneration",
        model_line=model_line(facts.model_id, "main"),
        model_id=facts.model_id,
        trained=config.connector_trained,
        plan=_plan(config),
        towers={kind: _tower(tower) for kind, tower in towers.items()},
        resampler=f"{config.resampler_type}, {config.latent_dimension} features",
        results=facts.results,
        history=getattr(config, "training_history", None) or [],
    )
    (folder / "README.md").write_text(card.content, encoding="utf-8")


def _plan(config: Any) -> str:
    height, width = config.image_size
    views = len(config.view_plan())
    return (
        f"{views} views of {width}x{height} pixels (`{config.crop_strategy}`, {config.fov_deg:g}° wide, "
        f"overlapping by {config.overlap_ratio:.0%})"
    )


def _tower(config: PretrainedConfig) -> str:
    base = hub_id(config.name_or_path)
    return f"[{base}](https://huggingface.co/{base})" if base else f"`{config.model_type}`"
