"""Settings that the names and shapes of a checkpoint's tensors determine, under the run's own names for them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._parts import Parts

#: Resamplers by the beginning of their tensors' names.
RESAMPLERS = {"mlp.": "mlp", "bert.": "qformer", "blocks.": "bimamba"}


def settings_from_shapes(parts: Parts) -> dict[str, Any]:
    """The settings that tensors determine; a run's recorded settings must agree with them.

    Args:
        parts: The checkpoint's parts.

    Raises:
        CheckpointError: The resampler is of an unknown type or incomplete, or the VICReg projector does not fit it.
    """
    resampler = parts.resampler.tensors
    kinds = {kind for start, kind in RESAMPLERS.items() if any(name.startswith(start) for name in resampler)}
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


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in tensors:
        raise CheckpointError(f"the resampler or VICReg projector lacks {name}, from which its size is read")
    return tuple(tensors[name].shape)


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
        "resampler_num_query_tokens": _shape(tensors, "query")[-2],
        "resampler_width": _shape(tensors, "query")[-1],
    }


def _bimamba(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    hidden = _shape(tensors, "input_proj.weight")[0]
    inner, state = _shape(tensors, "blocks.0.forward_block.A_log")
    return {
        "latent_dimension": _shape(tensors, "output_proj.weight")[0],
        "resampler_hidden_dim": hidden,
        "resampler_depth": _count(tensors, "blocks."),
        "resampler_d_state": state,
        "resampler_d_conv": _shape(tensors, "blocks.0.forward_block.conv1d.weight")[-1],
        "resampler_expand": inner / hidden,
    }
