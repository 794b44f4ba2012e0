"""From the original's keys to PanoLLaVA's: parts, aliases, and LoRA.

Towers keep the names transformers 4 gave their weights, on disk too: every release reads those, 4.57 as they are and
5.x through its own renaming.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._report import Account

#: Second names of tensors that are stored under another one too.
ALIASES = {
    "resampler.": "resampler_module.resampler.",
    "vision_to_language_projection.": "projector.linear.",
}
#: Parts by prefix, longest first.
PARTS = {
    "vision_backbone.encoder.": "vision",
    "vision_backbone.norm.": "norm",
    "resampler_module.resampler.": "resampler",
    "vicreg_projector.": "vicreg",
    "projector.linear.": "projector",
    "text_projection.": "text_projection",
    "language_model.": "language",
}
#: Elements compared at once, so that comparing costs no memory.
CHUNK = 1 << 22


@dataclass
class Part:
    """Tensors of one part of the model.

    Attributes:
        tensors: By the name inside the part.
        keys: The checkpoint's own key for each of them.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, key: str, tensor: Tensor) -> None:
        """Put in one tensor."""
        self.tensors[name], self.keys[name] = tensor, key

    def drop(self, account: Account, why: str) -> None:
        """Account for all its keys as dropped."""
        for key in self.keys.values():
            account.add(key, "dropped", why=why)


@dataclass
class Adapter:
    """LoRA factors of one module.

    Attributes:
        down: `lora_A`, `[rank, in]`.
        up: `lora_B`, `[out, rank]`.
        keys: The checkpoint's keys of both.
    """

    down: Tensor
    up: Tensor
    keys: tuple[str, str]

    @property
    def rank(self) -> int:
        """Its rank."""
        return int(self.down.shape[0])


def drop_computed(part: Part, account: Account) -> None:
    """Drop buffers that older releases of transformers saved, though every model computes them itself."""
    for name in list(part.tensors):
        tensor = part.tensors[name]
        mask = name.endswith((".attn.bias", ".attn.masked_bias", ".attention.bias")) and tensor.ndim in (0, 4)
        if mask or name.endswith(("rotary_emb.inv_freq", "embeddings.position_ids")):
            del part.tensors[name]
            account.add(part.keys.pop(name), "dropped", why="a buffer that the model computes itself")


def split_parts(tensors: Mapping[str, Tensor], account: Account) -> dict[str, Part]:
    """Sort a checkpoint's tensors into parts, and verify that aliases are equal to what they are aliases of.

    Raises:
        CheckpointError: An alias differs.
    """
    named = {_plain(key): (key, tensor) for key, tensor in tensors.items()}
    parts = {part: Part() for part in PARTS.values()}
    different = []
    for name, (key, tensor) in named.items():
        alias = next((prefix for prefix in ALIASES if name.startswith(prefix)), None)
        if alias is not None:
            name = ALIASES[alias] + name.removeprefix(alias)
            if name in named:
                if not same(tensor, named[name][1]):
                    different.append(f"{key} and {named[name][0]}")
                account.add(key, "dropped", why=f"alias of {ALIASES[alias]}*, verified equal")
                continue
        prefix = next((prefix for prefix in PARTS if name.startswith(prefix)), None)
        if prefix is None or not key.startswith("model."):
            account.add(key, "unexpected", why="no part of the original model has this name")
        else:
            parts[PARTS[prefix]].add(name.removeprefix(prefix), key, tensor)
    if different:
        raise CheckpointError(
            f"keys that the original stored as one tensor under two names differ: {'; '.join(different)}. The file was "
            "changed after training; it cannot be told which of the two was used"
        )
    return parts


def _plain(key: str) -> str:
    """A key without the module's prefix and without what torch.compile puts between."""
    return key.removeprefix("model.").replace("_orig_mod.", "")


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal bit for bit, or are one and the same."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.data_ptr() == b.data_ptr() and a.stride() == b.stride():
        return True
    first, second = a.reshape(-1), b.reshape(-1)
    pairs = zip(first.split(CHUNK), second.split(CHUNK), strict=True)
    return all(torch.equal(x, y) or torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in pairs)


def split_lora(language: Part, account: Account) -> tuple[Part, dict[str, Adapter]]:
    """Take the LoRA adapters off a language model.

    Returns:
        The language model with its own names, and the adapters by the name of their module.

    Raises:
        CheckpointError: Half an adapter, or more than one.
    """
    base = Part()
    found: dict[str, dict[str, tuple[str, Tensor]]] = {}
    for name, tensor in language.tensors.items():
        key = language.keys[name]
        name = name.removeprefix("base_model.model.")
        module, marker, rest = name.partition(".lora_")
        if marker:
            side, _, kind = rest.partition(".")
            if side not in ("A", "B") or kind != "default.weight":
                account.add(key, "unexpected", why="an adapter other than plain LoRA named 'default'")
                continue
            found.setdefault(module, {})[side] = (key, tensor)
        elif ".original_module." in name:
            account.add(key, "dropped", why="replaced by the trained copy (modules_to_save)")
        else:
            base.add(name.replace(".base_layer.", ".").replace(".modules_to_save.default.", "."), key, tensor)
    adapters = {}
    for module, sides in found.items():
        if sides.keys() != {"A", "B"}:
            lone = next(iter(sides.values()))[0]
            raise CheckpointError(f"{lone} has no counterpart: a LoRA adapter is lora_A and lora_B")
        (down_key, down), (up_key, up) = sides["A"], sides["B"]
        if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
            raise CheckpointError(
                f"{down_key} {tuple(down.shape)} and {up_key} {tuple(up.shape)} are no pair [rank, in], [out, rank]"
            )
        adapters[module] = Adapter(down, up, (down_key, up_key))
    return base, adapters
