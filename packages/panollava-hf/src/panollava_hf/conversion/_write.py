"""Write a converted checkpoint: weights shard by shard, and a folder that appears whole or not at all."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import split_state_dict_into_shards_factory
from safetensors.torch import save_file
from torch import Tensor

from panollava_hf._errors import CheckpointError

#: Called with the bytes written so far and the bytes to write.
Progress = Callable[[int, int], None]
#: Smallest and largest shard, in bytes; between them a tenth of the weights, which is what casting holds in memory.
SMALLEST, LARGEST = 256_000_000, 5_000_000_000


@dataclass(frozen=True)
class Weight:
    """A tensor that is made when its shard is written.

    Attributes:
        source: The checkpoint's tensor, a window on the file.
        make: What becomes of it; None leaves it as it is.
        dtype: Type it is written in.
    """

    source: Tensor
    dtype: torch.dtype
    make: Callable[[Tensor], Tensor] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self.source.numel() * self.dtype.itemsize

    def value(self) -> Tensor:
        """The tensor to write."""
        tensor = self.source if self.make is None else self.make(self.source)
        return tensor.to(self.dtype).contiguous()


def check_free(output: Path) -> None:
    """Refuse a place that is taken.

    Raises:
        CheckpointError: `output` exists and is not an empty folder.
    """
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise CheckpointError(f"{output} exists already: name a new folder")


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """A scratch folder beside `output` that takes its place when the block ends well, and is removed otherwise.

    Raises:
        CheckpointError: `output` exists and is not an empty folder, or its parent cannot be written.
    """
    check_free(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.", suffix=".incomplete")
    except OSError as error:
        raise CheckpointError(f"{output} cannot be written: {error}") from error
    with scratch as name:
        folder = Path(name) / "checkpoint"
        folder.mkdir()
        yield folder
        for file in folder.rglob("*"):
            if file.is_file():
                file.chmod(0o644)  # safetensors writes for the owner alone
        if output.exists():
            output.rmdir()  # empty, or this fails
        os.replace(folder, output)


def write_weights(
    folder: Path,
    weights: Mapping[str, Weight],
    progress: Progress | None = None,
    release: Callable[[], None] | None = None,
) -> list[str]:
    """Write `model.safetensors`, or shards and their index.

    Args:
        folder: Where to.
        weights: By name.
        progress: Told after each shard.
        release: Called after each shard, to give back what was read for it.

    Returns:
        Names of the files.
    """
    total = sum(weight.nbytes for weight in weights.values())
    plan = split_state_dict_into_shards_factory(
        dict(weights),
        get_storage_size=lambda weight: weight.nbytes,
        filename_pattern="model{suffix}.safetensors",
        get_storage_id=lambda weight: None,
        max_shard_size=min(max(total // 10, SMALLEST), LARGEST),
    )
    done = 0
    for filename, names in plan.filename_to_tensors.items():
        shard: dict[str, Tensor] = {}
        seen: set[int] = set()
        for name in names:
            tensor = weights[name].value()
            if tensor.data_ptr() in seen:  # two names for one tensor, which a file cannot hold
                tensor = tensor.clone()
            seen.add(tensor.data_ptr())
            shard[name] = tensor
        save_file(shard, str(folder / filename), metadata={"format": "pt"})
        shard.clear()
        if release is not None:
            release()
        done += sum(weights[name].nbytes for name in names)
        if progress is not None:
            progress(done, total)
    if plan.is_sharded:
        index = {"metadata": {**plan.metadata, "total_size": total}, "weight_map": plan.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    return list(plan.filename_to_tensors)
