"""Export a checkpoint to a folder that loads with transformers alone (`trust_remote_code=True`)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from panollava_core import resampler_class
from transformers import PreTrainedModel

from panollava_hf import _loading
from panollava_hf._auto import AUTO_CLASSES
from panollava_hf._errors import ExportError, ModelError
from panollava_hf._files import edit_json, require_new, staged_folder
from panollava_hf._lora import merge_lora
from panollava_hf._pretrained import no_language_model
from panollava_hf._shown import shown
from panollava_hf.hub._card import CardFacts, write_card
from panollava_hf.hub._embedding import write_sentence_transformers
from panollava_hf.hub._flatten import flatten
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.modeling_panollava_vision import PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg
from panollava_hf.outside._checkpoint_folder import MODEL_TYPE, check_checkpoint, check_embedder
from panollava_hf.outside._model_card import hub_id, stated_licence

if TYPE_CHECKING:
    from transformers import PreTrainedModel


#: Where the vision tower is in the model.
TOWER = "vision_backbone.encoder"

#: The Auto classes of an embedding export; its config and image processor are those of every export.
EMBEDDING_CLASSES = {
    "AutoConfig": AUTO_CLASSES["AutoConfig"],
    "AutoModel": "modeling_panollava_vision.PanoLLaVaForFeatureExtraction",
    "AutoImageProcessor": AUTO_CLASSES["AutoImageProcessor"],
}

#: Auto classes that the processor's files name.
PROCESSORS = ("AutoImageProcessor", "AutoProcessor")

#: What a checkpoint can be exported for, besides everything that it does.
PURPOSES = ("embedding",)


def write_old_names(model: "PreTrainedModel") -> None:
    """Make `save_pretrained` of this model write the vision tower under the weight names of transformers 4.57."""
    try:
        from transformers.conversion_mapping import PrefixChange, get_model_conversion_mapping
    except ImportError:  # before 5.0 there is only one set of names
        return
    rules = get_model_conversion_mapping(model, add_legacy=False)
    # Prefix rules are optional in transformers, since a file may lack the prefix. The tower's must be applied.
    kept = [
        rule for rule in rules if not isinstance(rule, PrefixChange) or getattr(rule, "scope_prefix", None) == TOWER
    ]
    model._weight_conversions = kept or None


def make_portable(folder: Path) -> None:
    """Complete the config and tokenizer settings of a saved model for transformers 4.57 and 5.x.

    Args:
        folder: The saved model, with `config.json` and perhaps a tokenizer.

    Example:
        >>> import json, tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> text = {"rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}}
        >>> _ = (folder / "config.json").write_text(json.dumps({"text_config": text, "vision_config": {}}))
        >>> make_portable(folder)
        >>> json.loads((folder / "config.json").read_text())["text_config"]["rope_theta"]
        1000000.0
    """
    edit_json(folder / "config.json", _add_old_rope_names)
    if (folder / "tokenizer.json").is_file():
        edit_json(folder / "tokenizer_config.json", _use_tokenizer_json)


def add_code_references(folder: Path, *, tied: bool, classes: Mapping[str, str] = AUTO_CLASSES) -> None:
    """Name the exported code in the JSON files of a saved model and processor, and remove local paths.

    Args:
        folder: The saved model.
        tied: Whether the model's head shares the input embedding.
        classes: Our class for each Auto class.
    """

    def change(content: dict[str, Any]) -> None:
        for inner in _objects(content):  # code that the source names is not what this folder contains
            inner.pop("auto_map", None)
        content["auto_map"] = dict(classes)
        for name in ("vision_config", "text_config"):
            tower = content[name]
            known = tower.pop("tower_name", None) or tower.get("_name_or_path")
            tower["_name_or_path"] = ""
            if base := hub_id(known):
                tower["tower_name"] = base
        # 4.57 reads this from the language model's config, 5.x from the model's; their defaults differ.
        content["tie_word_embeddings"] = content["text_config"]["tie_word_embeddings"] = tied

    def name_processors(content: dict[str, Any]) -> None:
        for part in _objects(content):
            part.pop("auto_map", None)
        named = {name: classes[name] for name in PROCESSORS if name in classes}
        content["auto_map"] = dict(named)
        if isinstance(content.get("image_processor"), dict):
            content["image_processor"]["auto_map"] = dict(named)

    edit_json(folder / "config.json", change)
    for name in ("processor_config.json", "preprocessor_config.json"):
        edit_json(folder / name, name_processors)


def _objects(content: Any) -> Iterator[dict[str, Any]]:
    """All objects in a JSON value."""
    if isinstance(content, dict):
        yield content
    for inner in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _objects(inner)


def _add_old_rope_names(content: dict[str, Any]) -> None:
    for part in (content["text_config"], content["vision_config"]):
        rope = part.get("rope_parameters")
        # 4.57 reads `rope_theta` and `rope_scaling` only; without them it silently uses its own default base.
        if isinstance(rope, dict) and "rope_theta" in rope:
            part.setdefault("rope_theta", rope["rope_theta"])
            if rope.get("rope_type", "default") != "default":
                part.setdefault("rope_scaling", {key: value for key, value in rope.items() if key != "rope_theta"})


def _use_tokenizer_json(content: dict[str, Any]) -> None:
    # tokenizer.json is complete; the tokenizer class of a model family would add rules of its own.
    content["tokenizer_class"] = "PreTrainedTokenizerFast"
    for name in ("backend", "is_local", "local_files_only", "auto_map"):
        content.pop(name, None)
    extra = content.get("extra_special_tokens")
    if isinstance(extra, list):  # in 4.57 this field is a dict of named tokens; lists have another field
        content["additional_special_tokens"] = content.pop("extra_special_tokens")
    content["model_input_names"] = ["input_ids", "attention_mask"]


def entries(classes: Mapping[str, str]) -> tuple[str, ...]:
    """The modules that hold our classes."""
    return tuple(sorted({f"panollava_hf.{path.split('.')[0]}" for path in classes.values()}))


CLASSES: dict[str, type[PreTrainedModel]] = {
    kind.__name__: kind
    for kind in (PanoLLaVaForConditionalGeneration, PanoLLaVaForVICReg, PanoLLaVaForFeatureExtraction)
}


def export_checkpoint(
    source: str | Path,
    output: Path,
    *,
    purpose: Literal["embedding"] | None = None,
    facts: CardFacts | None = None,
    **hub: Any,
) -> Path:
    """Write a self-contained folder: code, weights, configs, tokenizer, chat template and model card.

    If the export fails, nothing is left at `output`. A LoRA adapter of the checkpoint is merged into the weights.

    Args:
        source: Checkpoint folder or Hub id; with `purpose="embedding"` also a vision tower.
        output: Folder to write. It must not exist, or be empty.
        purpose: With `embedding`, the folder makes one vector of each panorama, in sentence-transformers and with
            `AutoModel` of transformers: it has the vision side alone, without language model, projector and tokenizer.
            Default: everything that the checkpoint has.
        facts: What the card says in addition to what the checkpoint contains. For embeddings, the default licence is
            that of the source's own card.
        hub: `revision`, `token`, `cache_dir` and others, for a source on the Hub.

    Returns:
        The folder.

    Raises:
        OutputExistsError: `output` exists and is not an empty folder.
        ExportError: The source is not a complete PanoLLaVA checkpoint (for embeddings: nor a vision tower), the code
            cannot be exported, or there is no such purpose.
        OSError: The folder cannot be written.

    Example:
        >>> from pathlib import Path
        >>> import tempfile
        >>> from panollava_hf import default_checkpoint
        >>> from panollava_hf.hub import export_checkpoint
        >>> folder = export_checkpoint(default_checkpoint(), Path(tempfile.mkdtemp()) / "export")
        >>> (folder / "modeling_panollava.py").is_file()
        True
        >>> folder = export_checkpoint(default_checkpoint(), Path(tempfile.mkdtemp()) / "export", purpose="embedding")
        >>> (folder / "modules.json").is_file()
        True
    """
    output = Path(output)
    if purpose is not None and purpose not in PURPOSES:
        raise ExportError(f"unknown purpose {shown(purpose)}; expected {' or '.join(PURPOSES)}")
    require_new(output)
    facts = facts or CardFacts(model_id=output.name)
    if purpose == "embedding":
        return _export_embedding(source, output, facts, hub)
    code = flatten(entries(AUTO_CLASSES))
    try:
        model = load_model(source, **hub)
        needs_text = isinstance(model, PanoLLaVaForConditionalGeneration)
        processor = _loading.load_processor(source, needs_text=needs_text, **hub)
    except ModelError as error:
        raise ExportError(str(error)) from error
    with staged_folder(output) as folder:
        write_old_names(model)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        make_portable(folder)
        add_code_references(folder, tied=bool(model.config.tie_word_embeddings))
        for name, text in code.items():
            (folder / name).write_text(text, encoding="utf-8")
        write_card(folder, model.config, facts)
    return output


def _export_embedding(source: str | Path, output: Path, facts: CardFacts, hub: dict[str, Any]) -> Path:
    """As `export_checkpoint`, for vectors alone."""
    code = flatten(entries(EMBEDDING_CLASSES))
    try:
        if check_embedder(source, **hub) == MODEL_TYPE:
            _exportable_config(source, hub)
        model, processor = _loading.load_embedder(source, **hub)
    except ModelError as error:
        raise ExportError(str(error)) from error
    config = model.config
    config.use_lora = False
    config.text_source = None
    config.text_config = no_language_model()  # so that its family need not be known where the vectors are made
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    processor.token_grid = None  # the model does not need the directions of tokens
    facts = replace(facts, license=facts.license or stated_licence(source))

    def add_width(content: dict[str, Any]) -> None:
        content["projection_dim"] = config.projection_dim  # config.json is also read by programs without our code

    with staged_folder(output) as folder:
        write_old_names(model)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        make_portable(folder)
        add_code_references(folder, tied=False, classes=EMBEDDING_CLASSES)
        edit_json(folder / "config.json", add_width)
        write_sentence_transformers(folder)
        for name, text in code.items():
            (folder / name).write_text(text, encoding="utf-8")
        write_card(folder, config, facts)
    return output


def _exportable_config(source: str | Path, hub: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a PanoLLaVA checkpoint whose resampler's code can be exported.

    Raises:
        ExportError: Its resampler cannot be exported.
        ModelError: It is not a PanoLLaVA checkpoint, or it cannot be read.
    """
    config = check_checkpoint(source, **hub)
    try:
        kind = resampler_class(config.get("resampler_type", "mlp"))
    except (ValueError, TypeError) as error:
        raise ExportError(f"{source}: {error}") from error
    if kind.__module__.split(".")[0] != "panollava_core":
        raise ExportError(
            f"{source} uses the resampler {config['resampler_type']!r} of {kind.__module__}, whose code cannot be "
            "exported; use a resampler of panollava_core, or share the plain checkpoint folder with that package"
        )
    return config


def load_model(source: str | Path, **hub: Any) -> PreTrainedModel:
    """Load a checkpoint as the class it was saved as, with its LoRA adapter, if any, merged into the weights.

    Raises:
        ExportError: Its resampler or its class cannot be exported.
        ModelError: It is not a PanoLLaVA checkpoint, it cannot be read, or its weights do not fit its config.
    """
    config = _exportable_config(source, hub)
    names = config.get("architectures") or ["PanoLLaVaForConditionalGeneration"]
    name = names[0] if isinstance(names, list) and len(names) == 1 else names
    if not isinstance(name, str) or name not in CLASSES:
        raise ExportError(
            f"{source} contains {shown(name)}, which cannot be exported; expected one of {', '.join(CLASSES)}"
        )
    model = _loading.load_model(CLASSES[name], source, dtype="auto", **hub)
    return merge_lora(model).eval()  # with transformers alone there is no peft
