"""The tensors of a checkpoint under the names of a PanoLLaVA model, checked by loading them with transformers.

The tensors are views of the checkpoint file, and a loaded model holds the same views, so this copies nothing.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from panollava_hf._errors import CheckpointError, boundary
from panollava_hf._shown import listed
from panollava_hf.conversion._config import LanguageNames, Towers
from panollava_hf.conversion._parts import Adapter, MappedPart, Part, Parts, equal
from panollava_hf.conversion._report import KeyReport

GIVE_TOWERS = "give the towers it was trained with"
#: Parameters that a small checkpoint may lack, in addition to a multiple of its own.
MAX_MISSING = 100_000_000
LANGUAGE = "panollava.language_model."
VISION = "panollava.vision_backbone.encoder."
PROJECTOR = "panollava.projector.linear."
#: The prefix that transformers 4 had in the vision towers of two-tower models, and that the original removed.
LEVEL = "vision_model."


@dataclass(frozen=True)
class MappedWeights:
    """The weights of the new model.

    Attributes:
        tensors: By name in the new model.
        keys: The checkpoint's key of each, where there is exactly one.
        adapters: LoRA factors by the name of their layer in the new model.
        projector_scale: Factor on the projector's weights, see `LanguageNames.scale`.
        rows: Reports on the keys of these weights, and on those that were dropped or are unexpected.
        notes: What was changed.
    """

    tensors: Mapping[str, Tensor]
    keys: Mapping[str, str]
    adapters: Mapping[str, Adapter]
    projector_scale: float
    rows: tuple[KeyReport, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class VerifiedModel:
    """The new model, and what transformers found when it loaded the tensors.

    Attributes:
        model: The model; its weights are views of the checkpoint.
        rows: The reports on mapped keys, corrected, and those on missing keys.
        notes: Which weights have initial values.
    """

    model: Any
    rows: tuple[KeyReport, ...]
    notes: tuple[str, ...]


def map_weights(parts: Parts, resampler: MappedPart, towers: Towers, vision_prefix: str) -> MappedWeights:
    """Give the tensors of all parts their names in the new model.

    Args:
        parts: The checkpoint's parts.
        resampler: The resampler under its new names.
        towers: The towers.
        vision_prefix: What the vision tower's names begin with on disk.

    Raises:
        CheckpointError: The output head is tied to the embedding and differs from it.
    """
    names, text = towers.names, towers.text
    mapped = [
        _renamed(parts.vision, VISION + vision_prefix, without=LEVEL),
        _renamed(parts.norm, "panollava.vision_backbone.norm."),
        resampler,
        _renamed(parts.vicreg, "vicreg_projector."),
        _renamed(parts.projector, PROJECTOR),
    ]
    notes: tuple[str, ...] = ()
    adapters: dict[str, Adapter] = {}
    if names is not None and text is not None:
        adapters = {_layer(name, names): adapter for name, adapter in parts.adapters.items()}
        notes = _scale_note(text, names)
        mapped.append(_language_model(parts.language, names, tied=bool(getattr(text, "tie_word_embeddings", False))))
    rows = [row for part in mapped for row in part.rows]
    rows += [KeyReport(key, "mapped", f"{name} (LoRA)") for name, adapter in adapters.items() for key in adapter.keys]
    return MappedWeights(
        tensors={name: tensor for part in mapped for name, tensor in part.tensors.items()},
        keys={name: key for part in mapped for name, key in part.keys.items()},
        adapters=adapters,
        projector_scale=1.0 if names is None else names.scale,
        rows=tuple(rows),
        notes=notes,
    )


def _renamed(part: Part, prefix: str, *, without: str = "") -> MappedPart:
    """A part that keeps its names, with another prefix."""
    tensors = {prefix + name.removeprefix(without): tensor for name, tensor in part.tensors.items()}
    keys = {prefix + name.removeprefix(without): key for name, key in part.keys.items()}
    return MappedPart(tensors, keys, tuple(KeyReport(key, "mapped", name) for name, key in keys.items()))


def _language_model(part: Part, names: LanguageNames, *, tied: bool) -> MappedPart:
    """The language model and its head; a head that is tied to the embedding is dropped."""
    tensors, keys, rows = {}, {}, []
    head, embedding = _head(part, names), part.tensors.get(names.embedding)
    for name, tensor in part.tensors.items():
        key = part.keys[name]
        if name == head and tied:
            if embedding is not None and not equal(tensor, embedding):
                raise CheckpointError(
                    f"tie_word_embeddings is contradictory: True in the language model's config, but {key} differs "
                    f"from {part.keys[names.embedding]}. Set it to false in the config.json of --text-tower"
                )
            rows.append(KeyReport(key, "dropped", reason="tied to the input embedding, verified equal"))
        elif name == head or name.startswith(names.base):
            target = "lm_head.weight" if name == head else LANGUAGE + name.removeprefix(names.base)
            tensors[target], keys[target] = tensor, key
            rows.append(KeyReport(key, "mapped", target))
        else:
            rows.append(KeyReport(key, "unexpected", reason="this language model has no such key"))
    return MappedPart(tensors, keys, tuple(rows))


def _head(part: Part, names: LanguageNames) -> str:
    """The head's weight in the file. In transformers 4 some families (GPT-NeoX) had another name for it."""
    usual, embedding = f"{names.head}.weight", part.tensors.get(names.embedding)
    if usual in part.tensors or embedding is None:
        return usual
    outside = [n for n, t in part.tensors.items() if not n.startswith(names.base) and t.shape == embedding.shape]
    return outside[0] if len(outside) == 1 else usual


def _layer(name: str, names: LanguageNames) -> str:
    """A layer of the language model under its name in the new model."""
    if name == names.head:
        return "lm_head"
    return LANGUAGE + name.removeprefix(names.base) if name.startswith(names.base) else name


def _scale_note(text: PretrainedConfig, names: LanguageNames) -> tuple[str, ...]:
    if names.scale == 1.0:
        return ()
    return (
        f"{text.model_type}: transformers 4 scaled vision tokens inside the language model, the installed release does "
        f"not, so the projector is multiplied by {names.scale:g}; for transformers 4.57, convert again with it",
    )


def vision_prefix(vision: Part, config: PretrainedConfig) -> str:
    """The prefix of a vision tower's names on disk: that of transformers 4, if its family has one.

    With it every release reads the tower: 4.57 has the prefix, and 5.x renames it.
    """
    with boundary(CheckpointError, "the vision tower's config does not make a model", "give --vision-tower"):
        with torch.device("meta"):
            tower = AutoModel.from_config(config, trust_remote_code=False)
    model_class = type(tower)
    _check_parameters(tower, vision.tensors)
    problems = {}
    for prefix in (LEVEL, ""):
        named = {prefix + name.removeprefix(LEVEL): tensor for name, tensor in vision.tensors.items()}
        try:
            _, info = _load(model_class, config, named)
        except CheckpointError:  # `verify` reports wrong shapes, for the whole model
            continue
        problems[prefix] = len(info["missing_keys"]) + len(info["unexpected_keys"])
        if not problems[prefix]:
            return prefix
    return min(problems, key=lambda prefix: problems[prefix], default="")


def verify(model_class: type[PreTrainedModel], config: PretrainedConfig, mapped: MappedWeights) -> VerifiedModel:
    """Load the mapped tensors, and report what is missing and what the model has no place for.

    Raises:
        CheckpointError: Shapes differ.
    """
    _check_shapes(model_class, config, mapped.tensors)
    model, info = _load(model_class, config, mapped.tensors)
    keys = {name.replace(VISION + LEVEL, VISION): key for name, key in mapped.keys.items()} | dict(mapped.keys)
    unexpected = {keys.get(name, name): f"the model has no {name}" for name in sorted(info["unexpected_keys"])}
    rows = [row for row in mapped.rows if row.key not in unexpected or row.status != "mapped"]
    rows += [KeyReport(key, "unexpected", reason=reason) for key, reason in unexpected.items()]
    missing = sorted(info["missing_keys"])
    rows += [KeyReport(key, "missing", reason="the model needs it and the checkpoint lacks it") for key in missing]
    return VerifiedModel(
        model, tuple(rows), tuple(f"{key}: missing and allowed, so it has initial values" for key in missing)
    )


def _check_parameters(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Refuse a model that is many times larger than the checkpoint: its missing weights would fill the memory."""
    expected = sum(parameter.numel() for parameter in model.parameters())
    found = sum(tensor.numel() for tensor in tensors.values())
    if expected > 8 * found + MAX_MISSING:
        raise CheckpointError(
            f"the towers' configs make a model of {expected:,} parameters, but the checkpoint has {found:,}; "
            f"{GIVE_TOWERS}"
        )


def _load(
    model_class: type[PreTrainedModel], config: PretrainedConfig, tensors: Mapping[str, Tensor]
) -> tuple[Any, Any]:
    """The model with these tensors, and transformers' loading info."""
    elements = Counter[torch.dtype]()
    for tensor in tensors.values():
        if tensor.is_floating_point():
            elements[tensor.dtype] += tensor.numel()
    dtype = elements.most_common(1)[0][0] if elements else torch.float32
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)  # the report contains what is missing
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # missing weights that are allowed start with the same values every time
            with boundary(CheckpointError, "the checkpoint does not fit the towers' configs", GIVE_TOWERS):
                return model_class.from_pretrained(
                    None, config=config, state_dict=dict(tensors), output_loading_info=True, dtype=dtype
                )
    finally:
        logger.setLevel(level)


def _check_shapes(model_class: type[PreTrainedModel], config: PretrainedConfig, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors of another shape than the model's, and integers; transformers checks the names that it changes."""
    with boundary(CheckpointError, "the towers' configs and the settings do not make a model", GIVE_TOWERS):
        with torch.device("meta"):
            model = model_class(config)
    _check_parameters(model, tensors)
    state = model.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wrong = []
    for name, tensor in tensors.items():
        for known in (name, name.replace(VISION + LEVEL, VISION)):
            if known in expected and expected[known] != tuple(tensor.shape):
                wrong.append(f"{known} is {tuple(tensor.shape)} in the checkpoint and {expected[known]} by the configs")
            elif known in state and state[known].is_floating_point() and not tensor.is_floating_point():
                wrong.append(f"{known} has the type {tensor.dtype} in the checkpoint, expected floating-point numbers")
    if wrong:
        contradictions = listed(wrong, 6, "; ")
        raise CheckpointError(f"weights are contradictory: {contradictions}. Give the towers it was trained with")
