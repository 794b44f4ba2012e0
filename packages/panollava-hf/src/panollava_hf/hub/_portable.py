"""Weights and JSON files that every supported release of transformers reads alike.

Vision towers: many were rewritten between 4.57 and 5.x. SigLIP and CLIP lost the level `vision_model.`; ViT, DINOv2 and
Swin renamed their attention layers. New releases also read the old names. Old releases do not read the new names: they
initialise such a tower at random and only warn. So weights are always written under the old names, which transformers
itself lists in its conversion rules.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panollava_hf._auto import AUTO_CLASSES
from panollava_hf._files import edit_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Where the vision tower is in the model.
TOWER = "vision_backbone.encoder"

#: `auto_map` of the processor's files.
PROCESSORS = {name: AUTO_CLASSES[name] for name in ("AutoImageProcessor", "AutoProcessor")}


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


def add_code_references(folder: Path, *, tied: bool) -> None:
    """Name the exported code in the JSON files of a saved model and processor, and remove local paths.

    Args:
        folder: The saved model.
        tied: Whether the model's head shares the input embedding.
    """

    def change(content: dict[str, Any]) -> None:
        content["auto_map"] = dict(AUTO_CLASSES)
        for part in ("vision_config", "text_config"):
            content[part]["_name_or_path"] = hub_id(content[part].get("_name_or_path")) or ""
        # 4.57 reads this from the language model's config, 5.x from the model's; their defaults differ.
        content["tie_word_embeddings"] = content["text_config"]["tie_word_embeddings"] = tied

    edit_json(folder / "config.json", change)
    for name in ("processor_config.json", "preprocessor_config.json"):
        edit_json(folder / name, _add_processors)


def hub_id(name: str | None) -> str | None:
    """The name of a tower if it is a Hub id; None for a local folder, whose path stays private."""
    return name if name and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) else None


def _add_processors(content: dict[str, Any]) -> None:
    content["auto_map"] = dict(PROCESSORS)
    if isinstance(content.get("image_processor"), dict):
        content["image_processor"]["auto_map"] = dict(PROCESSORS)


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
