"""Let transformers itself check whether it can load the mapped tensors.

The tensors are views of the checkpoint file, and a loaded model holds the same views, so this copies nothing.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._parts import Part
from panollava_hf.conversion._report import KeyReport
from panollava_hf.conversion._weights import VISION, MappedWeights

#: The prefix that transformers 4 had in the vision towers of two-tower models, and that the original removed.
LEVEL = "vision_model."


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


def vision_prefix(vision: Part, config: PretrainedConfig) -> str:
    """The prefix of a vision tower's names on disk: that of transformers 4, if its family has one.

    With it every release reads the tower: 4.57 has the prefix, and 5.x renames it.
    """
    with torch.device("meta"):
        model_class = type(AutoModel.from_config(config))
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
            return model_class.from_pretrained(
                None, config=config, state_dict=dict(tensors), output_loading_info=True, dtype=dtype
            )
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "size mismatch" in line or "shape" in line]
        raise CheckpointError(
            "shapes in the checkpoint and in the towers' configs differ: "
            f"{'; '.join(lines[:6]) or str(error).splitlines()[0]}. Give the towers it was trained with"
        ) from error
    finally:
        logger.setLevel(level)


def _check_shapes(model_class: type[PreTrainedModel], config: PretrainedConfig, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors with another shape than the model's; names that transformers renames are left to it."""
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in model_class(config).state_dict().items()}
    wrong = []
    for name, tensor in tensors.items():
        for known in (name, name.replace(VISION + LEVEL, VISION)):
            if known in expected and expected[known] != tuple(tensor.shape):
                wrong.append(f"{known} is {tuple(tensor.shape)} in the checkpoint and {expected[known]} by the configs")
    if wrong:
        listed = "; ".join(wrong[:6]) + (f"; and {len(wrong) - 6} more" if len(wrong) > 6 else "")
        raise CheckpointError(f"shapes are contradictory: {listed}. Give the towers it was trained with")
