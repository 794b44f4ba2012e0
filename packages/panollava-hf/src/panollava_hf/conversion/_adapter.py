"""LoRA: kept as a PEFT adapter folder beside the base, or merged into it, one weight at a time."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._map import Adapter
from panollava_hf.conversion._sources import Sources


def lora_settings(adapters: Mapping[str, Adapter], sources: Sources) -> dict[str, Any]:
    """Rank, scale and dropout, of which only the rank shows in the tensors.

    Raises:
        CheckpointError: They contradict the tensors, or the scale is written nowhere.
    """
    ranks = sorted({adapter.rank for adapter in adapters.values()})
    if len(ranks) != 1:
        raise CheckpointError(f"LoRA adapters of different ranks {ranks} are not supported")
    if not sources.model_config.get("use_lora"):  # then its LoRA fields are mere defaults
        sources = Sources(sources.hyper_parameters, {})
    rank = sources.agreed("lora_r", the_tensors=ranks[0])
    alpha = sources.agreed("lora_alpha")
    if alpha is None:
        raise CheckpointError(
            "lora_alpha, the scale of the LoRA adapters, is written nowhere: add it to the model config"
        )
    dropout = sources.agreed("lora_dropout")
    return {"lora_r": rank, "lora_alpha": alpha, "lora_dropout": 0.0 if dropout is None else float(dropout)}


def check_modules(model: nn.Module, adapters: Mapping[str, Adapter]) -> bool:
    """See that every adapter has its layer, and tell whether those layers keep their weights transposed (GPT-2)."""
    transposed = set()
    for name, adapter in adapters.items():
        try:
            layer = model.get_submodule(name)
        except AttributeError as error:
            raise CheckpointError(
                f"{adapter.keys[0]}: the installed transformers has no layer {name} to put this LoRA adapter on"
            ) from error
        transposed.add(isinstance(layer, Conv1D))
        wanted = (adapter.up.shape[0], adapter.down.shape[1])
        weight = getattr(layer, "weight", torch.empty(0))
        shape = tuple(weight.shape[::-1] if isinstance(layer, Conv1D) else weight.shape)
        if shape != wanted:
            raise CheckpointError(f"{adapter.keys[0]} adapts a layer of shape {wanted}, but {name} is {shape}")
    if len(transposed) > 1:
        raise CheckpointError("LoRA on both Linear and Conv1D layers is not supported")
    return transposed == {True}


def merged(weight: Tensor, adapter: Adapter, scale: float, *, transposed: bool) -> Tensor:
    """`W + scale · B A` (Hu et al. 2021, https://arxiv.org/abs/2106.09685), added in float32."""
    change = (adapter.up.float() @ adapter.down.float()) * scale
    return (weight.float() + (change.T if transposed else change)).to(weight.dtype)


def target_pattern(model: nn.Module, adapters: Mapping[str, Adapter]) -> str:
    """A regular expression for exactly the layers that have adapters: short where all layers of a name have one."""
    kinds = sorted({re.escape(name.rpartition(".")[2]) for name in adapters if "." in name})
    short = rf"panollava\.language_model\..*\.({'|'.join(kinds)})"
    if {name for name, _ in model.named_modules() if re.fullmatch(short, name)} == set(adapters):
        return short
    return "|".join(re.escape(name) for name in sorted(adapters))


def save_adapter(
    folder: Path,
    model: nn.Module,
    adapters: Mapping[str, Adapter],
    settings: Mapping[str, Any],
    *,
    transposed: bool,
    dtype: Any,
) -> None:
    """Write a PEFT adapter folder for `PeftModel.from_pretrained(model, folder)` or `model.load_adapter(folder)`."""
    from peft import LoraConfig

    config = LoraConfig(
        r=settings["lora_r"],
        lora_alpha=settings["lora_alpha"],
        lora_dropout=settings["lora_dropout"],
        # The vision tower may have layers of the same names, so a list of names would not do.
        target_modules=target_pattern(model, adapters),
        fan_in_fan_out=transposed,
        task_type="CAUSAL_LM",
        inference_mode=True,
    )
    folder.mkdir()
    tensors = {}
    for name, adapter in adapters.items():
        for side, tensor in (("A", adapter.down), ("B", adapter.up)):
            cast = tensor if dtype is None else tensor.to(dtype)
            tensors[f"base_model.model.{name}.lora_{side}.weight"] = cast.contiguous()
    save_file(tensors, str(folder / "adapter_model.safetensors"), metadata={"format": "pt"})
    config.save_pretrained(str(folder))
