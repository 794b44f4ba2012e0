"""A checkpoint → a folder that anyone with transformers alone can load (`trust_remote_code=True`)."""

import os
import tempfile
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers.utils import cached_file

from panollava_hf._lora import carries_adapters, merge_adapters
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.hub._card import CardFacts, write_card
from panollava_hf.hub._config_files import ENTRIES, complete
from panollava_hf.hub._flatten import flatten
from panollava_hf.hub._weights import write_old_names
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.modeling_panollava_vision import PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg
from panollava_hf.processing_panollava import PanoLLaVaProcessor

CLASSES: dict[str, type[PreTrainedModel]] = {
    kind.__name__: kind
    for kind in (PanoLLaVaForConditionalGeneration, PanoLLaVaForVICReg, PanoLLaVaForFeatureExtraction)
}


def export_checkpoint(source: str | Path, output: Path, *, facts: CardFacts | None = None, **hub: Any) -> Path:
    """Write a self-contained folder: code, weights, configs, tokenizer, chat template and model card.

    Args:
        source: Checkpoint folder or Hub id.
        output: Folder to write; it appears whole or not at all.
        facts: What the card says beyond what the checkpoint knows.
        hub: `revision`, `token`, `cache_dir` … for a source on the Hub.

    Returns:
        The folder.

    Raises:
        FileExistsError: `output` exists and is not an empty folder.
        ExportError: The code cannot be exported.
        OSError: The source cannot be read, or the folder not be written.
        ValueError: The source is no PanoLLaVA checkpoint, or not all of one.
    """
    output = Path(output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise FileExistsError(f"{output} exists already: name a new folder")
    code = flatten(f"panollava_hf.{module}" for module in ENTRIES)
    model = load_whole(source, **hub)
    processor = load_processor(source, needs_text=isinstance(model, PanoLLaVaForConditionalGeneration), **hub)
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix=f".{output.name}.") as scratch:
        folder = Path(scratch) / "export"
        folder.mkdir()
        write_old_names(model)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        complete(folder, tied=bool(model.config.tie_word_embeddings))
        for name, text in code.items():
            (folder / name).write_text(text, encoding="utf-8")
        write_card(folder, model.config, facts or CardFacts(model_id=output.name))
        for file in folder.iterdir():
            file.chmod(0o644)  # weights are written for the owner alone
        os.replace(folder, output)
    return output


def load_whole(source: str | Path, **hub: Any) -> PreTrainedModel:
    """Load a checkpoint as the class it was saved as, with a LoRA adapter that it keeps merged into its weights.

    Raises:
        OSError: It cannot be read.
        ValueError: It is of another kind, or its weights do not fit.
    """
    config = PanoLLaVaConfig.get_config_dict(source, **hub)[0]
    if config.get("model_type") != PanoLLaVaConfig.model_type:
        found = config.get("model_type", "no model_type")
        raise ValueError(f"{source} is no PanoLLaVA checkpoint: its config.json says {found}")
    (name,) = config.get("architectures") or ["PanoLLaVaForConditionalGeneration"]
    if name not in CLASSES:
        raise ValueError(f"{source} holds a {name}; only {', '.join(CLASSES)} can be exported")
    model, info = CLASSES[name].from_pretrained(source, dtype="auto", output_loading_info=True, **hub)
    wrong = {kind: sorted(map(str, keys)) for kind, keys in info.items() if keys and kind.endswith("_keys")}
    if wrong:
        shown = "; ".join(f"{kind.replace('_', ' ')}: {', '.join(keys[:3])}" for kind, keys in wrong.items())
        raise ValueError(f"the weights of {source} do not fit its config: {shown}")
    if carries_adapters(model):  # whoever has transformers alone has no peft
        merge_adapters(model)
    return model.eval()


def load_processor(source: str | Path, *, needs_text: bool, **hub: Any) -> PanoLLaVaProcessor | PanoLLaVaImageProcessor:
    """The processor of a checkpoint; of one that has no tokenizer and needs none, its image side."""
    found = cached_file(source, "tokenizer_config.json", _raise_exceptions_for_missing_entries=False, **hub)
    if found is None and not needs_text:
        return PanoLLaVaImageProcessor.from_pretrained(source, **hub)
    return PanoLLaVaProcessor.from_pretrained(source, **hub)
