"""The JSON files of a saved model, completed so that each release of transformers finds in them what it looks for."""

import json
import re
from pathlib import Path
from typing import Any

from panollava_hf.hub._portable import make_portable

CODE = {
    "AutoConfig": "configuration_panollava.PanoLLaVaConfig",
    "AutoModel": "modeling_panollava.PanoLLaVaModel",
    "AutoModelForImageTextToText": "modeling_panollava.PanoLLaVaForConditionalGeneration",
    "AutoModelForMultimodalLM": "modeling_panollava.PanoLLaVaForConditionalGeneration",
    "AutoModelForVision2Seq": "modeling_panollava.PanoLLaVaForConditionalGeneration",  # 4.57's name
    "AutoModelForPreTraining": "modeling_panollava_vision.PanoLLaVaForVICReg",
    "AutoImageProcessor": "image_processing_panollava.PanoLLaVaImageProcessor",
    "AutoProcessor": "processing_panollava.PanoLLaVaProcessor",
}
#: The modules that `CODE` names.
ENTRIES = tuple(sorted({reference.split(".")[0] for reference in CODE.values()}))
PROCESSORS = {name: CODE[name] for name in ("AutoImageProcessor", "AutoProcessor")}


def hub_id(name: str | None) -> str | None:
    """A tower's name if it is a Hub id; folders on somebody's disk are nobody's business."""
    return name if name and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) else None


def complete(folder: Path, *, tied: bool) -> None:
    """Complete the files that `save_pretrained` of a model and a processor wrote.

    Args:
        folder: Where they are.
        tied: Whether the model's head shares the input embedding.
    """
    make_portable(folder)
    _edit(folder / "config.json", lambda content: _config(content, tied))
    for name in ("processor_config.json", "preprocessor_config.json"):
        _edit(folder / name, _processor)


def _edit(path: Path, change: Any) -> None:
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _config(content: dict[str, Any], tied: bool) -> None:
    content["auto_map"] = dict(CODE)
    for part in ("vision_config", "text_config"):
        content[part]["_name_or_path"] = hub_id(content[part].get("_name_or_path")) or ""
    # 4.57 asks the language model's config, 5.x the whole model's; and their defaults differ.
    content["tie_word_embeddings"] = content["text_config"]["tie_word_embeddings"] = tied


def _processor(content: dict[str, Any]) -> None:
    content["auto_map"] = dict(PROCESSORS)
    if isinstance(content.get("image_processor"), dict):
        content["image_processor"]["auto_map"] = dict(PROCESSORS)
