"""Ask transformers itself whether it can load the mapped tensors, and what it lacks.

The tensors are windows on the checkpoint file, and a loaded model holds the same windows: this copies nothing.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._map import Part
from panollava_hf.conversion._report import Account
from panollava_hf.conversion._targets import VISION, Target

#: A level that transformers 4 had above the vision towers of two-tower models, and that the original left out.
LEVEL = "vision_model."


def load(
    model_class: type[PreTrainedModel], config: PretrainedConfig, tensors: Mapping[str, Tensor]
) -> tuple[Any, Any]:
    """The model with these tensors, and transformers' loading report.

    Raises:
        CheckpointError: Shapes differ.
    """
    widths = Counter[torch.dtype]()
    for tensor in tensors.values():
        if tensor.is_floating_point():
            widths[tensor.dtype] += tensor.numel()
    dtype = widths.most_common(1)[0][0] if widths else torch.float32
    quiet = logging.getLogger("transformers")
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # what is missing goes into the account instead
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # weights that may be missing start the same every time
            return model_class.from_pretrained(
                None, config=config, state_dict=dict(tensors), output_loading_info=True, dtype=dtype
            )
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "size mismatch" in line or "shape" in line]
        raise CheckpointError(
            f"shapes of the checkpoint and of the towers' configs contradict each other: "
            f"{'; '.join(lines[:6]) or str(error).splitlines()[0]}. Give the towers it was trained with"
        ) from error
    finally:
        quiet.setLevel(level)


def check_shapes(model_class: type[PreTrainedModel], config: PretrainedConfig, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors whose shape is not the model's, showing both.

    Names that transformers will change are left to it.
    """
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in model_class(config).state_dict().items()}
    wrong = []
    for name, tensor in tensors.items():
        for known in (name, name.replace(VISION + LEVEL, VISION)):
            if known in expected and expected[known] != tuple(tensor.shape):
                wrong.append(f"{known} is {tuple(tensor.shape)} in the checkpoint and {expected[known]} by the configs")
    if wrong:
        told = "; ".join(wrong[:6]) + (f"; and {len(wrong) - 6} more" if len(wrong) > 6 else "")
        raise CheckpointError(f"shapes are contradictory: {told}. Give the towers it was trained with")


def tower_prefix(part: Part, config: PretrainedConfig) -> str:
    """What stands before a vision tower's names on disk: the level of transformers 4, where its family had it.

    With it every release reads the tower: 4.57 has the level, and 5.x renames it away.
    """
    with torch.device("meta"):
        model_class = type(AutoModel.from_config(config))
    problems = {}
    for prefix in (LEVEL, ""):
        named = {prefix + name.removeprefix(LEVEL): tensor for name, tensor in part.tensors.items()}
        try:
            _, report = load(model_class, config, named)
        except CheckpointError:  # told better by `check_shapes`, for the model as a whole
            continue
        problems[prefix] = len(report["missing_keys"]) + len(report["unexpected_keys"])
        if not problems[prefix]:
            return prefix
    return min(problems, key=lambda prefix: problems[prefix], default="")


def verify(model_class: type[PreTrainedModel], config: PretrainedConfig, target: Target, account: Account) -> Any:
    """Write down what transformers finds missing or has no place for.

    Returns:
        The model, holding windows on the checkpoint.
    """
    check_shapes(model_class, config, target.tensors)
    model, report = load(model_class, config, target.tensors)
    for name in sorted(report["missing_keys"]):
        account.add(name, "missing", why="the model needs it and the checkpoint lacks it")
    back = {name.replace(VISION + LEVEL, VISION): key for name, key in target.keys.items()} | target.keys
    for name in sorted(report["unexpected_keys"]):
        key = back.get(name, name)
        account.rows = [row for row in account.rows if not (row.key == key and row.fate == "mapped")]
        account.add(key, "unexpected", why=f"the model has no {name}")
    return model
