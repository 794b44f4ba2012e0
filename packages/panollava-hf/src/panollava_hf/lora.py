"""LoRA on the language model alone (Hu et al. 2021, https://arxiv.org/abs/2106.09685), through peft.

The vision tower has layers of the same names (`q_proj`, …), so a bare list of names would put adapters there too.
"""

import re
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.modeling_generation import PanoLLaVaForConditionalGeneration


def lora_targets(model: PanoLLaVaForConditionalGeneration) -> str:
    """A regular expression that matches every linear layer of the language model's blocks, and nothing else.

    Raises:
        ValueError: The language model has no linear layers.
    """
    inside = {name: module for name, module in model.named_modules() if ".language_model." in f".{name}"}
    names = {name.rpartition(".")[2] for name, module in inside.items() if isinstance(module, LINEAR)}
    if not names:
        raise ValueError(f"{type(model.language_model).__name__} has no linear layers for LoRA to adapt")
    return r".*\blanguage_model\..*\.(" + "|".join(sorted(map(re.escape, names))) + ")"


def _linear_types() -> tuple[type[nn.Module], ...]:
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    return (nn.Linear, Conv1D)


LINEAR = _linear_types()


def lora_config(model: PanoLLaVaForConditionalGeneration, **changes: Any) -> LoraConfig:
    """What peft needs to adapt the language model of `model`, from the fields of its config.

    Args:
        model: The model to adapt.
        changes: Further or other fields of `peft.LoraConfig` (`modules_to_save`, `use_dora`, `target_modules`, …).
    """
    config: PanoLLaVaConfig = model.config
    settings: dict[str, Any] = {
        "r": config.lora_r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "target_modules": lora_targets(model),
        "task_type": "CAUSAL_LM",
    }
    return LoraConfig(**{**settings, **changes})


def add_lora(model: PanoLLaVaForConditionalGeneration, *, train_projector: bool = True, **changes: Any) -> PeftModel:
    """Put LoRA adapters on the language model and freeze the rest.

    Args:
        model: The model to adapt; it is changed in place and wrapped.
        train_projector: Whether the projector trains in full beside the adapters, as in the finetune stage.
        changes: Fields of `peft.LoraConfig` to add or change.

    Returns:
        peft's model: `save_pretrained` writes the adapter alone, `merge_and_unload` gives a plain model back.

    Example:
        >>> from panollava_hf import PanoLLaVaForConditionalGeneration
        >>> from panollava_hf.answering import default_checkpoint
        >>> from panollava_hf.lora import add_lora, trainable_report
        >>> model = add_lora(PanoLLaVaForConditionalGeneration.from_pretrained(default_checkpoint()), r=4)
        >>> sorted(trainable_report(model))
        ['language_model', 'projector']
    """
    model.config.use_lora = True
    if train_projector:
        changes.setdefault("modules_to_save", ["projector"])
    return get_peft_model(model, lora_config(model, **changes))


def trainable_report(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Trainable and all parameters of each part that has trainable ones: `{part: (trainable, all)}`."""
    parts = ("vision_backbone", "resampler", "projector", "language_model", "lm_head", "vicreg_projector")
    counts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        part = next((p for p in parts if f".{p}." in f".{name}"), "other")
        trained, every = counts.get(part, (0, 0))
        counts[part] = (trained + parameter.numel() * parameter.requires_grad, every + parameter.numel())
    return {part: numbers for part, numbers in counts.items() if numbers[0]}
