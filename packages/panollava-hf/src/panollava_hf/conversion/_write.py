"""Write a converted model: its weights shard by shard, its processor and its generation settings."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_state_dict_into_shards_factory
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from transformers import GenerationConfig

from panollava_hf._errors import CheckpointError, PanoLLaVaError, boundary, reason
from panollava_hf.conversion._config import Towers
from panollava_hf.conversion._lora import PeftAdapter, merged
from panollava_hf.conversion._weights import PROJECTOR, MappedWeights, VerifiedModel
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
from panollava_hf.processing_panollava import PanoLLaVaProcessor

#: Called with the bytes written so far and the bytes to write.
Progress = Callable[[int, int], None]
#: Smallest and largest shard in bytes. Between them a shard is a tenth of the weights: this much is in memory at once.
SMALLEST, LARGEST = 256_000_000, 5_000_000_000


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Report a full disk, or another folder that cannot be written, as one line.

    Args:
        output: The folder that is written.

    Raises:
        CheckpointError: A file in it could not be written.
    """
    try:
        yield
    except PanoLLaVaError:
        raise
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{output} cannot be written ({reason(error)}); nothing was left there. Free space or choose another folder"
        ) from error


@dataclass(frozen=True)
class Weight:
    """A tensor that is computed when its shard is written.

    Attributes:
        source: The tensor before its change.
        dtype: Type in which it is written.
        key: The checkpoint's key of `source`; None if it was joined from several, or is not in the checkpoint.
        change: Computes the new tensor; None keeps it as it is.
    """

    source: Tensor
    dtype: torch.dtype
    key: str | None = None
    change: Callable[[Tensor], Tensor] | None = None

    @property
    def nbytes(self) -> int:
        """Size on disk."""
        return self.source.numel() * self.dtype.itemsize

    def value(self, checkpoint: Mapping[str, Tensor]) -> Tensor:
        """The tensor to write, from the tensors of the checkpoint where it has them."""
        source = self.source if self.key is None else checkpoint[self.key]
        return (source if self.change is None else self.change(source)).to(self.dtype).contiguous()


def plan_weights(
    mapped: MappedWeights, verified: VerifiedModel, merge: PeftAdapter | None, dtype: torch.dtype | None
) -> dict[str, Weight]:
    """The weights to write, by name: the checkpoint's, and the initial values of those that it lacks.

    Args:
        mapped: The checkpoint's weights.
        verified: The new model, and which keys are missing or unexpected.
        merge: LoRA to merge into the weights, if any.
        dtype: Type of all floating-point weights; default: as stored.
    """
    unexpected = {row.key for row in verified.rows if row.status == "unexpected"}
    missing = [row.key for row in verified.rows if row.status == "missing"]
    tensors = {name: tensor for name, tensor in mapped.tensors.items() if mapped.keys.get(name) not in unexpected}
    initial = verified.model.state_dict()
    changes: dict[str, Callable[[Tensor], Tensor]] = {}
    if mapped.projector_scale != 1.0:
        changes = {name: partial(_scaled, factor=mapped.projector_scale) for name in tensors if PROJECTOR in name}
    if merge is not None:
        merge_one = partial(merged, alpha=merge.settings.lora_alpha, transposed=merge.transposed)
        changes |= {f"{name}.weight": partial(merge_one, adapter=adapter) for name, adapter in mapped.adapters.items()}
    return {
        name: Weight(
            tensor,
            dtype if dtype and tensor.is_floating_point() else tensor.dtype,
            mapped.keys.get(name),
            changes.get(name),
        )
        for name, tensor in {**tensors, **{name: initial[name] for name in missing}}.items()
    }


def _scaled(tensor: Tensor, factor: float) -> Tensor:
    return (tensor.float() * factor).to(tensor.dtype)


def widest_dtype(weights: Mapping[str, Weight]) -> torch.dtype:
    """The floating-point type that represents every weight exactly."""
    found = {weight.dtype for weight in weights.values() if weight.dtype.is_floating_point}
    widest = found.pop()
    for dtype in found:
        widest = torch.promote_types(widest, dtype)
    return widest


def write_weights(
    folder: Path,
    weights: Mapping[str, Weight],
    read: Callable[[], Mapping[str, Tensor]],
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Write `model.safetensors`, or shards and their index.

    Args:
        folder: An existing folder.
        weights: By name.
        read: Maps the checkpoint's tensors. Each shard has a map of its own, so that its pages are given back after it.
        progress: Called after each shard.

    Returns:
        Names of the weight files.
    """
    total = sum(weight.nbytes for weight in weights.values())
    plan = split_state_dict_into_shards_factory(
        dict(weights),
        get_storage_size=lambda weight: weight.nbytes,
        filename_pattern="model{suffix}.safetensors",
        get_storage_id=lambda weight: None,
        max_shard_size=min(max(total // 10, SMALLEST), LARGEST),
    )
    written = 0
    for filename, names in plan.filename_to_tensors.items():
        checkpoint = read()
        shard = _separate({name: weights[name].value(checkpoint) for name in names})
        save_file(shard, str(folder / filename), {"format": "pt"})
        del checkpoint, shard
        written += sum(weights[name].nbytes for name in names)
        if progress is not None:
            progress(written, total)
    if plan.is_sharded:
        index = {"metadata": {**plan.metadata, "total_size": total}, "weight_map": plan.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    return tuple(plan.filename_to_tensors)


def _separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that share memory with an earlier one, because a file cannot contain one tensor under two names."""
    seen: set[int] = set()
    for name, tensor in tensors.items():
        if tensor.data_ptr() in seen:
            tensors[name] = tensor.clone()
        seen.add(tensor.data_ptr())
    return tensors


def write_processor(folder: Path, config: Any, towers: Towers) -> None:
    """Write the processor and, for a model with a language model, the generation settings.

    Args:
        folder: An existing folder.
        config: The model's config.
        towers: The towers, for the pixel statistics, the tokenizer and the language model's own generation settings.
    """
    mean, std = towers.normalisation
    if towers.tokenizer is None:
        PanoLLaVaImageProcessor.from_config(config, mean, std).save_pretrained(str(folder))
        return
    processor = PanoLLaVaProcessor.from_config(config, towers.tokenizer, mean, std)
    with boundary(CheckpointError, "the tokenizer cannot be written", "free space, or check the files of --text-tower"):
        processor.save_pretrained(str(folder))
    problem = f"the generation settings of {towers.text_source!r} cannot be used"
    with boundary(CheckpointError, problem, "correct or remove its generation_config.json"):
        _generation(config, towers).save_pretrained(str(folder))


def _generation(config: Any, towers: Towers) -> GenerationConfig:
    """The language model's generation settings, with the tokens of this model."""
    try:
        generation = GenerationConfig.from_pretrained(towers.text_source)
    except OSError:  # many towers have none; transformers then derives one from the config, too
        generation = GenerationConfig.from_model_config(config.text_config)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if getattr(generation, name) is None:
            setattr(generation, name, getattr(towers.tokenizer, name))
    generation.suppress_tokens = [config.image_token_id]  # the placeholder is read, never generated
    return generation
