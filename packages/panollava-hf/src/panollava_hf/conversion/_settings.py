"""The settings of the run that wrote a checkpoint, collected from everything that records them.

Shapes of tensors, the checkpoint's hyper-parameters and the run's model config must agree. The original wrote its model
config as flat JSON, and read it from YAML with sections (`models`, `image_processing`, `lora`,
`training.stage_configs.<stage>`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panollava_hf._errors import CheckpointError
from panollava_hf._shown import shown
from panollava_hf.conversion._checkpoint import Checkpoint
from panollava_hf.conversion._parts import ModelType
from panollava_hf.conversion._values import is_plain_text, setting, view_size
from panollava_hf.outside._json_file import parse_json, read_bytes
from panollava_hf.outside._plain_yaml import MAX_BYTES, read_yaml

#: Longest name of a tower.
MAX_TOWER = 300
SECTIONS = ("models", "model", "model_config", "image_processing", "data", "lora")
#: Names that differ between the original's files, by the section in which they have this meaning ("": any).
RENAMED = {
    ("lora", "rank"): "lora_r",
    ("lora", "alpha"): "lora_alpha",
    ("lora", "dropout"): "lora_dropout",
    ("lora", "target_modules"): "lora_target_modules",
    ("", "lora_rank"): "lora_r",
    ("", "resampler"): "resampler_type",
    ("", "model_overlap_ratio"): "overlap_ratio",
}
#: Settings that the model config can also have inside `resampler_config`, by their name there.
IN_RESAMPLER_CONFIG = {
    "latent_dimension": "latent_dimension",
    "resampler_attention_heads": "num_attention_heads",
    "resampler_depth": "depth",
    "resampler_hidden_dim": "hidden_dim",
    "resampler_num_hidden_layers": "num_hidden_layers",
    "resampler_num_query_tokens": "num_query_tokens",
    "resampler_d_state": "d_state",
    "resampler_d_conv": "d_conv",
    "resampler_expand": "expand",
    "resampler_norm_first": "norm_first",
    "resampler_enable_cross_view": "enable_cross_view",
}
#: Files that the original's runs save next to a checkpoint, most specific first.
FILE_NAMES = ("{stem}.model_config.json", "{stem}.model_config.yaml", "model_config.json", "model_config.yaml")

#: The settings that matter to every model, and those that matter to one of its parts.
GENERAL = ("use_vicreg_norm", "latent_dimension", "resampler_type", "overlap_ratio", "crop_strategy", "fov_deg")
RESAMPLER = {
    "mlp": ("resampler_hidden_dim", "resampler_depth"),
    "qformer": ("resampler_num_hidden_layers", "resampler_num_query_tokens", "resampler_attention_heads"),
    "bimamba": (
        *("resampler_hidden_dim", "resampler_depth", "resampler_d_state", "resampler_d_conv", "resampler_expand"),
        *("resampler_norm_first", "resampler_enable_cross_view"),
    ),
}
STITCHING = ("stitching_mode", "stitch_target_to_view_width", "stitch_interp")
CONNECTOR = (
    *STITCHING,
    *("use_projection_positional_encoding", "pe_temperature", "pe_view_encoding_type", "pe_spatial_encoding_type"),
    *("pe_enable_continuity", "stitch_stride_offset", "stitch_target_cols", "resampler_enable_cross_view"),
)
LORA = ("lora_r", "lora_alpha", "lora_dropout")
VICREG_WEIGHTS = ("vicreg_similarity_weight", "vicreg_variance_weight", "vicreg_covariance_weight")
VICREG = ("vicreg_mode", "vicreg_loss_weight", *VICREG_WEIGHTS)
VICREG_PROJECTOR = ("vicreg_projector_depth", "vicreg_projector_dim")

#: The only values that PanoLLaVA computes.
SUPPORTED: dict[str, tuple[Any, ...]] = {
    "pe_view_encoding_type": ("sinusoidal",),
    "pe_spatial_encoding_type": ("sinusoidal",),
    "pe_enable_continuity": (True,),
    "stitch_stride_offset": (0,),
    "stitch_target_cols": (0,),
    "resampler_enable_cross_view": (False,),
    "stitching_mode": ("concat", "stride_views", "drop_overlap", "resample"),
    "vicreg_mode": ("pairwise", "batchwise"),
}
#: The original's defaults. They change the numbers, so a note says when one is assumed.
NOTED_DEFAULTS = {
    "crop_strategy": "e2p",
    "fov_deg": 90.0,
    "use_projection_positional_encoding": True,
    "vicreg_mode": "pairwise",
}
DEFAULTS = {
    **NOTED_DEFAULTS,
    "resampler_attention_heads": 8,
    "resampler_norm_first": True,
    "lora_dropout": 0.0,
    "vicreg_loss_weight": 1.0,
    **dict(zip(VICREG_WEIGHTS, (25.0, 25.0, 1.0), strict=True)),
}


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run.

    Attributes:
        values: Values by the original's names; a setting that is recorded nowhere and has no default is absent.
        stage: Training stage: `vision`, `resampler` or `finetune`; None if it is not recorded.
        crop_overlap: Overlap with which panoramas were cut into views; the model's own is `values["overlap_ratio"]`.
        image_size: Height and width of the views; None if they are not recorded.
        towers: The recorded names of `vision_name` and `language_model_name`, best first.
        folders: Folders where relative names of towers start.
        notes: What was found and assumed.
    """

    values: Mapping[str, Any]
    stage: str | None
    crop_overlap: float | None
    image_size: list[int] | None
    towers: Mapping[str, tuple[str, ...]]
    folders: tuple[Path, ...]
    notes: tuple[str, ...]


def read_settings(
    checkpoint: Checkpoint, model_config: str | Path | None, shapes: Mapping[str, Any], model_type: ModelType
) -> RunSettings:
    """Read the settings of the run that wrote a checkpoint, as far as they matter for this type of model.

    Args:
        checkpoint: The checkpoint.
        model_config: The run's model config, `.json` or `.yaml`; default: the one next to the checkpoint, if any.
        shapes: The settings that the tensors' shapes determine.
        model_type: What the checkpoint is converted to.

    Raises:
        CheckpointError: The model config cannot be read, two places have different values for a setting, or PanoLLaVA
            does not compute what a setting says.
    """
    recorded = dict(checkpoint.hyper_parameters)
    # The data module's overlap cuts the panorama, the model's stitches and pairs: two settings of one name.
    crop_overlap = recorded.pop("overlap_ratio", None)
    if crop_overlap is not None:
        crop_overlap = setting("overlap_ratio", crop_overlap, "hyper_parameters")
    recorded = {RENAMED.get(("", name), name): value for name, value in recorded.items()}
    stage = recorded.get("stage")
    stage = stage if isinstance(stage, str) and re.fullmatch(r"[\w.-]{1,40}", stage) else None
    path = _find_model_config(checkpoint.path) if model_config is None else Path(model_config)
    config = {} if path is None else _read_model_config(path, stage)

    names = [*GENERAL, *RESAMPLER[shapes["resampler_type"]], *(LORA if "lora_r" in shapes else ())]
    names += CONNECTOR if model_type == "conditional-generation" else ()
    names += VICREG if model_type == "vicreg" else ()
    names += VICREG_PROJECTOR if "vicreg_projector_depth" in shapes else ()
    agreed = {name: _agreed(name, shapes, recorded, config) for name in names}
    values = {name: value for name, value in agreed.items() if value is not None}
    assumed = {name: DEFAULTS[name] for name in names if name in DEFAULTS and name not in values}

    found = [f"model config found next to the checkpoint: {path.name}"] if path and model_config is None else []
    return RunSettings(
        values={**shapes, **values, **assumed},
        stage=stage,
        crop_overlap=crop_overlap,
        image_size=_image_size(recorded, config),
        towers={
            name: tuple(place[name] for place in (config, recorded) if is_plain_text(place.get(name), MAX_TOWER))
            for name in ("vision_name", "language_model_name")
        },
        folders=() if path is None else tuple(path.resolve().parents)[:2],
        notes=(
            *found,
            *(
                f"{name} is recorded nowhere: assumed to be the original's default, {value}"
                for name, value in assumed.items()
                if name in NOTED_DEFAULTS
            ),
        ),
    )


def _agreed(name: str, shapes: Mapping[str, Any], recorded: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
    """The one value of a setting, None if it is recorded nowhere."""
    inside, resampler = IN_RESAMPLER_CONFIG.get(name), config.get("resampler_config")
    places: dict[str, Any] = {
        "the tensors": shapes.get(name),
        "resampler config": resampler.get(inside) if isinstance(resampler, Mapping) else None,
        "hyper_parameters": recorded.get(name),
        "the model config": config.get(name, config.get(inside or name)),
    }
    values = {
        place: value if place == "the tensors" else setting(name, value, place)
        for place, value in places.items()
        if value is not None
    }
    value = next(iter(values.values()), None)
    if any(other != value for other in values.values()):
        listed = ", ".join(f"{shown(other)} in {place}" for place, other in values.items())
        raise CheckpointError(f"{name} is contradictory: {listed}. Correct the model config, or pass the right one")
    if value is not None and name in SUPPORTED and value not in SUPPORTED[name]:
        expected = " or ".join(map(repr, SUPPORTED[name]))
        raise CheckpointError(f"{name} is {shown(value)}, which is not supported; expected {expected}")
    return value


def _image_size(recorded: Mapping[str, Any], config: Mapping[str, Any]) -> list[int] | None:
    """The one size of the views."""
    first = view_size(recorded.get("image_size"), "hyper_parameters")
    second = view_size(config.get("image_size"), "the model config")
    if first is not None and second is not None and first != second:
        raise CheckpointError(
            f"image_size is contradictory: {shown(first)} in hyper_parameters, {shown(second)} in the model config. "
            "Correct the model config, or pass the right one"
        )
    return second if first is None else first


def _find_model_config(checkpoint: Path) -> Path | None:
    paths = (checkpoint.parent / name.format(stem=checkpoint.stem) for name in FILE_NAMES)
    return next((path for path in paths if path.is_file()), None)


def _read_model_config(path: Path, stage: str | None) -> dict[str, Any]:
    """Read a model config in either of the original's layouts into one flat dictionary."""
    if path.suffix == ".json":  # what tabs and `1e-4` mean differs from YAML
        remedy = "correct it, or give --model-config FILE"
        content = read_bytes(path, MAX_BYTES, kind=CheckpointError, remedy=remedy)
        document = parse_json(content, str(path), kind=CheckpointError, remedy=remedy, once=True)
    else:
        document = read_yaml(path, CheckpointError, what="a model config")
    if not isinstance(document, dict):
        raise CheckpointError(f"model config {path} contains {shown(document)}, expected names and values")
    config = _flatten(document, stage)
    if not config.get("use_lora"):  # its LoRA settings are defaults then, and were not used
        config = {name: value for name, value in config.items() if name not in LORA}
    return config


def _flatten(document: Mapping[str, Any], stage: str | None) -> dict[str, Any]:
    """Sections → one flat dictionary. Later parts win: a stage's own settings over the general ones."""
    parts: list[tuple[str, Any]] = [("", {k: v for k, v in document.items() if k not in (*SECTIONS, "training")})]
    parts += [(section, document.get(section)) for section in SECTIONS]
    training = document.get("training")
    for place in ("stage_configs", "stages"):
        stages = training.get(place) if isinstance(training, Mapping) else None
        own = stages.get(stage) if isinstance(stages, Mapping) else None
        if isinstance(own, Mapping):
            parts.append(("", {name: value for name, value in own.items() if not isinstance(value, Mapping)}))
            parts.append(("image_processing", own.get("image_processing")))
    flat: dict[str, Any] = {}
    for section, part in parts:
        for name, value in part.items() if isinstance(part, Mapping) else ():
            if isinstance(name, str):
                flat[RENAMED.get((section, name)) or RENAMED.get(("", name)) or name] = value
    return flat
