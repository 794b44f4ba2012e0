"""Load an image-text-to-text model of transformers: its kind first, from its config, then processor and weights."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, PretrainedConfig
from transformers import __version__ as transformers_version
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from panollava_hf._errors import ModelError, boundary, one_line
from panollava_hf._loading import AGAIN
from panollava_hf._quiet import quiet
from panollava_hf._shown import shown
from panollava_hf.asking._families import NO_CHAT
from panollava_hf.outside._checkpoint_folder import without_config
from panollava_hf.outside._hub_source import find_source
from panollava_hf.outside._json_file import read_object
from panollava_hf.outside._tokenizer_file import check_tokenizer
from panollava_hf.outside._weight_files import check_weights, require_whole, weight_files

EXPECTED = "expected an image-text-to-text model of transformers"


def load_parts(
    name: str,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    device_map: Any = None,
    weights: bool = True,
) -> tuple[Any, Any]:
    """The model, on its device, and its processor. Code of the folder is never run.

    Args:
        name: Folder or Hub id.
        device: Device of the model; None is the accelerator of this machine, else the CPU.
        dtype: Floating-point type; None keeps the stored one.
        device_map: As in `from_pretrained`; it places the model instead of `device`.
        weights: False gives a model without weights, on the meta device; of a Hub id only the settings are read.

    Raises:
        ModelError: It is missing, of another kind, damaged or incomplete, or cannot be put on the device.
        ValueError: `device` and `device_map` are both given.
    """
    if device is not None and device_map is not None:
        raise ValueError("device and device_map both say where the model goes; pass one of them")
    wanted, kind = _device(device), _dtype(dtype)
    config = load_config(name)
    if not weights:
        processor = _load_processor(name, find_source(name, "settings"))
        with boundary(ModelError, f"the model {name} cannot be built", EXPECTED), quiet(), torch.device("meta"):
            return AutoModelForImageTextToText.from_config(config, trust_remote_code=False), processor
    folder = find_source(name)
    check_weights(folder)
    safe = any(path.suffix == ".safetensors" for path in weight_files(folder))
    processor = _load_processor(name, folder)
    quantised = getattr(config, "quantization_config", None) is not None
    if quantised and device is not None:
        device_map = {"": wanted}  # quantised weights cannot be moved later
    options = {} if device_map is None else {"device_map": device_map}
    with boundary(ModelError, f"the model {name} cannot be loaded", f"{EXPECTED}; if its files are damaged, {AGAIN}"):
        try:
            with quiet():
                model, info = AutoModelForImageTextToText.from_pretrained(
                    folder,
                    config=config,
                    dtype=kind,
                    trust_remote_code=False,
                    use_safetensors=safe,  # files of torch.save were checked above
                    output_loading_info=True,
                    **options,
                )
        except ImportError as error:  # of quantised weights, or timm: transformers says which package
            raise ModelError(f"the model {name} needs another package: {one_line(error)}") from error
    require_whole(name, info, extra=True)
    model.eval()
    if device_map is None and not quantised:
        with boundary(
            ModelError, f"the model {name} cannot be put on {wanted}", "try --dtype bfloat16 or --device cpu"
        ):
            model.to(wanted)
    if folder != Path(name):  # of the local cache, whose folders are named after commits
        model.config._name_or_path, model.config._commit_hash = name, folder.name
    return model, processor


def load_config(name: str) -> PretrainedConfig:
    """The config of an image-text-to-text model; of a Hub id, only its config.json is read.

    Raises:
        ModelError: There is no such model, or it is of another kind.
    """
    folder = find_source(name, "config")
    if not (folder / "config.json").exists():
        raise ModelError(f"{name}: {without_config(folder)}; {EXPECTED}")
    stored = read_object(folder / "config.json")
    kind = stored.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise ModelError(f"{name}: its config.json has no model_type; {EXPECTED}")
    try:
        with quiet():
            config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # whatever a config raises about its fields
        if kind in CONFIG_MAPPING:
            raise ModelError(f"the config.json of {name} cannot be used ({one_line(error)}); {AGAIN}") from error
        own = "its code is in its own repository, which is not run" if "auto_map" in stored else "update transformers"
        raise ModelError(
            f"{name}: transformers {transformers_version} has no model of type {shown(kind)} ({own}); choose another "
            "model, or serve it and pass --base-url"
        ) from error
    _require_kind(name, kind, stored, config)
    return config


def _require_kind(name: str, kind: str, stored: dict[str, Any], config: PretrainedConfig) -> None:
    """Refuse what cannot answer a question about an image, before any weights are read."""
    if kind in NO_CHAT:
        raise ModelError(f"{name}: a {kind} model {NO_CHAT[kind]}; choose a vision-language model that chats")
    if type(config) not in AutoModelForImageTextToText._model_mapping:
        sees = any(key in stored for key in ("vision_config", "image_size", "num_channels"))
        what = "is not an image-text-to-text model" if sees else "does not read images"
        raise ModelError(f"{name}: this {kind[:60]} model {what}; {EXPECTED}, such as Qwen/Qwen3-VL-2B-Instruct")
    parts = (config, getattr(config, "text_config", None))
    if any(getattr(part, "is_encoder_decoder", False) is True for part in parts):
        raise ModelError(
            f"{name}: this {kind[:60]} model is an encoder-decoder, which does not take chat messages; "
            "choose a vision-language model that chats"
        )


def _load_processor(name: str, folder: Path) -> Any:
    if (folder / "tokenizer.json").exists():
        check_tokenizer(folder / "tokenizer.json")
    with boundary(ModelError, f"the processor of {name} cannot be loaded", f"its files may be damaged: {AGAIN}"):
        try:
            with quiet():
                processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        except ImportError as error:  # SmolVLM needs num2words, others timm or torchvision: transformers says which
            raise ModelError(f"the processor of {name} needs another package: {one_line(error)}") from error
    if getattr(processor, "image_processor", None) is None or getattr(processor, "tokenizer", None) is None:
        raise ModelError(
            f"{name}: its processor is a {type(processor).__name__}, which has no image processor or no tokenizer; "
            f"{EXPECTED}, with its preprocessor_config.json and tokenizer files"
        )
    return processor


def _device(device: str | torch.device | None) -> torch.device:
    """The device itself; None is the accelerator of this machine, else the CPU."""
    if device is None:
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return torch.device("cpu") if found is None else found
    with boundary(ModelError, f"device {shown(str(device))} cannot be used", "use cpu, cuda, cuda:1 or mps"):
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    return wanted


def _dtype(dtype: str | torch.dtype | None) -> str | torch.dtype:
    """The floating-point type; "auto" is the stored one."""
    if dtype is None or dtype == "auto":
        return "auto"
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"dtype {shown(str(dtype))} cannot be used; expected auto, float32, bfloat16 or float16")
    return found
