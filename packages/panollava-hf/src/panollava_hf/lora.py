"""LoRA on the language model alone (Hu et al. 2021, https://arxiv.org/abs/2106.09685), through peft.

The vision tower has layers of the same names (`q_proj`, …), so a bare list of names would put adapters there too.
"""

from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from panollava_hf.adapters import carries_adapters, lora_settings, lora_targets, merge_adapters
from panollava_hf.modeling_generation import PanoLLaVaForConditionalGeneration

__all__ = ["add_lora", "lora_config", "lora_targets", "merge_lora", "trainable_report"]


def lora_config(model: PanoLLaVaForConditionalGeneration, **changes: Any) -> LoraConfig:
    """What peft needs to adapt the language model of `model`, from the fields of its config.

    Args:
        model: The model to adapt.
        changes: Further or other fields of `peft.LoraConfig` (`modules_to_save`, `use_dora`, `target_modules`, …).
    """
    return LoraConfig(**{**lora_settings(model), **changes})


def add_lora(model: PanoLLaVaForConditionalGeneration, *, train_projector: bool = True, **changes: Any) -> PeftModel:
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
        >>> from panollava_hf.answering import default_checkpoint
        >>> from panollava_hf.lora import add_lora, trainable_report
        >>> model = add_lora(PanoLLaVaForConditionalGeneration.from_pretrained(default_checkpoint()), r=4)
        >>> sorted(trainable_report(model))
        ['language_model', 'projector']
    """
    if carries_adapters(model):
        merge_adapters(model)
    if train_projector:
        changes.setdefault("modules_to_save", ["projector"])
    return get_peft_model(model, lora_config(model, **changes))


def merge_lora(model: PanoLLaVaForConditionalGeneration | PeftModel) -> PanoLLaVaForConditionalGeneration:
    """Add the adapters to the weights: a plain model with the same answers, that needs no peft.

    Args:
        model: What `add_lora` returned, or a model that carries adapters itself; changed in place.
    """
    if isinstance(model, PeftModel):
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
