"""The resamplers of original PanoLLaVA checkpoints: their sizes, and their tensors under the names of panollava-core.

The original's Q-Former was a BERT decoder (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) with the names that
transformers gives BERT. Its MLP and BiMamba have the names of panollava-core already.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from panollava_hf._errors import CheckpointError, boundary
from panollava_hf._shown import shown
from panollava_hf.conversion._parts import MappedPart, Part, Parts
from panollava_hf.conversion._report import KeyReport

#: The resamplers that the original had, by the beginning of their tensors' names.
ORIGINAL_RESAMPLERS = {"mlp.": "mlp", "bert.": "qformer", "blocks.": "bimamba"}
#: Layers of a Q-Former block, and the layers of BERT whose rows they join.
_BLOCK = {
    "self_qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "self_out": ("attention.output.dense",),
    "self_norm": ("attention.output.LayerNorm",),
    "cross_q": ("crossattention.self.query",),
    "cross_kv": ("crossattention.self.key", "crossattention.self.value"),
    "cross_out": ("crossattention.output.dense",),
    "cross_norm": ("crossattention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "norm": ("output.LayerNorm",),
}
#: Tensors of the original's resampler that it never used.
UNUSED = {
    "bert.embeddings.word_embeddings.weight": "not used: the queries take the place of word embeddings",
    "bert.pooler.dense.weight": "not used: the last hidden state is taken, not the pooled one",
    "bert.pooler.dense.bias": "not used: the last hidden state is taken, not the pooled one",
}


def settings_from_shapes(parts: Parts) -> dict[str, Any]:
    """The settings that tensors determine, under the run's own names; its recorded settings must agree with them.

    Args:
        parts: The checkpoint's parts.

    Raises:
        CheckpointError: The resampler is of an unknown type or incomplete, or the VICReg projector does not fit it.
    """
    resampler = parts.resampler.tensors
    kinds = {kind for start, kind in ORIGINAL_RESAMPLERS.items() if any(name.startswith(start) for name in resampler)}
    if len(kinds) != 1:
        raise CheckpointError(
            "unknown resampler: expected the keys of mlp (mlp.*), qformer (bert.*) or bimamba (blocks.*) under "
            f"model.resampler_module.resampler., got {sorted(resampler)[:4]}"
        )
    kind = kinds.pop()
    found = {"mlp": _mlp, "qformer": _qformer, "bimamba": _bimamba}[kind](resampler)
    known = {"resampler_type": kind, "use_vicreg_norm": bool(parts.norm.tensors), **found}
    if parts.adapters:
        ranks = sorted({adapter.down.shape[0] for adapter in parts.adapters.values()})
        if len(ranks) > 1:
            raise CheckpointError(f"the LoRA adapters have the ranks {ranks}; expected the same rank for all")
        known["lora_r"] = ranks[0]
    if parts.vicreg.tensors:
        layers = _mlp_sizes(parts.vicreg.tensors)
        if layers[0] != found["latent_dimension"]:
            raise CheckpointError(
                f"the VICReg projector takes {layers[0]} features, but the resampler returns "
                f"{found['latent_dimension']}: this run compared other features; convert it with --model-type "
                "feature-extraction"
            )
        known |= {"vicreg_projector_depth": len(layers) - 1, "vicreg_projector_dim": layers[-1]}
        known["vicreg_projector_hidden_dim"] = layers[1]
    return known


def _shape(tensors: Mapping[str, Tensor], name: str, dimensions: int = 2) -> tuple[int, ...]:
    if name not in tensors:
        raise CheckpointError(f"the resampler or VICReg projector lacks {name}, from which its size is read")
    shape = tuple(tensors[name].shape)
    if len(shape) != dimensions or not all(shape):
        raise CheckpointError(
            f"{name} of the resampler or VICReg projector has shape {shown(shape)}; expected {dimensions} dimensions, "
            "none of size 0"
        )
    return shape


def _mlp_sizes(tensors: Mapping[str, Tensor]) -> list[int]:
    """Features before, between and after the linear layers of an MLP."""
    count = sum(name.endswith(".weight") and tensor.ndim == 2 for name, tensor in tensors.items())
    shapes = [_shape(tensors, f"mlp.{3 * index}.weight") for index in range(max(count, 1))]
    return [shapes[0][1], *(shape[0] for shape in shapes)]


def _mlp(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    sizes = _mlp_sizes(tensors)
    hidden = sizes[1] if len(sizes) > 2 else None
    return {"latent_dimension": sizes[-1], "resampler_depth": len(sizes) - 1, "resampler_hidden_dim": hidden}


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix)})


def _qformer(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        "latent_dimension": _shape(tensors, "proj.weight")[0],
        "resampler_num_hidden_layers": _count(tensors, "bert.encoder.layer."),
        "resampler_num_query_tokens": _shape(tensors, "query", 3)[-2],
        "resampler_width": _shape(tensors, "query", 3)[-1],
    }


def _bimamba(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    hidden = _shape(tensors, "input_proj.weight")[0]
    inner, state = _shape(tensors, "blocks.0.forward_block.A_log")
    return {
        "latent_dimension": _shape(tensors, "output_proj.weight")[0],
        "resampler_hidden_dim": hidden,
        "resampler_depth": _count(tensors, "blocks."),
        "resampler_d_state": state,
        "resampler_d_conv": _shape(tensors, "blocks.0.forward_block.conv1d.weight", 3)[-1],
        "resampler_expand": inner / hidden,
    }


def map_resampler(part: Part, kind: str) -> MappedPart:
    """Give a resampler's tensors their names in the new model, and report on its keys.

    Args:
        part: The resampler.
        kind: `mlp`, `qformer` or `bimamba`.

    Raises:
        CheckpointError: A tensor is missing.
    """
    recorded = _Recorded(part.tensors)
    remedy = "give the checkpoint that the run wrote"
    with boundary(CheckpointError, f"the tensors of the {kind} resampler do not fit together", remedy):
        try:
            converted = convert_original_resampler(kind, recorded)
        except KeyError as error:
            raise CheckpointError(
                f"the {kind} resampler is incomplete: model.resampler_module.resampler.{error.args[0]} is missing"
            ) from error
    prefix = "panollava.resampler."
    rows = []
    for name, key in part.keys.items():
        if name in UNUSED:
            rows.append(KeyReport(key, "dropped", reason=UNUSED[name]))
        elif name in recorded.used:
            rows.append(KeyReport(key, "mapped", prefix + (name if name in converted else "*")))
        else:
            rows.append(KeyReport(key, "unexpected", reason=f"a {kind} resampler has no such key"))
    same = [name for name, tensor in converted.items() if tensor is part.tensors.get(name)]
    tensors = {prefix + name: tensor for name, tensor in converted.items()}
    return MappedPart(tensors, {prefix + name: part.keys[name] for name in same}, tuple(rows))


class _Recorded(Mapping[str, Tensor]):
    """Tensors, and the names of those that were looked up."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors, self.used = tensors, set[str]()

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        self.used.add(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def convert_original_resampler(kind: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an original resampler.

    Args:
        kind: `mlp`, `qformer` or `bimamba`. The original's `qformer` is built with `causal=True` and without
            `hidden_dim`.
        state: tensors by the name that follows `model.resampler.`.

    Returns:
        The state dict of the resampler of that type in panollava-core.

    Raises:
        ValueError: the original had no such resampler.
        KeyError: a tensor is missing; the argument is its name in `state`.
    """
    if kind not in ORIGINAL_RESAMPLERS.values():
        known = ", ".join(ORIGINAL_RESAMPLERS.values())
        raise ValueError(f"the original PanoLLaVA had no resampler {kind!r}; expected one of {known}")
    return convert_original_qformer(state) if kind == "qformer" else dict(state)


def convert_original_qformer(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an original Q-Former.

    BERT's position and type embeddings are added to the queries, and its query, key and value projections are joined.
    Its word embeddings and its pooler, which the original never used, are left out.

    Args:
        state: tensors by the name that follows `model.resampler.`.

    Raises:
        KeyError: a tensor is missing; the argument is its name.
    """
    embeddings = "bert.embeddings."
    positions = state[f"{embeddings}position_embeddings.weight"][: state["query"].shape[1]]
    new = {"query": state["query"] + positions + state[f"{embeddings}token_type_embeddings.weight"][0]}
    for part in ("weight", "bias"):
        new[f"query_norm.{part}"] = state[f"{embeddings}LayerNorm.{part}"]
        new[f"proj.{part}"] = state[f"proj.{part}"]
    prefix = "bert.encoder.layer."
    for layer in sorted({int(name.split(".")[3]) for name in state if name.startswith(prefix)}):
        for name, sources in _BLOCK.items():
            for part in ("weight", "bias"):
                tensors = [state[f"{prefix}{layer}.{source}.{part}"] for source in sources]
                new[f"blocks.{layer}.{name}.{part}"] = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
    return new
