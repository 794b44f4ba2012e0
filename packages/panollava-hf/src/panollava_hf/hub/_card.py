"""The model card of every folder that this package writes: exports, converted and trained checkpoints."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from panollava_hf._errors import ExportError

if TYPE_CHECKING:
    from transformers import PretrainedConfig


TASK = "visual-question-answering"
CAPTIONS = {"bleu4": "BLEU-4", "meteor": "METEOR", "rouge_l": "ROUGE-L", "cider": "CIDEr"}


def read_results(path: Path) -> tuple[EvalResult, ...]:
    """Read evaluation results for `CardFacts`.

    Args:
        path: The `results.json` of `panollava eval`, or a JSON list of objects with the fields of
            `huggingface_hub.EvalResult`. `dataset_name`, `dataset_type`, `metric_type` and `metric_value` are required;
            the default of `task_type` is `visual-question-answering`.

    Raises:
        OSError: The file cannot be read.
        ExportError: The file is neither of the two.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "results.json"
        >>> result = {"dataset_name": "PanoShapes", "dataset_type": "owner/panoshapes"}
        >>> _ = path.write_text(json.dumps([{**result, "metric_type": "accuracy", "metric_value": 0.75}]))
        >>> read_results(path)[0].metric_value
        0.75
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ExportError(f"{path} is not valid JSON: {error}") from error
    if isinstance(found, dict) and {"exact_match", "families", "data"} <= found.keys():
        return tuple(_of_evaluation(found))
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ExportError(
            f"{path}: expected the results.json of `panollava eval`, or a JSON list with one object for each result"
        )
    results = []
    for number, entry in enumerate(found):
        try:
            results.append(EvalResult(**{"task_type": TASK, **entry}))
        except TypeError as error:
            raise ExportError(f"{path}, result {number}: {str(error).split('__init__() ')[-1]}") from error
    return tuple(results)


def _of_evaluation(found: dict[str, Any]) -> Iterator[EvalResult]:
    """Exact match overall and by question family, and caption metrics; metrics that were not computed are left out."""
    name = Path(found["data"]["source"]).name  # without the path, which is private
    common: dict[str, Any] = {
        "dataset_type": name.lower(),
        "dataset_name": name,
        "dataset_split": found["data"]["split"],
    }
    shares = {"": found["exact_match"]} | {kind: family["exact_match"] for kind, family in found["families"].items()}
    for kind, share in shares.items():
        if share is not None:
            metric = f"exact_match_{kind}" if kind else "exact_match"
            title = f"exact match in %, {kind}" if kind else "exact match in %"
            yield EvalResult(
                task_type=TASK, metric_type=metric, metric_name=title, metric_value=round(100 * share, 2), **common
            )
    for kind, title in CAPTIONS.items():
        value = (found.get("captions") or {}).get(kind)
        if value is not None:
            yield EvalResult(
                task_type="image-to-text", metric_type=kind, metric_name=title, metric_value=round(value, 4), **common
            )


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
    facts = replace(
        facts,
        model_id=_inline(facts.model_id),
        converted_from=facts.converted_from and _inline(facts.converted_from),
        stage=facts.stage and _inline(facts.stage),
    )
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


def _inline(text: str) -> str:
    """A name as part of one line of Markdown: without line breaks and marks, and not too long."""
    return " ".join(re.sub(r"[`|<>\[\]\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text[:200]).split())


def _views(config: Any) -> str:
    height, width = config.image_size
    return (
        f"{len(config.view_plan())} views of {width}x{height} pixels (`{config.crop_strategy}`, "
        f"{config.fov_deg:g}° wide, {config.overlap_ratio:.0%} overlap)"
    )


def _tower(config: "PretrainedConfig") -> str:
    base = hub_id(config.name_or_path)
    return f"[{base}](https://huggingface.co/{base})" if base else f"`{config.model_type}`"


def hub_id(name: str | None) -> str | None:
    """The name of a tower if it is a Hub id; None for a local folder, whose path stays private."""
    return name if name and len(name) <= 96 and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) else None
