"""LoRA on the language model alone (Hu et al. 2021, https://arxiv.org/abs/2106.09685), through peft.

There are two ways to use it, with the same settings, the same files and the same merge:

- `add_lora(model)` wraps the model in peft's class, for training with peft's own tools.
- `config.use_lora` makes the model contain its adapters. Its checkpoint folder holds the base under its usual weight
  names and a PEFT adapter folder `adapter/`; `from_pretrained` loads both.

The vision tower has layers of the same names (`q_proj`, …), so the target is a pattern and not a list of names.
"""

import re
import warnings
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

from panollava_hf._errors import ModelError, boundary
from panollava_hf.outside._adapter_config import read_adapter_config, require_rank
from panollava_hf.outside._weight_files import follow_umask, read_header, require_floats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peft import LoraConfig, PeftModel

#: Folder of a LoRA adapter that is not merged, inside a checkpoint folder.
ADAPTER_FOLDER = "adapter"
CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
#: Prefix of every weight name in a PEFT file.
PREFIX = "base_model.model."
#: Arguments of `from_pretrained` that say where files come from.
WHERE = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
#: Layers that can be adapted; Conv1D is GPT-2's linear layer.
LINEAR = (nn.Linear, Conv1D)
#: Parts that `trainable_report` counts; whatever is in none of them is reported as "other".
PARTS = ("vision_backbone", "resampler", "projector", "language_model", "lm_head", "vicreg_projector")

_without_adapters: ContextVar[bool] = ContextVar("without_adapters", default=False)


# Settings


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


def lora_config(model: PreTrainedModel, **changes: Any) -> "LoraConfig":
    """The settings that the model's config describes, as peft's class.

    Args:
        model: The model to adapt.
        changes: Fields of `peft.LoraConfig` to add or replace (`modules_to_save`, `use_dora`, `target_modules`, …).
    """
    config: Any = model.config
    settings = {
        "r": config.lora_r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "target_modules": lora_targets(model),
        "task_type": "CAUSAL_LM",
    }
    return _peft().LoraConfig(**{**settings, **changes})


def _peft() -> Any:
    # By name, and not `import peft`: transformers refuses code from the Hub that imports a package you do not have.
    try:
        return import_module("peft")
    except ImportError as error:
        raise ImportError("LoRA needs peft: pip install peft, or set use_lora=False") from error


# Wrapping and merging


def add_lora(model: PreTrainedModel, *, train_projector: bool = True, **changes: Any) -> "PeftModel":
    """Add LoRA adapters to the language model, wrap the model in peft's class, and freeze the other weights.

    Args:
        model: `PanoLLaVaForConditionalGeneration`; it is changed in place and wrapped. Adapters that it contains
            (`use_lora`) are merged into its weights first.
        train_projector: Whether the projector is trained in full next to the adapters, as in the finetune stage.
        changes: Fields of `peft.LoraConfig` to add or replace.

    Returns:
        The model in peft's class. `save_pretrained` writes the adapter alone, `merge_and_unload` returns a plain model.

    Example:
        >>> from panollava_hf import PanoLLaVaForConditionalGeneration, add_lora, default_checkpoint
        >>> model = add_lora(PanoLLaVaForConditionalGeneration.from_pretrained(default_checkpoint()), r=4)
        >>> sorted({name.split(".")[3] for name, p in model.named_parameters() if p.requires_grad})
        ['language_model', 'projector']
    """
    if carries_adapters(model):
        merge_adapters(model)
    if train_projector:
        changes.setdefault("modules_to_save", ["projector"])
    return _peft().get_peft_model(model, lora_config(model, **changes))


def merge_lora(model: "PreTrainedModel | PeftModel") -> Any:
    """Add the adapters to the weights: a plain model with the same answers that needs no peft.

    Args:
        model: The result of `add_lora`, or a model that contains adapters; changed in place.

    Returns:
        The `PanoLLaVaForConditionalGeneration`.
    """
    if hasattr(model, "merge_and_unload"):
        return model.merge_and_unload()
    if carries_adapters(model):
        merge_adapters(model)
    return model


def trainable_report(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Trainable and all parameters of each part that has trainable ones: `{part: (trainable, all)}`."""
    counts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        part = next((p for p in PARTS if f".{p}." in f".{name}"), "other")
        trained, every = counts.get(part, (0, 0))
        counts[part] = (trained + parameter.numel() * parameter.requires_grad, every + parameter.numel())
    return {part: numbers for part, numbers in counts.items() if numbers[0]}


# Models that contain their adapters


@contextmanager
def built_plain() -> "Iterator[None]":
    """Models built inside get no adapters yet: their weights are loaded under the names they have without."""
    token = _without_adapters.set(True)
    try:
        yield
    finally:
        _without_adapters.reset(token)


def is_built_plain() -> bool:
    """Whether a model that is being built must wait for its adapters."""
    return _without_adapters.get()


def carries_adapters(model: nn.Module) -> bool:
    """Whether the model contains adapters because of its config; a model that peft has wrapped does not."""
    # The second condition: peft may have merged them since.
    return getattr(model, "_carries_adapters", False) and any(".lora_" in name for name, _ in model.named_parameters())


def start_adapters(model: Any, settings: "LoraConfig | None" = None, state: dict[str, Tensor] | None = None) -> Any:
    """Add adapters to the language model and freeze all other weights; fresh adapters change no output.

    Args:
        model: The model, changed in place.
        settings: Default: what the model's config describes.
        state: Weights of the adapters; None starts fresh ones.

    Returns:
        peft's record of missing and unexpected names in `state`, None without it.
    """
    peft = _peft()
    training = model.training
    # peft's own function: `add_adapter` of transformers does the same, but only with the newest peft.
    peft.inject_adapter_in_model(settings or lora_config(model), model)
    mismatch = None if state is None else peft.set_peft_model_state_dict(model, state)
    # Kept under a name of our own: with the usual one, wrapping the model in peft's class would warn of two adapters.
    model._adapter_settings = model.peft_config["default"]
    del model.peft_config
    model._carries_adapters = model._hf_peft_config_loaded = True
    model.train(training)
    return mismatch


def merge_adapters(model: Any) -> None:
    """Add the adapters that a model contains to its weights, in place; it is a plain model afterwards."""
    for name, module in list(model.named_modules()):
        if hasattr(module, "merge") and hasattr(module, "get_base_layer"):
            module.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, module.get_base_layer())
    model._carries_adapters = model._hf_peft_config_loaded = False
    del model._adapter_settings
    model.config.use_lora = False


# Files


def load_adapters(model: Any, source: str | Path | None, **where: Any) -> None:
    """Load the adapter that a checkpoint keeps next to its base, or start a fresh one.

    A fresh one belongs to a base whose own config says `use_lora: false`. An adapter next to such a base is merged into
    it already and is not loaded.

    Raises:
        ModelError: The config says `use_lora`, but the adapter is missing, damaged or not accepted, or it was made for
            another language model.
    """
    stored = type(model).config_class.get_config_dict(source, **where)[0] if source is not None else {}
    if source is None or not stored.get("use_lora"):
        start_adapters(model)
        return
    folder = find_adapter(source, **where)
    if folder is None:
        raise ModelError(
            f"{source}: its config says use_lora, but {ADAPTER_FOLDER}/{CONFIG_FILE} or {WEIGHTS_FILE} is missing; "
            "without the adapter its answers would be those of the base model alone: copy or download the folder again"
        )
    path = folder / CONFIG_FILE
    given = read_adapter_config(path)
    require_floats(folder / WEIGHTS_FILE, read_header(folder / WEIGHTS_FILE))
    again = "use an adapter that was trained with this language model, or copy the folder again"
    with boundary(ModelError, f"the adapter in {folder} cannot be loaded", again):
        state = {name.removeprefix(PREFIX): value for name, value in load_file(folder / WEIGHTS_FILE).items()}
        require_rank(path, given, max((v.shape[0] for k, v in state.items() if ".lora_A." in k), default=0))
        settings = _peft().PeftConfig.from_pretrained(str(folder))
        settings.inference_mode = False
        settings.init_lora_weights = True  # replaced by the stored weights; the other ways may take hours
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about weights that the stored ones replace
            mismatch = start_adapters(model, settings, state)
    missing = [name for name in mismatch.missing_keys if ".lora_" in name]
    if missing or mismatch.unexpected_keys:
        raise ModelError(
            f"the adapter in {folder} does not fit the model: missing weights {missing[:3]}, unexpected weights "
            f"{mismatch.unexpected_keys[:3]}; use an adapter that was trained with this language model"
        )


def find_adapter(source: str | Path, **where: Any) -> Path | None:
    """The adapter folder of a checkpoint, downloaded if it is on the Hub; None if there is none."""
    found = [
        cached_file(source, f"{ADAPTER_FOLDER}/{name}", _raise_exceptions_for_missing_entries=False, **where)
        for name in (CONFIG_FILE, WEIGHTS_FILE)
    ]
    return Path(found[0]).parent if all(found) else None


def write_adapter(folder: Path, state: dict[str, Tensor], settings: "LoraConfig") -> None:
    """Write a PEFT adapter folder, for `PeftModel.from_pretrained(model, folder)` or `model.load_adapter(folder)`.

    Args:
        folder: The folder, created if it is missing.
        state: Adapter weights `….lora_A.weight`, `….lora_B.weight`; peft's prefix is added where it is missing.
        settings: Their settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {PREFIX + name.removeprefix(PREFIX): value.contiguous() for name, value in state.items()}
    save_file(tensors, folder / WEIGHTS_FILE, {"format": "pt"})
    settings.save_pretrained(str(folder))
    follow_umask([folder / WEIGHTS_FILE])


def save_with_adapter(save: Any, model: Any, directory: str | Path, options: dict[str, Any]) -> None:
    """Write base and adapter as `load_adapters` finds them.

    Args:
        save: `save_pretrained` of transformers, bound to the model.
        model: The model.
        directory: Folder to write.
        options: Further arguments of `save_pretrained`.
    """
    state = options.pop("state_dict", None)
    state = model.state_dict() if state is None else state
    if options.get("is_main_process", True):
        write_adapter(Path(directory) / ADAPTER_FOLDER, adapter_state(state), model._adapter_settings)
    model._hf_peft_config_loaded = False  # transformers would write the adapter alone
    try:
        save(directory, state_dict=plain_state(state), **options)
    finally:
        model._hf_peft_config_loaded = True


def plain_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The base's weights under the names that they have without adapters."""
    return {name.replace(".base_layer.", "."): value for name, value in state.items() if ".lora_" not in name}


def adapter_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The adapters' weights under the names of a PEFT file, which leave out the adapter's name `default`."""
    named = re.compile(r"(\.lora_\w+)\.default\b")
    return {named.sub(r"\1", name): value for name, value in state.items() if ".lora_" in name}
