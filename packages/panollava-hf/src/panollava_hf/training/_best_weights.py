"""The weights with the lowest validation loss, in memory while a stage runs, and in its checkpoints."""

from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

#: In a checkpoint: the best weights so far. With fsdp there is one file for each process, named after it.
BEST_FILE = "best.safetensors"


class BestWeights:
    """A copy of everything that training changes in a model: trained weights, and buffers.

    Args:
        sharded: Whether each process holds a part of the weights. Otherwise the main process keeps them.
    """

    def __init__(self, *, sharded: bool) -> None:
        self._file = f"best-{PartialState().process_index}.safetensors" if sharded else BEST_FILE
        self._keeps = sharded or PartialState().is_main_process
        self.step: int | None = None
        self._values: dict[str, Tensor] = {}

    @torch.no_grad()
    def keep(self, model: Any, step: int) -> None:
        """Replace the copy by the model's weights."""
        self.step = step
        if self._keeps:
            self._values = {name: value.cpu().clone() for name, value in _changing(model).items()}

    @torch.no_grad()
    def put_back(self, model: Any) -> None:
        """Give the model the copied weights."""
        if self._keeps:
            for name, value in _changing(model).items():
                value.copy_(self._values[name])

    def write(self, checkpoint: Path) -> None:
        """Write the copy into a checkpoint."""
        if self._keeps and self.step is not None:
            values = {name: value.contiguous() for name, value in self._values.items()}
            save_file(values, checkpoint / self._file, metadata={"step": str(self.step)})

    def read(self, checkpoint: Path, step: int | None, model: Any) -> None:
        """Read the copy from a checkpoint.

        Args:
            checkpoint: The checkpoint.
            step: The step with the lowest validation loss; None if there was no validation yet.
            model: The model.

        Raises:
            ValueError: The file does not belong to this step, or lacks weights.
            FileNotFoundError: There is no file.
        """
        self.step = step
        if step is None or not self._keeps:
            return
        with safe_open(checkpoint / self._file, "pt") as file:
            found = (file.metadata() or {}).get("step")
            if found != str(step):
                raise ValueError(f"{self._file} has the step {str(found)[:40]}, expected {step}")
            self._values = {name: file.get_tensor(name) for name in file.keys()}
        expected = {name: value.shape for name, value in _changing(model).items()}
        if expected != {name: value.shape for name, value in self._values.items()}:
            raise ValueError(f"{self._file} does not have the weights of this stage")


def _changing(model: Any) -> dict[str, Tensor]:
    """Trained weights and buffers by name: this process's part of each."""
    named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    named += model.named_buffers()
    return {name: value.to_local() if hasattr(value, "to_local") else value.detach() for name, value in named}
