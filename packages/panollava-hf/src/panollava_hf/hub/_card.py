"""The model card of every folder that this package writes: exports, converted and trained checkpoints."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from panollava_hf._errors import ExportError, boundary
from panollava_hf._shown import shown
from panollava_hf.hub._embedding import is_embedding_export
from panollava_hf.outside._json_file import parse_json
from panollava_hf.outside._model_card import hub_id, tower_licence

if TYPE_CHECKING:
    from transformers import PretrainedConfig


TASK = "visual-question-answering"
#: What the card shows of a finished training stage.
HISTORY = ("stage", "steps", "panoramas_per_step", "mean_loss", "seconds")
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
        >>> import json
        >>> from pathlib import Path
        >>> from panollava_hf.hub import read_results
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "results.json"
        >>> result = {"dataset_name": "PanoShapes", "dataset_type": "owner/panoshapes"}
        >>> _ = path.write_text(json.dumps([{**result, "metric_type": "accuracy", "metric_value": 0.75}]))
        >>> read_results(path)[0].metric_value
        0.75
    """
    remedy = "pass the results.json of `panollava eval`"
    found = parse_json(path.read_bytes(), str(path), kind=ExportError, remedy=remedy)
    if isinstance(found, dict) and {"exact_match", "families", "data"} <= found.keys():
        return tuple(_of_evaluation(found, path))
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ExportError(
            f"{path}: expected the results.json of `panollava eval`, or a JSON list with one object for each result"
        )
    return tuple(_entry(entry, f"{path}, result {number}") for number, entry in enumerate(found))


#: Types of the fields of a result that are not texts.
OTHER_TYPES: dict[str, tuple[type, ...]] = {
    "metric_value": (int, float, str),
    "dataset_args": (dict,),
    "metric_args": (dict,),
    "verified": (bool,),
}
REQUIRED = ("dataset_type", "dataset_name", "metric_type", "metric_value")


def _entry(entry: dict[str, Any], where: str) -> EvalResult:
    """One result, whose fields have the types that the Hub expects."""
    if missing := [name for name in REQUIRED if entry.get(name) is None]:
        raise ExportError(f"{where}: missing {len(missing)} required fields: {', '.join(missing)}")
    known = [field.name for field in fields(EvalResult)]
    for name, value in entry.items():
        if name not in known:
            raise ExportError(f"{where}: unknown field {shown(name)}; valid fields: {', '.join(known)}")
        kinds = OTHER_TYPES.get(name, (str,))
        too_long = isinstance(value, int) and abs(value) >= 10**15
        if value is not None and (type(value) not in kinds or too_long):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise ExportError(f"{where}: {name} must be {expected}, got {shown(value)}")
    with boundary(ExportError, f"{where} is not an evaluation result", "correct or remove it"):
        return EvalResult(**{"task_type": TASK, **entry})


def _of_evaluation(found: dict[str, Any], path: Path) -> Iterator[EvalResult]:
    """Exact match overall and by question family, and caption metrics; metrics that were not computed are left out."""
    families, captions, data = found["families"], found.get("captions") or {}, found["data"]
    inner = families.values() if isinstance(families, dict) else [None]
    if not all(isinstance(part, dict) for part in (captions, data, *inner)):
        raise ExportError(f"{path}: data, families and captions must be objects; run `panollava eval` again")
    source, split = (data.get(name) for name in ("source", "split"))
    if not isinstance(source, str) or not source.strip() or not isinstance(split, str | None):
        raise ExportError(f"{path}: data.source and data.split must be texts; run `panollava eval` again")
    name = Path(source).name or source  # without the path, which is private
    common: dict[str, Any] = {"dataset_type": name.lower(), "dataset_name": name, "dataset_split": split}
    shares = {"": found["exact_match"]} | {kind: family.get("exact_match") for kind, family in families.items()}
    for kind, share in shares.items():
        if share is not None:
            metric = f"exact_match_{kind}" if kind else "exact_match"
            title = f"exact match in %, {kind}" if kind else "exact match in %"
            value = round(100 * _number(share, metric, path), 2)
            yield EvalResult(task_type=TASK, metric_type=metric, metric_name=title, metric_value=value, **common)
    for kind, title in CAPTIONS.items():
        if captions.get(kind) is not None:
            value = round(_number(captions[kind], kind, path), 4)
            yield EvalResult(
                task_type="image-to-text", metric_type=kind, metric_name=title, metric_value=value, **common
            )


def _number(value: Any, name: str, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise ExportError(f"{path}: {name} must be a number, got {shown(value)}; run `panollava eval` again")
    return float(value)


TEMPLATE = "card_template.md.jinja"
EMBEDDING_TEMPLATE = "embedding_card_template.md.jinja"
#: Limits, training data and citation, at the end of both.
END = "card_end.md.jinja"

#: How the vector of a panorama is made, by `pooling` of the config, for its `pooled_views`.
POOLING = {
    "mean": "mean over the tokens of {views}",
    "max": "largest value over the tokens of {views}",
    "first": "first token of {views}",
    "cls": "CLS token of each view, mean over {views}",
    "pooler": "the vision tower's own pooling of each view, mean over {views}",
    "cls+mean": "CLS token and mean of the patches of each view, mean over {views}",
    "pooler+mean": "the vision tower's own pooling and the mean of the patches of each view, mean over {views}",
}
POOLED_VIEWS = {"all": "all views", "tiles": "the tiles of the ring, without the view of the whole panorama"}

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
        training_data: A sentence about the training data; without it, the card names `datasets`.
        results: Evaluation results, see `read_results`.
        converted_from: File name of the Lightning checkpoint that was converted.
        stage: Training stage of that checkpoint (`vision`, `resampler`, `finetune`).
        description: A sentence about this model, e.g. which questions it understands; it is the second paragraph.
        from_scratch: The towers started with random weights, so the table of training stages is all of their training.
            A config does not say this: a tower without a name may come from anywhere.
    """

    model_id: str
    license: str | None = None
    language: tuple[str, ...] = ("en",)
    datasets: tuple[str, ...] = ()
    results: tuple[EvalResult, ...] = ()
    converted_from: str | None = None
    stage: str | None = None
    training_data: str | None = None
    description: str | None = None
    from_scratch: bool = False


def write_card(folder: Path, config: "PretrainedConfig", facts: CardFacts) -> None:
    """Write the model card `README.md` of a saved model.

    The card follows the folder. With exported code, its example needs transformers alone; otherwise it needs
    panollava-hf. An adapter in `adapter/` is mentioned. A folder with the files of sentence-transformers gets the card
    of an embedding model. So the card is written after the other files.

    A config with `known_words`, `known_topics` or `known_images` adds a line about what the model reports as unknown.

    Args:
        folder: The saved model.
        config: The model's `PanoLLaVaConfig`.
        facts: What else the card says.

    Raises:
        ExportError: The training history of the config is damaged, or a tower with a name is said to be from scratch.

    Example:
        >>> from pathlib import Path
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
        description=facts.description and _inline(facts.description),
    )
    name = facts.model_id.split("/")[-1]
    has_code, embeds = (folder / "modeling_panollava.py").is_file(), is_embedding_export(folder)
    towers = {"vision": config.vision_config, "text": config.text_config}
    if PIPELINES[architecture] == "image-feature-extraction":
        del towers["text"]
    origins = {kind: getattr(config, f"{kind}_source", None) or {} for kind in towers}
    if facts.from_scratch:
        _check_unnamed(towers, origins)
    bases = [base for kind, tower in towers.items() if (base := _base(tower, origins[kind]))]
    data = ModelCardData(
        library_name="sentence-transformers" if embeds else "transformers",
        pipeline_tag=PIPELINES[architecture],
        license=facts.license,
        language=None if embeds else list(facts.language),
        base_model=bases or None,
        base_model_relation="finetune" if bases else None,
        datasets=list(facts.datasets) or None,
        tags=[
            *("panollava", *(["custom_code"] if has_code else []), "panorama", "360", "equirectangular"),
            *(["feature-extraction", "image-retrieval", "place-recognition"] if embeds else []),
        ],
        model_name=name if facts.results else None,
        eval_results=list(facts.results) or None,
    )
    card = ModelCard.from_template(
        data,
        template_str=_template(EMBEDDING_TEMPLATE if embeds else TEMPLATE) + _template(END),
        name=name,
        facts=facts,
        architecture=architecture,
        embeds=embeds,
        training_data=_training_data(facts),
        generates=architecture == "PanoLLaVaForConditionalGeneration",
        has_code=has_code,
        has_adapter=(folder / "adapter").is_dir(),
        trained=config.connector_trained,
        has_connector=config.resampler_type != "none",
        width=config.projection_dim,
        pooling=POOLING[config.pooling].format(views=POOLED_VIEWS[config.pooled_views]),
        model_line=model_line(facts.model_id, "main"),
        views=_views(config),
        towers={
            kind: f"`{tower.model_type}`, trained from scratch" if facts.from_scratch else _tower(tower, origins[kind])
            for kind, tower in towers.items()
        },
        unknown=_unknown(config),
        resampler=f"`{config.resampler_type}`, {config.latent_dimension} features per token",
        history=_history(config),
        results=[_row(result) for result in facts.results],
    )
    text = re.sub(r"\n{3,}", "\n\n", card.content).strip() + "\n"
    (folder / "README.md").write_text(text, encoding="utf-8")


def _template(name: str) -> str:
    return files("panollava_hf.hub").joinpath(name).read_text(encoding="utf-8")


def _training_data(facts: CardFacts) -> str:
    """A sentence about the training data; empty if the facts name none."""
    if facts.training_data:
        return _inline(facts.training_data)
    named = ((name, hub_id(name)) for name in facts.datasets)
    links = [f"[{known}](https://huggingface.co/datasets/{known})" if known else _inline(name) for name, known in named]
    return f"{', '.join(links)}." if links else ""


def _history(config: Any) -> list[tuple[str, ...]]:
    """The table of finished training stages, from a config that anyone may have written."""
    rows = getattr(config, "training_history", None) or []
    found: list[tuple[str, ...]] = []
    for run in rows if isinstance(rows, list) else [rows]:
        values = [run.get(name) for name in HISTORY] if isinstance(run, dict) else []
        stage, *numbers = values or [None]
        if not isinstance(stage, str) or not all(isinstance(n, float) or _is_count(n) for n in numbers):
            raise ExportError(
                f"training_history of the config holds {shown(run)}; expected objects with a text stage and the "
                f"numbers {', '.join(HISTORY[1:])}; correct or remove it in config.json"
            )
        steps, panoramas, loss, seconds = (number or 0 for number in numbers)  # none is None here
        found.append((_inline(stage), str(steps), str(panoramas), f"{loss:.3g}", f"{seconds / 60:.1f}"))
    return found


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < 10**15


def _row(result: EvalResult) -> tuple[str, ...]:
    """A result as cells of a table."""
    split = f" ({result.dataset_split})" if result.dataset_split else ""
    task, metric = result.task_name or result.task_type, result.metric_name or result.metric_type
    return tuple(_inline(str(cell)) for cell in (task, f"{result.dataset_name}{split}", metric, result.metric_value))


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
    return re.sub(r"^(\$ panollava (?:ask|embed) .* --model )\S+$", lambda found: found[1] + model_id, text, flags=re.M)


def _inline(text: str) -> str:
    """A name as part of one line of Markdown: without line breaks and marks, and not too long."""
    return " ".join(re.sub(r"[`|<>\[\]\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text[:200]).split())


def _views(config: Any) -> str:
    height, width = config.image_size
    return (
        f"{len(config.view_plan())} views of {width}x{height} pixels (`{config.crop_strategy}`, "
        f"{config.fov_deg:g}° wide, {config.overlap_ratio:.0%} overlap)"
    )


def _tower(tower: "PretrainedConfig", origin: Mapping[str, str]) -> str:
    """Name, licence and revision of a tower; a local folder is named without its path, which is private."""
    named = origin.get("name") or tower.name_or_path or ""
    base, folder = hub_id(named), _inline(Path(named).name)
    if base:
        name = _link(base)
    elif folder:
        made_from = hub_id(origin.get("base_model"))
        name = f"`{folder}` (`{tower.model_type}`{f', from {_link(made_from)}' if made_from else ''})"
    else:
        name = f"`{tower.model_type}`, name unknown"
    licence = _inline(origin.get("license") or tower_licence(tower.name_or_path or "") or "")
    revision = _inline(origin.get("revision", ""))[:12]
    return f"{name}, licence {f'`{licence}`' if licence else 'unknown'}{f', revision `{revision}`' if revision else ''}"


def _check_unnamed(towers: Mapping[str, "PretrainedConfig"], origins: Mapping[str, Mapping[str, str]]) -> None:
    for kind, tower in towers.items():
        if name := origins[kind].get("name") or tower.name_or_path:
            raise ExportError(
                f"from_scratch is true, but the {kind} tower of this config is {shown(Path(name).name)}; leave it out"
            )


def _unknown(config: Any) -> str:
    """What a checkpoint reports instead of answering, by its config; empty if it has no such fields."""
    images = config.known_images
    kinds = {
        "questions with words that its training did not have": config.known_words,
        "questions that name nothing it can look for": config.known_topics,
        f"images unlike {_inline(images['description']) if images else ''}": images,
    }
    found = [kind for kind, known in kinds.items() if known]
    return f"{', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else "".join(found)


def _base(tower: "PretrainedConfig", origin: Mapping[str, str]) -> str | None:
    """The Hub id of a tower, or of the model that its folder says it comes from."""
    return hub_id(origin.get("name")) or hub_id(origin.get("base_model")) or hub_id(tower.name_or_path)


def _link(base: str) -> str:
    return f"[{base}](https://huggingface.co/{base})"
