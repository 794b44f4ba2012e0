"""JSON files of a converted folder, put so that transformers 4.57 and 5.x read the same out of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def make_portable(folder: Path) -> None:
    """Rewrite what one release would write and another misread."""
    _edit(folder / "config.json", _config)
    if (folder / "tokenizer.json").is_file():
        _edit(folder / "tokenizer_config.json", _tokenizer)


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _config(content: dict[str, Any]) -> None:
    for part in (content["text_config"], content["vision_config"]):
        rope = part.get("rope_parameters")
        # 4.57 knows only these two names and would silently take its own default base.
        if isinstance(rope, dict) and "rope_theta" in rope:
            part.setdefault("rope_theta", rope["rope_theta"])
            if rope.get("rope_type", "default") != "default":
                part.setdefault("rope_scaling", {key: value for key, value in rope.items() if key != "rope_theta"})


def _tokenizer(content: dict[str, Any]) -> None:
    # tokenizer.json says everything; a class of the model's family would bring rules of its own.
    content["tokenizer_class"] = "PreTrainedTokenizerFast"
    for name in ("backend", "is_local", "local_files_only", "auto_map"):
        content.pop(name, None)
    extra = content.get("extra_special_tokens")
    if isinstance(extra, list):  # named tokens in 4.57, which has another place for a list
        content["additional_special_tokens"] = content.pop("extra_special_tokens")
    content["model_input_names"] = ["input_ids", "attention_mask"]
