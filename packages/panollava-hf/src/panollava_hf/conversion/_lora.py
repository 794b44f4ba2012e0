"""LoRA: kept as a PEFT adapter folder next to the base, or merged into it one weight at a time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from panollava_hf._errors import CheckpointError
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.conversion._parts import Adapter

if TYPE_CHECKING:
    from peft import LoraConfig


@dataclass(frozen=True)
class PeftAdapter:
    """LoRA factors that fit the new model.

    Attributes:
        state: Tensors by the name that PEFT gives them.
        settings: What `peft` needs to know about them.
        transposed: Whether the adapted layers store their weights transposed, as GPT-2's do.
    """

    state: dict[str, Tensor]
    settings: "LoraConfig"
    transposed: bool


def fit_adapters(
    model: nn.Module, adapters: Mapping[str, Adapter], config: PanoLLaVaConfig, dtype: torch.dtype | None
) -> PeftAdapter | None:
    """Check that the model has a layer of the right shape for each adapter, and make a PEFT adapter of them.

    Args:
        model: The new model.
        adapters: LoRA factors by the name of their layer in it.
        config: Its config, for rank, scale and dropout.
        dtype: Type of the factors; default: as stored.

    Returns:
        The adapter; None if there are no factors.

    Raises:
        CheckpointError: A layer does not exist or has another shape.
    """
    if not adapters:
        return None
    from peft import LoraConfig

    kinds = {_check_layer(model, name, adapter) for name, adapter in adapters.items()}
    if len(kinds) > 1:
        raise CheckpointError("LoRA on both Linear and Conv1D layers is not supported")
    transposed = kinds.pop()
    settings = LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        # The vision tower may have layers of the same names, so a list of names is not enough.
        target_modules=_pattern(model, adapters),
        fan_in_fan_out=transposed,
        task_type="CAUSAL_LM",
        inference_mode=True,
    )
    factors = {
        f"{name}.lora_{side}.weight": factor
        for name, adapter in adapters.items()
        for side, factor in (("A", adapter.down), ("B", adapter.up))
    }
    return PeftAdapter(
        {name: factor.to(dtype or factor.dtype) for name, factor in factors.items()}, settings, transposed
    )


def _check_layer(model: nn.Module, name: str, adapter: Adapter) -> bool:
    """Check one layer, and return whether it stores its weights transposed."""
    try:
        layer = model.get_submodule(name)
    except AttributeError as error:
        raise CheckpointError(
            f"{adapter.keys[0]}: the installed transformers has no layer {name} for this LoRA adapter"
        ) from error
    transposed = isinstance(layer, Conv1D)
    expected = (adapter.up.shape[0], adapter.down.shape[1])
    weight = getattr(layer, "weight", torch.empty(0))
    shape = tuple(weight.shape[::-1] if transposed else weight.shape)
    if shape != expected:
        raise CheckpointError(f"{adapter.keys[0]} adapts a layer of shape {expected}, but {name} is {shape}")
    return transposed


def _pattern(model: nn.Module, adapters: Mapping[str, Adapter]) -> str:
    """A regular expression that matches exactly the layers with adapters; short if all layers of a name have one."""
    kinds = sorted({re.escape(name.rpartition(".")[2]) for name in adapters if "." in name})
    short = rf"panollava\.language_model\..*\.({'|'.join(kinds)})"
    if {name for name, _ in model.named_modules() if re.fullmatch(short, name)} == set(adapters):
        return short
    return "|".join(re.escape(name) for name in sorted(adapters))


def merged(weight: Tensor, adapter: Adapter, alpha: float, *, transposed: bool) -> Tensor:
    """`W + alpha / rank · B A` (Hu et al. 2021, https://arxiv.org/abs/2106.09685), added in float32.

    Args:
        weight: `[out, in]`, or `[in, out]` if `transposed`.
        adapter: The factors `A` and `B`.
        alpha: Scale of all adapters.
        transposed: Whether the weight is stored transposed.
    """
    change = (adapter.up.float() @ adapter.down.float()) * (alpha / adapter.down.shape[0])
    return (weight.float() + (change.T if transposed else change)).to(weight.dtype)
