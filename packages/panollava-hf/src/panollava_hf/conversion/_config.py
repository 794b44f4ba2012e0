"""The `PanoLLaVaConfig` of a checkpoint, from the settings of its run."""

import copy
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from panollava_geometry import PanoramaError, plan_views
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig

from panollava_hf._chat_template import IMAGE_TOKEN
from panollava_hf._errors import CheckpointError, ModelError, boundary, one_line
from panollava_hf._pretrained import KNOWN, load_config, load_tokenizer, sub_config
from panollava_hf._shown import shown
from panollava_hf._tower_pixels import tower_pixels
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.conversion._parts import ModelType, Parts
from panollava_hf.conversion._settings import STITCHING, VICREG_WEIGHTS, RunSettings
from panollava_hf.outside._hub_source import find_source
from panollava_hf.outside._model_card import tower_source

#: Most views that a panorama is cut into, and most layers of a tower.
MAX_VIEWS, MAX_LAYERS = 512, 1000
#: Largest number in a tower's config; `rope_theta` is a few billion in models for long texts.
MAX_SIZE = 2**40
#: Families whose embeddings transformers 4 scaled inside the model, including those of vision tokens.
SCALED_INSIDE = ("gemma", "gemma2")


@dataclass(frozen=True)
class LanguageNames:
    """Names inside a family's `…ForCausalLM` class.

    Attributes:
        base: Prefix of the model without its head.
        embedding: The input embedding's weight.
        head: The output head.
        scale: What transformers 4 multiplied all embeddings by inside the model, and 5.x multiplies those of words by
            before it; the projector must then multiply the vision tokens.
    """

    base: str
    embedding: str
    head: str
    scale: float = 1.0


@dataclass(frozen=True)
class Towers:
    """Everything that a conversion takes from the towers. Their weights come from the checkpoint.

    Attributes:
        vision: Config of the vision tower.
        normalisation: Mean and standard deviation of its pixels.
        text: Config of the language model; None if it was not found and is not needed.
        text_source: Folder or Hub id of the language model.
        names: Names inside the language model; None if the new model has none.
        tokenizer: Its tokenizer with the original's added tokens; None if the new model has no language model.
        notes: What was chosen.
        origins: Where the towers come from, by field of `PanoLLaVaConfig`.
    """

    vision: PretrainedConfig
    normalisation: tuple[list[float], list[float]]
    text: PretrainedConfig | None
    text_source: str = ""
    names: LanguageNames | None = None
    tokenizer: Any = None
    notes: tuple[str, ...] = ()
    origins: Mapping[str, dict[str, str]] = field(default_factory=dict)


def find_towers(
    settings: RunSettings, vision: str | Path | None, text: str | Path | None, model_type: ModelType
) -> Towers:
    """Find both towers.

    Args:
        settings: The run's settings, which name the towers.
        vision: Folder or Hub id of the vision tower; default: as the run named it.
        text: Folder or Hub id of the language model; default: as the run named it.
        model_type: What the checkpoint is converted to.

    Raises:
        CheckpointError: A tower, or something that is needed of it, cannot be found or read.
    """
    vision_source, vision_config = _find(settings, vision, "vision_name", "vision_config")
    normalisation = _normalisation(vision_source)
    origins = {"vision_source": _origin(vision_source, vision_config)}
    try:
        text_source, text_config = _find(settings, text, "language_model_name", "text_config")
    except CheckpointError:
        if model_type == "conditional-generation" or text is not None:
            raise
        note = "the language model was not found and is not needed: text_config has default values"
        return Towers(vision_config, normalisation, None, notes=(note,), origins=origins)
    origins["text_source"] = _origin(text_source, text_config)
    if model_type != "conditional-generation":
        return Towers(vision_config, normalisation, text_config, origins=origins)
    names, tokenizer = _language_names(text_config), _tokenizer(text_source)
    return Towers(vision_config, normalisation, text_config, text_source, names, tokenizer, origins=origins)


def _origin(source: str, config: PretrainedConfig) -> dict[str, str]:
    """Where a tower comes from: the name that the run gave it, and what its files say."""
    if source in KNOWN:  # its config is built in, so it need not be on this machine
        return tower_source(source, source)
    with _reading(f"{source[:200]!r} cannot be found", "name another tower"):
        return tower_source(source, find_source(source, "config"), config.name_or_path)


@contextmanager
def _reading(problem: str, remedy: str) -> Iterator[None]:
    """Whatever is raised while a tower's files are read, as a `CheckpointError`."""
    try:
        with boundary(CheckpointError, problem, remedy):
            yield
    except ModelError as error:
        raise CheckpointError(f"{error}; {remedy}") from error


def _find(settings: RunSettings, given: str | Path | None, name: str, part: str) -> tuple[str, PretrainedConfig]:
    """A tower's folder or Hub id, and its config under the name that the run gave it."""
    recorded = list(dict.fromkeys(settings.towers[name]))
    local = [str(folder / name) for name in recorded for folder in settings.folders]
    sources = [path for path in local if (Path(path) / "config.json").is_file()] + recorded
    option = "--vision-tower" if part == "vision_config" else "--text-tower"
    errors = []
    for source in sources if given is None else [str(given)]:
        try:
            config = _tower_config(source, part)
        except CheckpointError as error:
            errors.append(str(error))
            continue
        known_as = Path((recorded or [source])[-1])
        # A config file should not contain folders of the machine that wrote it.
        config._name_or_path = known_as.name if known_as.is_absolute() or known_as.is_dir() else known_as.as_posix()
        config.dtype = None  # the tower's own type is not the checkpoint's
        return source, config
    raise CheckpointError(
        f"the {part.removesuffix('_config')} tower cannot be found: "
        f"{'; '.join(errors) or 'neither the checkpoint nor the model config names it'}. Give {option} FOLDER or ID"
    )


def _tower_config(source: str, part: str) -> PretrainedConfig:
    """The config of a tower, of a size that can be built; code that its folder may contain is never run."""
    with _reading(f"{source[:200]!r} has no config that can be read", "name another tower"):
        _require_files(Path(source))
        if Path(source).is_dir():
            _check_sizes(source, PretrainedConfig.get_config_dict(source)[0])
        config = sub_config(load_config(source), part)
    if hasattr(config, "auto_map"):
        del config.auto_map  # it would be written to the new folder
    return config


def _require_files(folder: Path) -> None:
    """Refuse a folder with pipes or devices, which could be waited for without end."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.exists() and not path.is_file() and not path.is_dir():
                raise CheckpointError(f"{path} is a pipe or device; replace it with a file")


def _check_sizes(source: str, values: Any) -> None:
    """Refuse sizes that no model has, before transformers computes with them."""
    for name, value in _numbers(values):
        limit = MAX_LAYERS if re.search("layers?$|depths?$|blocks$|stages$|experts$", name) else MAX_SIZE
        if abs(value) > limit and math.isfinite(value):
            raise CheckpointError(f"{source}: {name} is {shown(value)} in config.json, expected at most {limit:,}")


def _numbers(values: Any) -> Iterator[tuple[str, float]]:
    """All numbers inside a config, with the name of the field that contains them."""
    todo = [("", values)]
    while todo:
        name, value = todo.pop()
        if isinstance(value, dict):
            todo += [(str(key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            todo += [(name, inner) for inner in value]
        elif isinstance(value, int | float):
            yield name, value


def _language_names(config: PretrainedConfig) -> LanguageNames:
    """Look the names up in a model without weights."""
    with boundary(CheckpointError, "the text tower's config does not make a language model", "give --text-tower"):
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    names: dict[int, str] = {id(module): name for name, module in model.named_modules()}
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if not isinstance(head, nn.Linear):
        raise CheckpointError(f"{type(model).__name__} has no linear output head: this family is not supported")
    if head.bias is not None:
        raise CheckpointError(f"the output head of {type(model).__name__} has a bias, which PanoLLaVA's head has not")
    moved = config.model_type in SCALED_INSIDE and hasattr(embedding, "embed_scale")
    scale = float(config.hidden_size**0.5) if moved else 1.0
    return LanguageNames(f"{model.base_model_prefix}.", f"{names[id(embedding)]}.weight", names[id(head)], scale)


def _normalisation(source: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of a vision tower's pixels, one or three numbers each."""
    remedy = "correct its preprocessor_config.json"
    with _reading(f"the pixel statistics of {source} cannot be read", remedy):
        pixels = tower_pixels(source)
        mean, std = pixels.mean, pixels.std
    numbers = all(isinstance(n, int | float) and math.isfinite(n) for n in (*mean, *std))
    if not numbers or len(mean) != len(std) or len(mean) not in (1, 3) or not all(n > 0 for n in std):
        raise CheckpointError(
            f"the pixel statistics of {source} are {shown(mean)} and {shown(std)}; expected three numbers each, and "
            f"no deviation of 0: {remedy}"
        )
    return mean, std


def _tokenizer(text: str) -> Any:
    """The language model's tokenizer with the tokens that the original added, in its order."""
    with _reading(f"the text tower {text!r} has no tokenizer that can be read", "give --text-tower"):
        tokenizer = load_tokenizer(text)
    tokenizer.init_kwargs.pop("auto_map", None)  # code of the folder, which would be named in the new one
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is not None:
            tokenizer.pad_token = tokenizer.eos_token
        else:
            tokenizer.add_special_tokens({"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"})
    known = tokenizer.get_vocab()
    tokenizer.add_tokens([t for t in (IMAGE_TOKEN, "<|endoftext|>") if t not in known], special_tokens=True)
    return tokenizer


@dataclass(frozen=True)
class InferredConfig:
    """The config of the new model.

    Attributes:
        config: The config.
        notes: What was decided.
    """

    config: PanoLLaVaConfig
    notes: tuple[str, ...]


def infer_config(parts: Parts, settings: RunSettings, towers: Towers, model_type: ModelType) -> InferredConfig:
    """Infer the config of the new model.

    Args:
        parts: The checkpoint's parts.
        settings: The settings of its run.
        towers: The towers it was trained with.
        model_type: What the checkpoint is converted to.

    Raises:
        CheckpointError: Something that changes the numbers is recorded nowhere.
    """
    generates = model_type == "conditional-generation"
    fields = _resampler_fields(settings.values) | _crop_fields(settings, towers)
    if generates:
        fields |= _connector_fields(settings.values)
    else:
        fields |= {"positional_encoding": "none", "stitching_mode": "concat"}
    if model_type == "vicreg":
        fields |= _vicreg_fields(settings.values)
    if parts.adapters:
        fields |= _lora_fields(settings.values)
    text = copy.deepcopy(towers.text)
    if text is not None and towers.names is not None:
        text.vocab_size = _vocabulary(parts, towers, towers.names.embedding)
        fields["image_token_id"] = int(towers.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))
    trained = not (generates and settings.stage == "vision")
    try:
        config = PanoLLaVaConfig(
            vision_config=towers.vision,
            text_config=text,
            connector_trained=trained,
            trainable_vision_blocks=0,
            vicreg_pairs="columns",
            vision_source=towers.origins.get("vision_source"),
            text_source=towers.origins.get("text_source"),
            **fields,
        )
        config.token_grid()
        config.num_image_tokens()
    except (ValueError, PanoramaError) as error:
        raise CheckpointError(f"the settings of this run do not make a model: {one_line(error)}") from error
    notes = []
    if "num_views" in fields:
        notes.append(
            f"panoramas were cut with overlap {settings.crop_overlap} ({fields['num_views']} tiles) and stitched with "
            f"overlap {fields['overlap_ratio']}: num_views is written to the config so that both are kept"
        )
    if not trained:
        notes.append("the projector of a vision-stage checkpoint is untrained, so connector_trained is False")
    return InferredConfig(config, tuple(notes))


def _vocabulary(parts: Parts, towers: Towers, embedding: str) -> int:
    """The size of the vocabulary that the language model was trained with."""
    if embedding not in parts.language.tensors:
        raise CheckpointError(
            f"the checkpoint lacks model.language_model.{embedding}: give the --text-tower it was trained with, not "
            f"{towers.text_source}"
        )
    if parts.language.tensors[embedding].ndim != 2:
        raise CheckpointError(f"model.language_model.{embedding} is not a table of two dimensions, as embeddings are")
    rows = int(parts.language.tensors[embedding].shape[0])
    if int(towers.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)) >= rows:
        raise CheckpointError(
            f"the vocabulary is contradictory: the checkpoint's embedding has {rows} rows, but with {IMAGE_TOKEN} the "
            f"text tower's tokenizer has {len(towers.tokenizer)} tokens. Give the --text-tower it was trained with"
        )
    return rows


def _resampler_fields(known: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: known[name] for name in ("resampler_type", "latent_dimension")}
    inner: dict[str, Any] = {}
    if known["resampler_type"] == "qformer":
        heads, width = int(known["resampler_attention_heads"]), known["resampler_width"]
        if heads < 1 or width % heads:
            raise CheckpointError(f"the Q-Former's width {width} is not divisible by {heads} attention heads")
        # BERT ran as a decoder, so its self-attention is causal.
        inner = {"num_layers": known["resampler_num_hidden_layers"], "num_heads": heads, "causal": True}
        fields["num_latent_tokens"] = known["resampler_num_query_tokens"]
    else:
        inner = {"num_layers": known["resampler_depth"], "hidden_dim": known["resampler_hidden_dim"]}
    if known["resampler_type"] == "bimamba":
        inner |= {name: known[f"resampler_{name}"] for name in ("d_state", "d_conv", "expand")}
        inner["norm_first"] = bool(known["resampler_norm_first"])
    inner = {name: value for name, value in inner.items() if value is not None}
    return {**fields, "vision_output_norm": known["use_vicreg_norm"], "resampler_config": inner}


def _crop_fields(settings: RunSettings, towers: Towers) -> dict[str, Any]:
    """How the run cut panoramas into views."""
    known = settings.values
    strategy, fov, crop = known["crop_strategy"], float(known["fov_deg"]), settings.crop_overlap
    overlap = known.get("overlap_ratio", crop)
    for ratio in (crop, overlap):
        tiles = 0 if ratio is None else 360 / (fov * (1 - ratio))
        if tiles > MAX_VIEWS or (strategy == "anyres" and tiles**2 / 2 > MAX_VIEWS):
            raise CheckpointError(
                f"fov_deg {shown(fov)} and overlap_ratio {shown(ratio)} cut a panorama into more than {MAX_VIEWS} "
                "views; correct them in the model config, and in the hyper_parameters of the checkpoint"
            )
    if overlap is None:
        raise CheckpointError("overlap_ratio is neither in hyper_parameters nor in a model config: give --model-config")
    fields: dict[str, Any] = {"crop_strategy": strategy, "fov_deg": fov, "overlap_ratio": float(overlap)}
    if crop is not None and float(crop) != float(overlap) and strategy in ("e2p", "anyres_e2p"):
        # The model's overlap then does not determine the views, so their number is written out.
        plan = plan_views(strategy, fov_deg=fov, overlap_ratio=float(crop))
        fields["num_views"] = len(plan) - (1 if strategy == "anyres_e2p" else 0)
    tower = getattr(towers.vision, "image_size", None)
    size, tower_size = settings.image_size, [tower, tower] if isinstance(tower, int) else tower
    if size is not None and tower_size is not None and size != list(tower_size):
        fields["view_size"] = size
    return fields


def _connector_fields(known: Mapping[str, Any]) -> dict[str, Any]:
    """Positional encoding and stitching, which no tensor determines."""
    for name in STITCHING[: 3 if known.get("stitching_mode") == "resample" else 1]:
        if name not in known:
            raise CheckpointError(
                f"{name} is neither in the checkpoint nor in a model config: give --model-config with the run's "
                f"{', '.join(STITCHING)} and use_projection_positional_encoding"
            )
    fields = {name: known[name] for name in STITCHING if name in known}
    fields["positional_encoding"] = "none" if known["use_projection_positional_encoding"] is False else "yaw"
    if "pe_temperature" in known:
        fields["positional_temperature"] = float(known["pe_temperature"])
    return fields


def _vicreg_fields(known: Mapping[str, Any]) -> dict[str, Any]:
    """The VICReg projector and loss."""
    total = float(known["vicreg_loss_weight"])
    total = total if total > 0 else 1.0  # later stages switch the loss off with a weight of 0
    fields = {name: total * float(known[name]) for name in VICREG_WEIGHTS}
    fields |= {"vicreg_mode": known["vicreg_mode"], "vicreg_projector_depth": known.get("vicreg_projector_depth", 0)}
    if fields["vicreg_projector_depth"]:
        fields["vicreg_projector_dim"] = known["vicreg_projector_dim"]
        if known["vicreg_projector_hidden_dim"] != known["vicreg_projector_dim"]:
            fields["vicreg_projector_hidden_dim"] = known["vicreg_projector_hidden_dim"]
    return fields


def _lora_fields(known: Mapping[str, Any]) -> dict[str, Any]:
    if "lora_alpha" not in known:
        raise CheckpointError(
            "lora_alpha, the scale of the LoRA adapters, is recorded nowhere: add it to the model config"
        )
    return {"lora_r": known["lora_r"], "lora_alpha": known["lora_alpha"], "lora_dropout": float(known["lora_dropout"])}
