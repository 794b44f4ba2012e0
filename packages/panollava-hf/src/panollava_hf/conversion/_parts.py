"""Sort a checkpoint's tensors into the parts of the original model.

Towers keep the names that transformers 4 gave their weights, also on disk: 4.57 reads those as they are, and 5.x
through its own renaming.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._report import KeyReport

ModelType = Literal["vicreg", "conditional-generation", "feature-extraction"]

#: Second names of tensors that the original saved twice.
ALIASES = {
    "resampler.": "resampler_module.resampler.",
    "vision_to_language_projection.": "projector.linear.",
}
#: Parts, by the prefix of their keys after `model.`.
PARTS = {
    "vision_backbone.encoder.": "vision",
    "vision_backbone.norm.": "norm",
    "resampler_module.resampler.": "resampler",
    "vicreg_projector.": "vicreg",
    "projector.linear.": "projector",
    "text_projection.": "text_projection",
    "language_model.": "language",
}
#: Parts that a checkpoint must have, unless the new model does not.
REQUIRED = {
    "vision": "vision tower",
    "resampler": "resampler",
    "language": "language model (convert it with --model-type vicreg or feature-extraction)",
}
#: What wrappers of the whole module or of a part insert into keys: DistributedDataParallel and DeepSpeed,
#: torch.compile, Lightning's strategies, FSDP, activation checkpointing.
WRAPPERS = {
    "module",
    "_orig_mod",
    "_forward_module",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_fpw_module",
}
#: Elements compared at once, so that a comparison needs little memory.
CHUNK = 1 << 22


@dataclass(frozen=True)
class Part:
    """The tensors of one part of the model.

    Attributes:
        tensors: By the name inside the part.
        keys: The checkpoint's own key for each of them.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MappedPart:
    """The tensors of one part under the names of the new model.

    Attributes:
        tensors: By name in the new model.
        keys: The checkpoint's key of each, where there is exactly one.
        rows: Reports on the part's keys.
    """

    tensors: Mapping[str, Tensor]
    keys: Mapping[str, str]
    rows: tuple[KeyReport, ...]


@dataclass(frozen=True)
class Adapter:
    """The LoRA factors of one layer.

    Attributes:
        down: `lora_A`, `[rank, in]`.
        up: `lora_B`, `[out, rank]`.
        keys: The checkpoint's keys of both.
    """

    down: Tensor
    up: Tensor
    keys: tuple[str, str]


@dataclass(frozen=True)
class Parts:
    """A checkpoint, sorted. A part that the checkpoint or the new model lacks is empty.

    Attributes:
        vision: The vision tower.
        norm: The LayerNorm on its output.
        resampler: The resampler. The layers of an MLP are numbered Linear 0, LayerNorm 1, Linear 3, …
        vicreg: The VICReg projector, numbered in the same way.
        projector: The projection to the language model.
        language: The language model, without PEFT's changes to its names.
        adapters: Its LoRA factors, by the name of their layer.
        rows: Reports on dropped and unexpected keys.
    """

    vision: Part
    norm: Part
    resampler: Part
    vicreg: Part
    projector: Part
    language: Part
    adapters: Mapping[str, Adapter]
    rows: tuple[KeyReport, ...]


def split_parts(tensors: Mapping[str, Tensor], model_type: ModelType) -> Parts:
    """Sort a checkpoint's tensors into parts, and drop those that this type of model does not have.

    Args:
        tensors: By their key in the checkpoint.
        model_type: What the checkpoint is converted to.

    Raises:
        CheckpointError: A part is missing, two copies of a tensor differ, or LoRA factors do not match.
    """
    unused = _unused_parts(model_type)
    unwrapped = _unwrapped(tensors)
    named, rows = _without_aliases(
        {name.removeprefix("model."): (key, tensors[key]) for name, key in unwrapped.items()}
    )
    outside = {key for name, key in unwrapped.items() if not name.startswith("model.")}
    found: dict[str, dict[str, tuple[str, Tensor]]] = {part: {} for part in PARTS.values()}
    for name, (key, tensor) in named.items():
        prefix = next((prefix for prefix in PARTS if name.startswith(prefix)), None)
        if prefix is None or key in outside:
            rows.append(KeyReport(key, "unexpected", reason="the original model has no such key"))
        elif _is_computed(name, tensor):
            rows.append(KeyReport(key, "dropped", reason="a buffer that the model computes itself"))
        elif PARTS[prefix] in unused:
            rows.append(KeyReport(key, "dropped", reason=unused[PARTS[prefix]]))
        else:
            found[PARTS[prefix]][name.removeprefix(prefix)] = (key, tensor)
    for prefix, part in PARTS.items():
        if part in REQUIRED and part not in unused and not found[part]:
            raise CheckpointError(f"the checkpoint has no keys model.{prefix}*, so it contains no {REQUIRED[part]}")
    language, adapters, lora_rows = _split_lora(found["language"])
    return Parts(
        vision=_part(found["vision"]),
        norm=_part(found["norm"]),
        resampler=_part(_renumbered(found["resampler"])),
        vicreg=_part(_renumbered(found["vicreg"])),
        projector=_part(found["projector"]),
        language=_part(language),
        adapters=adapters,
        rows=(*rows, *lora_rows),
    )


def _part(found: Mapping[str, tuple[str, Tensor]]) -> Part:
    return Part({name: tensor for name, (_, tensor) in found.items()}, {name: key for name, (key, _) in found.items()})


def _unwrapped(keys: Iterable[str]) -> dict[str, str]:
    """Each key by its name without what wrappers insert, at any level and in any order.

    Raises:
        CheckpointError: Two keys have the same name then.
    """
    found: dict[str, str] = {}
    for key in keys:
        name = ".".join(part for part in key.split(".") if part not in WRAPPERS)
        if name in found:
            raise CheckpointError(
                f"{found[name]} and {key} are the same tensor, {name}, in different wrappers; remove those that were "
                "not trained and save again"
            )
        found[name] = key
    return found


def _unused_parts(model_type: ModelType) -> dict[str, str]:
    """Parts that a type of model does not have, with the reason."""
    unused = {"text_projection": "the original used it in stage 2 only, and not in the model's output"}
    if model_type != "vicreg":
        unused["vicreg"] = f"for training only: a {model_type} model has no VICReg projector"
    if model_type != "conditional-generation":
        unused |= dict.fromkeys(("projector", "language"), f"a {model_type} model has no language model")
    return unused


def _without_aliases(
    named: Mapping[str, tuple[str, Tensor]],
) -> tuple[dict[str, tuple[str, Tensor]], list[KeyReport]]:
    """Each tensor once, under its first name, and reports on the dropped copies."""
    once: dict[str, tuple[str, Tensor]] = {}
    rows, different = [], []
    for name, (key, tensor) in named.items():
        alias = next((prefix for prefix in ALIASES if name.startswith(prefix)), None)
        first = name if alias is None else ALIASES[alias] + name.removeprefix(alias)
        if alias is None or first not in named:
            once[first] = (key, tensor)
            continue
        if not equal(tensor, named[first][1]):
            different.append(f"{key} and {named[first][0]}")
        rows.append(KeyReport(key, "dropped", reason=f"alias of {ALIASES[alias]}*, verified equal"))
    if different:
        raise CheckpointError(
            f"keys under which the original saved one tensor twice differ: {'; '.join(different)}. The file was "
            "changed after training; remove the keys that were not in use"
        )
    return once, rows


def _is_computed(name: str, tensor: Tensor) -> bool:
    """Whether this is a buffer that older releases of transformers saved and every model computes itself."""
    mask = name.endswith((".attn.bias", ".attn.masked_bias", ".attention.bias")) and tensor.ndim in (0, 4)
    return mask or name.endswith(("rotary_emb.inv_freq", "embeddings.position_ids"))


def _renumbered(found: Mapping[str, tuple[str, Tensor]]) -> dict[str, tuple[str, Tensor]]:
    """An MLP's layers numbered Linear 0, LayerNorm 1, Linear 3, …, also where the original had dropout in between."""
    layers = {
        name: re.fullmatch(r"mlp\.(\d+)\.weight", name) for name, (_, tensor) in found.items() if tensor.ndim == 2
    }
    names = {}
    for index, number in enumerate(sorted(int(layer[1]) for layer in layers.values() if layer)):
        for kind in ("weight", "bias"):
            names[f"mlp.{number}.{kind}"] = f"mlp.{3 * index}.{kind}"
            names[f"mlp.{number + 1}.{kind}"] = f"mlp.{3 * index + 1}.{kind}"
    return {names.get(name, name): held for name, held in found.items()}


def _split_lora(
    found: Mapping[str, tuple[str, Tensor]],
) -> tuple[dict[str, tuple[str, Tensor]], dict[str, Adapter], list[KeyReport]]:
    """A language model without PEFT's names, its LoRA factors, and reports on dropped and unexpected keys."""
    base: dict[str, tuple[str, Tensor]] = {}
    factors: dict[str, dict[str, tuple[str, Tensor]]] = {}
    rows = []
    for name, (key, tensor) in found.items():
        name = name.removeprefix("base_model.model.")
        layer, lora, rest = name.partition(".lora_")
        if lora and rest in ("A.default.weight", "B.default.weight"):
            factors.setdefault(layer, {})[rest[0]] = (key, tensor)
        elif lora:
            rows.append(KeyReport(key, "unexpected", reason="only plain LoRA with the adapter name 'default' is read"))
        elif ".original_module." in name:
            rows.append(KeyReport(key, "dropped", reason="replaced by the trained copy (modules_to_save)"))
        else:
            base[name.replace(".base_layer.", ".").replace(".modules_to_save.default.", ".")] = (key, tensor)
    return base, {layer: _adapter(pair) for layer, pair in factors.items()}, rows


def _adapter(pair: Mapping[str, tuple[str, Tensor]]) -> Adapter:
    if pair.keys() != {"A", "B"}:
        raise CheckpointError(f"{next(iter(pair.values()))[0]} has no counterpart: expected both lora_A and lora_B")
    (down_key, down), (up_key, up) = pair["A"], pair["B"]
    if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
        raise CheckpointError(
            f"{down_key} {tuple(down.shape)} and {up_key} {tuple(up.shape)} do not match; expected [rank, in] and "
            "[out, rank]"
        )
    return Adapter(down, up, (down_key, up_key))


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal, NaN to NaN, or are one and the same."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.data_ptr() == b.data_ptr() and a.stride() == b.stride():
        return True
    pairs = zip(a.reshape(-1).split(CHUNK), b.reshape(-1).split(CHUNK), strict=True)
    return all(torch.equal(x, y) or torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in pairs)
