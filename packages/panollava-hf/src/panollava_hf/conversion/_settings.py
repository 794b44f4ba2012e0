"""Fields of `PanoLLaVaConfig` for a checkpoint, from tensor shapes, hyper-parameters and the model config.

A shape is certain; the rest must agree with it. What the original could do and PanoLLaVA cannot is refused, with the
setting named.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._sources import Sources

#: Settings that change what the model computes, with the only values that PanoLLaVA (and any known run) has.
FIXED = {
    "pe_view_encoding_type": ("sinusoidal",),
    "pe_spatial_encoding_type": ("sinusoidal",),
    "pe_enable_continuity": (True,),
    "stitch_stride_offset": (0,),
    "stitch_target_cols": (0,),
    "resampler_enable_cross_view": (False,),
}
STITCHING = ("concat", "stride_views", "drop_overlap", "resample")


def resampler_type(names: Mapping[str, Tensor], sources: Sources) -> str:
    """Which resampler the tensors belong to."""
    starts = {"mlp.": "mlp", "bert.": "qformer", "blocks.": "bimamba"}
    kinds = {kind for start, kind in starts.items() if any(name.startswith(start) for name in names)}
    if len(kinds) != 1:
        raise CheckpointError(
            "no known resampler in the checkpoint: expected the keys of mlp (mlp.*), qformer (bert.*) or bimamba "
            f"(blocks.*) under model.resampler_module.resampler., got {sorted(names)[:4]}"
        )
    return str(sources.agreed("resampler_type", the_tensors=kinds.pop()))


def resampler_settings(kind: str, tensors: Mapping[str, Tensor], sources: Sources) -> dict[str, Any]:
    """Fields of the config that describe the resampler, read off its shapes."""
    known = {"mlp": _mlp, "qformer": _qformer, "bimamba": _bimamba}[kind](tensors, sources)
    latent = known.pop("latent_dimension")
    sources.agreed("latent_dimension", the_tensors=latent, resampler_config=sources.resampler("latent_dimension"))
    tokens = known.pop("num_latent_tokens", None)
    settings = {"resampler_type": kind, "latent_dimension": latent, "resampler_config": known}
    return settings if tokens is None else {**settings, "num_latent_tokens": tokens}


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in tensors:
        raise CheckpointError(f"the resampler lacks {name}, from which its size is read")
    return tuple(tensors[name].shape)


def layers_of(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the linear layers of an MLP `mlp.*`, in order."""
    found = [n.removesuffix(".weight") for n, t in tensors.items() if n.endswith(".weight") and t.ndim == 2]
    return sorted(found, key=lambda name: int(name.rpartition(".")[2]))


def _mlp(tensors: Mapping[str, Tensor], sources: Sources) -> dict[str, Any]:
    layers = layers_of(tensors)
    first, last = _shape(tensors, f"{layers[0]}.weight"), _shape(tensors, f"{layers[-1]}.weight")
    hidden = first[0] if len(layers) > 1 else None
    sources.agreed("resampler_hidden_dim", the_tensors=hidden, resampler_config=sources.resampler("hidden_dim"))
    sources.agreed("resampler_depth", the_tensors=len(layers), resampler_config=sources.resampler("depth"))
    return {"latent_dimension": last[0], "num_layers": len(layers), **({"hidden_dim": hidden} if hidden else {})}


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix)})


def _qformer(tensors: Mapping[str, Tensor], sources: Sources) -> dict[str, Any]:
    layers = _count(tensors, "bert.encoder.layer.")
    queries, width = _shape(tensors, "query")[-2:]
    for name, value in (("num_hidden_layers", layers), ("num_query_tokens", queries)):
        sources.agreed(f"resampler_{name}", the_tensors=value, resampler_config=sources.resampler(name))
    heads = sources.resampler("num_attention_heads", "resampler_attention_heads")
    sources.agreed("resampler_attention_heads", resampler_config=heads)
    heads = 8 if heads is None else int(heads)
    if width % heads:
        raise CheckpointError(f"the Q-Former is {width} wide, which {heads} attention heads do not divide")
    return {
        "latent_dimension": _shape(tensors, "proj.weight")[0],
        "num_latent_tokens": queries,
        "num_layers": layers,
        "num_heads": heads,
        "causal": True,  # BERT ran as a decoder
    }


def _bimamba(tensors: Mapping[str, Tensor], sources: Sources) -> dict[str, Any]:
    hidden = _shape(tensors, "input_proj.weight")[0]
    inner, state = _shape(tensors, "blocks.0.forward_block.A_log")
    known = {
        "hidden_dim": hidden,
        "num_layers": _count(tensors, "blocks."),
        "d_state": state,
        "d_conv": _shape(tensors, "blocks.0.forward_block.conv1d.weight")[-1],
        "expand": inner / hidden,
    }
    sources.agreed("resampler_hidden_dim", the_tensors=hidden, resampler_config=sources.resampler("hidden_dim"))
    sources.agreed("resampler_depth", the_tensors=known["num_layers"], resampler_config=sources.resampler("depth"))
    for name in ("d_state", "d_conv", "expand"):
        sources.agreed(f"resampler_{name}", the_tensors=known[name], resampler_config=sources.resampler(name))
    norm_first = sources.resampler("norm_first")
    if sources.resampler("enable_cross_view"):
        raise CheckpointError("resampler enable_cross_view=True mixes views, which PanoLLaVA's bimamba does not")
    known["norm_first"] = True if norm_first is None else bool(norm_first)
    return {**known, "latent_dimension": _shape(tensors, "output_proj.weight")[0]}


def vicreg_settings(tensors: Mapping[str, Tensor], sources: Sources, latent: int, notes: list[str]) -> dict[str, Any]:
    """Fields of the config that describe the VICReg projector and loss."""
    weight = sources.agreed("vicreg_loss_weight")
    weight = 1.0 if weight is None else float(weight)
    if weight <= 0:  # later stages switch the loss off
        weight = 1.0
    settings: dict[str, Any] = {"vicreg_projector_depth": 0}
    for name, default in (("similarity", 25.0), ("variance", 25.0), ("covariance", 1.0)):
        value = sources.agreed(f"vicreg_{name}_weight")
        settings[f"vicreg_{name}_weight"] = weight * (default if value is None else float(value))
    mode = sources.agreed("vicreg_mode")
    if mode not in (None, "pairwise", "batchwise"):
        raise CheckpointError(f"vicreg_mode is {mode!r}, expected 'pairwise' or 'batchwise'")
    if mode is None:
        notes.append("vicreg_mode is written nowhere: taken as the original's default, pairwise")
    settings["vicreg_mode"] = mode or "pairwise"
    if tensors:
        layers = layers_of(tensors)
        first, last = tensors[f"{layers[0]}.weight"].shape, tensors[f"{layers[-1]}.weight"].shape
        if first[1] != latent:
            raise CheckpointError(
                f"the VICReg projector takes {first[1]} features and the resampler makes {latent}: this run compared "
                "other features than the resampler's; convert it with --model-type feature-extraction"
            )
        sources.agreed("vicreg_projector_depth", the_tensors=len(layers))
        sources.agreed("vicreg_projector_dim", the_tensors=last[0])
        settings |= {"vicreg_projector_depth": len(layers), "vicreg_projector_dim": last[0]}
        if len(layers) > 1 and first[0] != last[0]:
            settings["vicreg_projector_hidden_dim"] = first[0]
    return settings


def connector_settings(sources: Sources, notes: list[str], *, needed: bool) -> dict[str, Any]:
    """Positional encoding, stitching and overlap, which no tensor tells.

    Args:
        sources: Where to look.
        notes: Where to write what was taken for granted.
        needed: Whether the model has a projector; without one nothing here matters but the overlap.

    Raises:
        CheckpointError: Something that changes the numbers is not written anywhere.
    """
    overlap = sources.agreed("overlap_ratio")
    if overlap is None:
        overlap = sources.crop_overlap
    if overlap is None:
        raise CheckpointError("overlap_ratio is neither in hyper_parameters nor in a model config: give --model-config")
    settings: dict[str, Any] = {"overlap_ratio": float(overlap)}
    if not needed:
        return {**settings, "positional_encoding": "none", "stitching_mode": "concat"}
    for name, known in FIXED.items():
        value = sources.agreed(name)
        if value is not None and value not in known:
            raise CheckpointError(
                f"{name}={value!r} is not supported: PanoLLaVA computes what {name}={known[0]!r} does"
            )
    mode = sources.agreed("stitching_mode")
    if mode is None:
        raise CheckpointError(
            "stitching_mode is not in the checkpoint, and no model config says it: give --model-config with the run's "
            "stitching_mode and use_projection_positional_encoding"
        )
    if mode not in STITCHING:
        raise CheckpointError(f"stitching_mode is {mode!r}, expected one of {', '.join(STITCHING)}")
    settings["stitching_mode"] = mode
    for name in ("stitch_target_to_view_width", "stitch_interp"):
        value = sources.agreed(name)
        if value is not None:
            settings[name] = value
        elif mode == "resample":
            raise CheckpointError(
                f"stitching_mode is 'resample', but {name} is written nowhere: add it to the model config"
            )
    encoding = sources.agreed("use_projection_positional_encoding")
    if encoding is None:
        notes.append("use_projection_positional_encoding is written nowhere: taken as the original's default, True")
    settings["positional_encoding"] = "none" if encoding is False else "yaw"
    temperature = sources.agreed("pe_temperature")
    if temperature is not None and float(temperature) != 10000.0:
        settings["positional_temperature"] = float(temperature)
    return settings


def crop_settings(sources: Sources, overlap: float, tower_size: Any, notes: list[str]) -> dict[str, Any]:
    """How the run cut panoramas into views."""
    settings: dict[str, Any] = {}
    for name, default in (("crop_strategy", "e2p"), ("fov_deg", 90.0)):
        value = sources.agreed(name)
        if value is None:
            notes.append(f"{name} is written nowhere: taken as the original's default, {default}")
        settings[name] = default if value is None else value
    settings["fov_deg"] = float(settings["fov_deg"])
    crop = sources.crop_overlap
    if crop is not None and float(crop) != overlap:
        # The plan must not follow the model's overlap then, so the number of views is written out.
        from panollava_geometry import plan_views

        plan = plan_views(settings["crop_strategy"], fov_deg=settings["fov_deg"], overlap_ratio=float(crop))
        globals_ = 1 if settings["crop_strategy"] == "anyres_e2p" else 0
        if settings["crop_strategy"] in ("e2p", "anyres_e2p"):
            settings["num_views"] = len(plan) - globals_
            notes.append(
                f"panoramas were cut with overlap {crop} ({settings['num_views']} tiles) and stitched with {overlap}: "
                "num_views is written out so that both stay"
            )
    given = sources.hyper_parameters.get("image_size") or sources.model_config.get("image_size")
    size = [given, given] if isinstance(given, int) else given
    tower = [tower_size, tower_size] if isinstance(tower_size, int) else tower_size
    if size is not None and tower is not None and list(size) != list(tower):
        settings["view_size"] = [int(side) for side in size]
    return settings
