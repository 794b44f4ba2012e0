"""The model card of every folder that this package writes: exports, converted and trained checkpoints."""

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from panollava_hf.hub._portable import hub_id

if TYPE_CHECKING:
    from transformers import PretrainedConfig

TEMPLATE = "card_template.md.jinja"

#: The Hub's name for the task of each model class.
PIPELINES = {
    "PanoLLaVaForConditionalGeneration": "image-text-to-text",
    "PanoLLaVaForVICReg": "image-feature-extraction",
    "PanoLLaVaForFeatureExtraction": "image-feature-extraction",
}


@dataclass(frozen=True)
class CardFacts:
    """What a model card says in addition to what the model's folder contains.

    Attributes:
        model_id: The name that the example loads: a Hub id, or the name of the folder.
        license: Identifier of the weights' licence, as the Hub spells it (`apache-2.0`).
        language: Languages of questions and answers.
        datasets: Hub ids of the training data.
        results: Evaluation results, see `read_results`.
        converted_from: File name of the Lightning checkpoint that was converted.
        stage: Training stage of that checkpoint (`vision`, `resampler`, `finetune`).
    """

    model_id: str
    license: str | None = None
    language: tuple[str, ...] = ("en",)
    datasets: tuple[str, ...] = ()
    results: tuple[EvalResult, ...] = ()
    converted_from: str | None = None
    stage: str | None = None


def write_card(folder: Path, config: "PretrainedConfig", facts: CardFacts) -> None:
    """Write the model card `README.md` of a saved model.

    The card follows the folder. With exported code, its example needs transformers alone; otherwise it needs
    panollava-hf. An adapter in `adapter/` is mentioned. So the card is written after the other files.

    Args:
        folder: The saved model.
        config: The model's `PanoLLaVaConfig`.
        facts: What else the card says.

    Example:
        >>> import tempfile
        >>> from panollava_hf import PanoLLaVaConfig, default_checkpoint
        >>> from panollava_hf.hub import CardFacts, write_card
        >>> config = PanoLLaVaConfig.from_pretrained(default_checkpoint())
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_card(folder, config, CardFacts(model_id="owner/name", license="mit"))
        >>> "license: mit" in (folder / "README.md").read_text()
        True
    """
    (architecture,) = config.architectures
    name = facts.model_id.split("/")[-1]
    has_code = (folder / "modeling_panollava.py").is_file()
    towers = {"vision": config.vision_config, "text": config.text_config}
    if PIPELINES[architecture] == "image-feature-extraction":
        del towers["text"]
    bases = [base for base in (hub_id(tower.name_or_path) for tower in towers.values()) if base]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=PIPELINES[architecture],
        license=facts.license,
        language=list(facts.language),
        base_model=bases or None,
        base_model_relation="finetune" if bases else None,
        datasets=list(facts.datasets) or None,
        tags=["panollava", *(["custom_code"] if has_code else []), "panorama", "360", "equirectangular"],
        model_name=name if facts.results else None,
        eval_results=list(facts.results) or None,
    )
    card = ModelCard.from_template(
        data,
        template_str=files("panollava_hf.hub").joinpath(TEMPLATE).read_text(encoding="utf-8"),
        name=name,
        facts=facts,
        architecture=architecture,
        generates=architecture == "PanoLLaVaForConditionalGeneration",
        has_code=has_code,
        has_adapter=(folder / "adapter").is_dir(),
        trained=config.connector_trained,
        model_line=model_line(facts.model_id, "main"),
        views=_views(config),
        towers={kind: _tower(tower) for kind, tower in towers.items()},
        resampler=f"`{config.resampler_type}`, {config.latent_dimension} features per token",
        history=getattr(config, "training_history", None) or [],
    )
    (folder / "README.md").write_text(card.content, encoding="utf-8")


def model_line(model_id: str, revision: str) -> str:
    """The line of the Python example that names the model."""
    return f"model_id, revision = {json.dumps(model_id)}, {json.dumps(revision)}"


def point_card(text: str, model_id: str, revision: str) -> str:
    """Change the examples of a card so that they load another model or revision.

    Args:
        text: A card that `write_card` wrote, perhaps edited.
        model_id: Hub id.
        revision: Branch, tag or commit.
    """
    text = re.sub(r'^model_id, revision = ".*", ".*"$', lambda _: model_line(model_id, revision), text, flags=re.M)
    return re.sub(r"^(\$ panollava ask .* --model )\S+$", lambda found: found[1] + model_id, text, flags=re.M)


def _views(config: Any) -> str:
    height, width = config.image_size
    return (
        f"{len(config.view_plan())} views of {width}x{height} pixels (`{config.crop_strategy}`, "
        f"{config.fov_deg:g}° wide, {config.overlap_ratio:.0%} overlap)"
    )


def _tower(config: "PretrainedConfig") -> str:
    base = hub_id(config.name_or_path)
    return f"[{base}](https://huggingface.co/{base})" if base else f"`{config.model_type}`"
