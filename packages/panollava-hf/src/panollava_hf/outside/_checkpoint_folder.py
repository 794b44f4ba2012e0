"""What is in a checkpoint folder, found before torch and transformers are imported, and before anything is loaded."""

import re
from pathlib import Path
from typing import Any

from panollava_hf._errors import ModelError
from panollava_hf.outside._hub_source import SERVE_GGUF, find_source
from panollava_hf.outside._json_file import TOKENIZER_BYTES, json_kind, read_object, require_file
from panollava_hf.outside._weight_files import check_weights

MODEL_TYPE = "panollava"
#: A checkpoint's LoRA adapter.
ADAPTER_FILES = ("adapter/adapter_config.json", "adapter/adapter_model.safetensors")
#: Settings next to config.json, which are JSON objects, and texts.
OBJECTS = (
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
TEXTS = ("tokenizer.json", "chat_template.jinja", "chat_template.json", "vocab.json", "vocab.txt", "merges.txt")
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif", ".bmp", ".gif", ".jfif")
#: Fields of a config by which a model of transformers reads images, and by which it writes text.
SEES = re.compile("image|img|vision|visual|vq_config|patch|num_channels|^encoder$|^thinker_config$")
WRITES = {"vocab_size", "text_config", "decoder", "language_config", "llm_config"}
#: Longest part of a folder's content in a message.
SHOWN = 60


def check_checkpoint(source: str | Path, **where: Any) -> dict[str, Any]:
    """Check quickly whether something is a PanoLLaVA checkpoint; of a Hub id, only its config.json is read.

    Args:
        source: Checkpoint folder or Hub id.
        where: Arguments of `find_source` for a Hub id.

    Returns:
        Its config.

    Raises:
        ModelError: There is no such folder or model, it is of another kind, or its files are damaged or incomplete.
    """
    folder = find_source(source, "config", **where)
    if Path(source).is_dir():
        return check_folder(folder)
    return read_config(folder, str(source))


def check_answering_model(source: str | Path, **where: Any) -> str:
    """Check quickly whether something can answer questions about images; of a Hub id, only its config.json is read.

    Args:
        source: Folder or Hub id of a PanoLLaVA checkpoint, or of an image-text-to-text model of transformers.
        where: Arguments of `find_source` for a Hub id.

    Returns:
        The `model_type` in its config.

    Raises:
        ModelError: There is no such folder or model, it reads no images or writes no text, or its files are damaged or
            incomplete.
    """
    folder = find_source(source, "config", **where)
    wanted = "expected a PanoLLaVA checkpoint, or an image-text-to-text model of transformers"
    if not (folder / "config.json").exists():
        raise ModelError(f"{source}: {without_config(folder)}; {wanted}")
    config = read_object(folder / "config.json")
    kind = config.get("model_type")
    if kind == MODEL_TYPE:
        return MODEL_TYPE if folder != Path(source) else str(check_folder(folder)["model_type"])
    if not isinstance(kind, str):
        found = f"is {json_kind(kind)}" if "model_type" in config else "is missing"
        raise ModelError(f"{source}: model_type in its config.json {found}; {wanted}")
    parts = [config, *(value for value in config.values() if isinstance(value, dict))]
    lacking = "reads no images" if not any(SEES.search(key) for key in config) else ""
    lacking = lacking or ("" if any(WRITES & part.keys() for part in parts) else "writes no text")
    if lacking:
        shown = kind[:SHOWN]
        raise ModelError(f"{source}: this is a {shown} model, which {lacking}; {wanted}{_join_hint(shown, config)}")
    if folder == Path(source):
        check_weights(folder)
    return kind


def check_embedder(source: str | Path, **where: Any) -> str:
    """Check quickly whether something can make vectors of panoramas; of a Hub id, only its config.json is read.

    Args:
        source: Folder or Hub id of a PanoLLaVA checkpoint, an embedding export, or a vision tower of transformers.
        where: Arguments of `find_source` for a Hub id.

    Returns:
        The `model_type` in its config; empty for a tower of timm, whose config has none.

    Raises:
        ModelError: There is no such folder or model, it reads no images, or its files are damaged or incomplete.
    """
    folder = find_source(source, "config", **where)
    if not (folder / "config.json").exists():
        raise ModelError(f"{source}: {without_config(folder)}; expected a PanoLLaVA checkpoint or a vision tower")
    if read_object(folder / "config.json").get("model_type") == MODEL_TYPE:
        check_checkpoint(source, **where)
        return MODEL_TYPE
    check_tower(source, "vision", **where)
    return str(read_object(folder / "config.json").get("model_type") or "")[:SHOWN]


def check_folder(folder: Path, name: str | None = None) -> dict[str, Any]:
    """Check the files of a checkpoint folder: kind, settings, weights and adapter.

    Args:
        folder: The folder.
        name: What the user called it; default: the folder.

    Returns:
        Its config.

    Raises:
        ModelError: It is not a PanoLLaVA checkpoint, or its files are damaged or incomplete.
    """
    config = read_config(folder, name)
    for file in OBJECTS:
        if (folder / file).exists():
            read_object(folder / file, TOKENIZER_BYTES)
    for file in TEXTS:
        if (folder / file).exists():
            require_file(folder / file)
    check_weights(folder)
    if config.get("use_lora"):
        require_adapter(folder)
    return config


def read_config(folder: Path, name: str | None = None) -> dict[str, Any]:
    """The config of a checkpoint folder as data.

    Raises:
        ModelError: There is none, it is damaged, or it describes another kind of model.
    """
    name = str(folder) if name is None else name
    if not (folder / "config.json").exists():
        raise ModelError(f"{name}: {without_config(folder)}; expected a PanoLLaVA checkpoint")
    config = read_object(folder / "config.json")
    kind = config.get("model_type")
    if kind == MODEL_TYPE:
        return config
    if not isinstance(kind, str):
        found = f"is {json_kind(kind)}" if "model_type" in config else "is missing"
        raise ModelError(
            f"{name} is not a PanoLLaVA checkpoint: model_type in its config.json {found}, expected 'panollava'"
        )
    kind = kind[:SHOWN]
    raise ModelError(
        f"{name} is not a PanoLLaVA checkpoint: model_type in its config.json is {kind!r}, expected 'panollava'"
        f"{_join_hint(kind, config)}"
    )


def require_adapter(folder: Path) -> None:
    """Check that the LoRA adapter of a checkpoint is there.

    Raises:
        ModelError: A file of it is missing, or not a regular file.
    """
    for file in ADAPTER_FILES:
        if not (folder / file).exists():
            raise ModelError(
                f"{folder}: its config says use_lora, but {file} is missing; without the adapter its answers would be "
                "those of the base model alone: copy or download the folder again"
            )
        require_file(folder / file)


def without_config(folder: Path) -> str:
    """What a folder without config.json is instead."""
    inside = sorted(folder.iterdir())
    if not inside:
        return "this folder is empty"
    missing = "this folder has no config.json"
    if (folder / "adapter_config.json").exists():
        return f"{missing}: it is a LoRA adapter alone, pass the checkpoint folder around it{_base(folder)}"
    if (folder / "model_index.json").exists():
        return f"{missing}: it is a pipeline of diffusers, which makes images"
    models = [path.name for path in inside if (path / "config.json").is_file()]
    if models:
        return f"{missing}, but its folders have one: did you mean {folder / models[-1]}?"
    if any(path.suffix.lower() in IMAGES for path in inside):
        return f"{missing}, it holds images"
    if any(path.suffix.lower() == ".gguf" for path in inside):
        return f"{missing}, it holds a GGUF file: {SERVE_GGUF}"
    if any(path.suffix in (".ckpt", ".pt", ".pth") for path in inside):
        return f"{missing}; `panollava convert` converts a training checkpoint of the original code"
    return missing


def _base(folder: Path) -> str:
    """What else can be done with an adapter that was trained with peft on another model."""
    base = read_object(folder / "adapter_config.json").get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        return ""
    return f", or merge it into {base[:SHOWN]} with merge_and_unload of peft and pass the folder that is saved"


def check_tower(source: str | Path, part: str, **where: Any) -> None:
    """Check quickly whether something is a model that can be joined; of a Hub id, only its config.json is read.

    Args:
        source: Folder or Hub id.
        part: `vision` or `text`, what it is to be.
        where: Arguments of `find_source` for a Hub id.

    Raises:
        ModelError: There is no such folder or model, it is of the other kind, or its files are damaged or incomplete.
    """
    folder = find_source(source, "config", **where)
    if not (folder / "config.json").exists():
        raise ModelError(f"{source}: {without_config(folder)}; expected a {part} model of transformers")
    config = read_object(folder / "config.json")
    kind = str(config.get("model_type"))[:SHOWN]
    sees = {"image_size", "patch_size", "vision_config"} & config.keys()
    writes = {"vocab_size", "text_config"} & config.keys()
    if kind == MODEL_TYPE:
        raise ModelError(f"{source}: this is a PanoLLaVA checkpoint already; expected a {part} model")
    if part == "vision" and "vocab_size" in config and not sees:
        raise ModelError(f"{source}: this is a {kind} model, which reads no images; expected a vision model")
    if part == "text" and sees and not writes:
        raise ModelError(f"{source}: this is a {kind} model, which writes no text; expected a causal language model")
    if part == "text" and _is_encoder(config):
        raise ModelError(
            f"{source}: this is a {kind} model, which does not write text from left to right; expected a causal "
            "language model"
        )
    if Path(source).is_dir():
        check_weights(folder)


def _is_encoder(config: dict[str, Any]) -> bool:
    """Whether a language model is an encoder (BERT), or an encoder with a decoder (T5)."""
    names = config.get("architectures")
    names = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    masked = bool(names) and all(name.endswith(("ForMaskedLM", "ForPreTraining")) for name in names)
    return config.get("is_encoder_decoder") is True or (masked and config.get("is_decoder") is not True)


def _join_hint(kind: str, config: dict[str, Any]) -> str:
    """What can be done with a model of another kind."""
    if isinstance(config.get("vision_config"), dict) and isinstance(config.get("text_config"), dict):
        return ""
    if "vocab_size" in config:
        return f"; this is a {kind} model: `panollava join` makes a PanoLLaVA of it and a vision tower"
    if {"patch_size", "image_size", "num_channels", "depths"} & config.keys():
        return f"; this is a {kind} model: `panollava join` makes a PanoLLaVA of it and a language model"
    return ""
