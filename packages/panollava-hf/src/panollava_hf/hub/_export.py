"""Export a checkpoint to a folder that loads with transformers alone (`trust_remote_code=True`)."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers.utils import cached_file

from panollava_hf._auto import AUTO_CLASSES
from panollava_hf._errors import ExportError
from panollava_hf._files import require_new, staged_folder
from panollava_hf._lora import merge_lora
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.hub._card import CardFacts, write_card
from panollava_hf.hub._flatten import flatten
from panollava_hf.hub._portable import add_code_references, make_portable, write_old_names
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.modeling_panollava_vision import PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg
from panollava_hf.processing_panollava import PanoLLaVaProcessor

#: The modules that hold the classes of the Auto classes.
ENTRIES = tuple(sorted({f"panollava_hf.{path.split('.')[0]}" for path in AUTO_CLASSES.values()}))

CLASSES: dict[str, type[PreTrainedModel]] = {
    kind.__name__: kind
    for kind in (PanoLLaVaForConditionalGeneration, PanoLLaVaForVICReg, PanoLLaVaForFeatureExtraction)
}


def export_checkpoint(source: str | Path, output: Path, *, facts: CardFacts | None = None, **hub: Any) -> Path:
    """Write a self-contained folder: code, weights, configs, tokenizer, chat template and model card.

    If the export fails, nothing is left at `output`. A LoRA adapter of the checkpoint is merged into the weights.

    Args:
        source: Checkpoint folder or Hub id.
        output: Folder to write. It must not exist, or be empty.
        facts: What the card says in addition to what the checkpoint contains.
        hub: `revision`, `token`, `cache_dir` and others, for a source on the Hub.

    Returns:
        The folder.

    Raises:
        OutputExistsError: `output` exists and is not an empty folder.
        ExportError: The source is not a complete PanoLLaVA checkpoint, or the code cannot be exported.
        OSError: The source cannot be read, or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from panollava_hf import default_checkpoint
        >>> from panollava_hf.hub import export_checkpoint
        >>> folder = export_checkpoint(default_checkpoint(), Path(tempfile.mkdtemp()) / "export")
        >>> (folder / "modeling_panollava.py").is_file()
        True
    """
    output = Path(output)
    require_new(output)
    code = flatten(ENTRIES)
    model = load_model(source, **hub)
    processor = load_processor(source, needs_text=isinstance(model, PanoLLaVaForConditionalGeneration), **hub)
    with staged_folder(output) as folder:
        write_old_names(model)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        make_portable(folder)
        add_code_references(folder, tied=bool(model.config.tie_word_embeddings))
        for name, text in code.items():
            (folder / name).write_text(text, encoding="utf-8")
        write_card(folder, model.config, facts or CardFacts(model_id=output.name))
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors writes weights with permissions for the owner only
    return output


def load_model(source: str | Path, **hub: Any) -> PreTrainedModel:
    """Load a checkpoint as the class it was saved as, with its LoRA adapter, if any, merged into the weights.

    Raises:
        ExportError: It is not a PanoLLaVA checkpoint, or its weights do not fit its config.
        OSError: It cannot be read.
    """
    config = PanoLLaVaConfig.get_config_dict(source, **hub)[0]
    if config.get("model_type") != PanoLLaVaConfig.model_type:
        found = repr(config["model_type"]) if "model_type" in config else "missing"
        raise ExportError(
            f"{source} is not a PanoLLaVA checkpoint: model_type in its config.json is {found}, expected 'panollava'"
        )
    (name,) = config.get("architectures") or ["PanoLLaVaForConditionalGeneration"]
    if name not in CLASSES:
        raise ExportError(f"{source} contains a {name}, which cannot be exported; expected one of {', '.join(CLASSES)}")
    model, info = CLASSES[name].from_pretrained(source, dtype="auto", output_loading_info=True, **hub)
    wrong = {kind: sorted(map(str, keys)) for kind, keys in info.items() if keys and kind.endswith("_keys")}
    if wrong:
        shown = "; ".join(f"{kind.replace('_', ' ')}: {', '.join(keys[:3])}" for kind, keys in wrong.items())
        raise ExportError(f"the weights of {source} do not fit its config: {shown}")
    return merge_lora(model).eval()  # with transformers alone there is no peft


def load_processor(source: str | Path, *, needs_text: bool, **hub: Any) -> PanoLLaVaProcessor | PanoLLaVaImageProcessor:
    """The processor of a checkpoint; only the image processor if there is no tokenizer and the model needs none."""
    found = cached_file(source, "tokenizer_config.json", _raise_exceptions_for_missing_entries=False, **hub)
    if found is None and not needs_text:
        return PanoLLaVaImageProcessor.from_pretrained(source, **hub)
    return PanoLLaVaProcessor.from_pretrained(source, **hub)
