"""LoRA adapters that a model carries itself (`config.use_lora`), made by peft.

A folder with adapters holds the base under its plain names, and a PEFT adapter folder `adapter/` beside it.
"""

import re
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.utils import cached_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peft import LoraConfig, PeftModel

    from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration

#: Where a checkpoint keeps a LoRA adapter that is not merged into it.
ADAPTER_FOLDER = "adapter"
#: Its files.
FILES = ("adapter_config.json", "adapter_model.safetensors")
#: What peft puts before every name in an adapter's file.
PREFIX = "base_model.model."
#: Arguments of `from_pretrained` that say where files come from.
WHERE = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
#: Layers that can be adapted; Conv1D is GPT-2's linear layer.
LINEAR = (nn.Linear, Conv1D)

_plain: ContextVar[bool] = ContextVar("plain", default=False)


@contextmanager
def built_plain() -> "Iterator[None]":
    """Models built inside carry no adapters yet: weights are loaded under the names that they have without."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def is_built_plain() -> bool:
    """Whether a model that is being built must wait for its adapters."""
    return _plain.get()


def carries_adapters(model: nn.Module) -> bool:
    """Whether the model carries adapters by its config's word; one that peft has wrapped does not."""
    # peft may have merged them since
    return getattr(model, "_carries_adapters", False) and any(".lora_" in name for name, _ in model.named_parameters())


def lora_targets(model: PreTrainedModel) -> str:
    """A regular expression that matches every linear layer of the language model's blocks, and nothing else.

    Raises:
        ValueError: The language model has no linear layers.
    """
    inside = {name: module for name, module in model.named_modules() if ".language_model." in f".{name}"}
    names = {name.rpartition(".")[2] for name, module in inside.items() if isinstance(module, LINEAR)}
    if not names:
        raise ValueError(f"{type(model.get_decoder()).__name__} has no linear layers for LoRA to adapt")
    return r".*\blanguage_model\..*\.(" + "|".join(sorted(map(re.escape, names))) + ")"


def lora_settings(model: PreTrainedModel) -> dict[str, Any]:
    """Arguments of `peft.LoraConfig` that the model's config stands for."""
    config: Any = model.config
    return {
        "r": config.lora_r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "target_modules": lora_targets(model),
        "task_type": "CAUSAL_LM",
    }


def _peft() -> Any:
    # By name, and not `import peft`: a folder on the Hub that imports it could not be loaded without it.
    try:
        return import_module("peft")
    except ImportError as error:
        raise ImportError("use_lora=True needs peft: pip install peft, or set use_lora=False") from error


def start_adapters(model: Any, settings: Any = None, state: dict[str, Tensor] | None = None) -> Any:
    """Put adapters on the language model, which are all that trains then; fresh ones change nothing yet.

    Args:
        model: The model, changed in place.
        settings: A `peft.LoraConfig`; default: what the model's config says.
        state: Weights of the adapters; None starts fresh ones.

    Returns:
        Names that `state` lacks or has too many, where it is given.
    """
    peft = _peft()
    training = model.training
    # peft's own function: `add_adapter` of transformers does the same, but only beside the newest peft.
    peft.inject_adapter_in_model(settings or peft.LoraConfig(**lora_settings(model)), model)
    odd = None if state is None else peft.set_peft_model_state_dict(model, state)
    # Kept under a name of our own: with the usual one, wrapping the model in peft's class would warn of two adapters.
    model._adapter_settings = model.peft_config["default"]
    del model.peft_config
    model._carries_adapters = model._hf_peft_config_loaded = True
    model.train(training)
    return odd


def find_adapter(source: str | Path, **where: Any) -> Path | None:
    """The adapter folder that belongs on top of a checkpoint, local once this returns; None if there is none."""
    found = [
        cached_file(
            source,
            f"{ADAPTER_FOLDER}/{name}",
            _raise_exceptions_for_missing_entries=False,
            **where,
        )
        for name in FILES
    ]
    return Path(found[0]).parent if all(found) else None


def load_adapters(model: Any, source: str | Path | None, **where: Any) -> None:
    """Put on the adapter that a checkpoint keeps beside its base, or else a fresh one.

    An adapter beside a base whose own config says `use_lora: false` is merged into it already, and stays off.
    """
    stored = type(model).config_class.get_config_dict(source, **where)[0] if source is not None else {}
    folder = find_adapter(source, **where) if source is not None and stored.get("use_lora") else None
    if folder is None:
        start_adapters(model)
        return
    settings = _peft().PeftConfig.from_pretrained(str(folder))
    settings.inference_mode = False
    state = {name.removeprefix(PREFIX): value for name, value in load_file(folder / FILES[1]).items()}
    odd = start_adapters(model, settings, state)
    wanted = [name for name in odd.missing_keys if ".lora_" in name]
    if wanted or odd.unexpected_keys:
        raise ValueError(
            f"the adapter in {folder} does not fit the model: it lacks {wanted[:3]} and has "
            f"{odd.unexpected_keys[:3]}; was it made for this language model?"
        )


def save_with_adapter(save: Any, model: Any, directory: str | Path, options: dict[str, Any]) -> None:
    """Write base and adapter as `load_adapters` finds them.

    Args:
        save: `save_pretrained` of transformers, bound to the model.
        model: The model.
        directory: Where to.
        options: Further arguments of `save_pretrained`.
    """
    state = options.pop("state_dict", None)
    state = model.state_dict() if state is None else state
    if options.get("is_main_process", True):
        folder = Path(directory) / ADAPTER_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: value.contiguous() for name, value in adapter_state(state).items()}
        save_file(tensors, folder / FILES[1], {"format": "pt"})
        model._adapter_settings.save_pretrained(str(folder))
    model._hf_peft_config_loaded = False  # transformers would write the adapter alone
    try:
        save(directory, state_dict=plain_state(state), **options)
    finally:
        model._hf_peft_config_loaded = True


def plain_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The base's weights under the names that they have without adapters."""
    return {name.replace(".base_layer.", "."): value for name, value in state.items() if ".lora_" not in name}


def adapter_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The adapters' weights under the names of a PEFT file, which leaves out that the adapter is called `default`."""
    named = re.compile(r"(\.lora_\w+)\.default\b")
    return {PREFIX + named.sub(r"\1", name): value for name, value in state.items() if ".lora_" in name}


def merge_adapters(model: Any) -> None:
    """Add the adapters that a model carries to its weights, in place; it is a plain model afterwards."""
    for name, module in list(model.named_modules()):
        if hasattr(module, "merge") and hasattr(module, "get_base_layer"):
            module.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, module.get_base_layer())
    model._carries_adapters = model._hf_peft_config_loaded = False
    del model._adapter_settings
    model.config.use_lora = False


def lora_config(model: "PanoLLaVaForConditionalGeneration", **changes: Any) -> "LoraConfig":
    """What peft needs to adapt the language model of `model`, from the fields of its config.

    Args:
        model: The model to adapt.
        changes: Further or other fields of `peft.LoraConfig` (`modules_to_save`, `use_dora`, `target_modules`, …).
    """
    return _peft().LoraConfig(**{**lora_settings(model), **changes})


def add_lora(
    model: "PanoLLaVaForConditionalGeneration", *, train_projector: bool = True, **changes: Any
) -> "PeftModel":
    """Put LoRA adapters on the language model, wrap the model in peft's class, and freeze the rest.

    Args:
        model: The model to adapt; it is changed in place and wrapped. Adapters that it carries itself (`use_lora`) are
            merged into its weights first.
        train_projector: Whether the projector trains in full beside the adapters, as in the finetune stage.
        changes: Fields of `peft.LoraConfig` to add or change.

    Returns:
        peft's model: `save_pretrained` writes the adapter alone, `merge_and_unload` gives a plain model back.

    Example:
        >>> from panollava_hf import PanoLLaVaForConditionalGeneration
        >>> from panollava_hf.asking._answerer import default_checkpoint
        >>> from panollava_hf._lora import add_lora, trainable_report
        >>> model = add_lora(PanoLLaVaForConditionalGeneration.from_pretrained(default_checkpoint()), r=4)
        >>> sorted(trainable_report(model))
        ['language_model', 'projector']
    """
    if carries_adapters(model):
        merge_adapters(model)
    if train_projector:
        changes.setdefault("modules_to_save", ["projector"])
    return _peft().get_peft_model(model, lora_config(model, **changes))


def merge_lora(model: "PanoLLaVaForConditionalGeneration | PeftModel") -> "PanoLLaVaForConditionalGeneration":
    """Add the adapters to the weights: a plain model with the same answers, that needs no peft.

    Args:
        model: What `add_lora` returned, or a model that carries adapters itself; changed in place.
    """
    if hasattr(model, "merge_and_unload"):
        return model.merge_and_unload()
    if carries_adapters(model):
        merge_adapters(model)
    return model


def trainable_report(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Trainable and all parameters of each part that has trainable ones: `{part: (trainable, all)}`."""
    parts = ("vision_backbone", "resampler", "projector", "language_model", "lm_head", "vicreg_projector")
    counts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        part = next((p for p in parts if f".{p}." in f".{name}"), "other")
        trained, every = counts.get(part, (0, 0))
        counts[part] = (trained + parameter.numel() * parameter.requires_grad, every + parameter.numel())
    return {part: numbers for part, numbers in counts.items() if numbers[0]}
