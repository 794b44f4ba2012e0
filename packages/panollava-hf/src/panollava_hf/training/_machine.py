"""The machine that a recipe is written for: cores, memory, accelerator."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

#: Where Linux says how much memory a container may use.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Machine:
    """What a process can use.

    Attributes:
        cores: CPU cores.
        memory: Bytes of memory; 0 if the system does not say.
        accelerator: Kind of the accelerator, such as cuda; None without one.
        accelerator_memory: Bytes of the accelerator's memory; 0 if it is not known.
        has_bf16: Whether the accelerator computes in bfloat16.
    """

    cores: int
    memory: int
    accelerator: str | None = None
    accelerator_memory: int = 0
    has_bf16: bool = False

    def __str__(self) -> str:
        memory = f"{self.memory / 1e9:.0f} GB of memory" if self.memory else "unknown memory"
        cores = f"{self.cores} CPU core{'s' * (self.cores != 1)}, {memory}"
        if self.accelerator is None:
            return f"{cores}, no accelerator"
        size = f" with {self.accelerator_memory / 1e9:.0f} GB" if self.accelerator_memory else ""
        return f"{cores}, {self.accelerator}{size}"

    @property
    def training_memory(self) -> int:
        """Bytes where the model is trained; 0 if they are not known."""
        return self.memory if self.accelerator is None else self.accelerator_memory


def this_machine() -> Machine:
    """The machine of this process.

    Example:
        >>> this_machine().cores > 0
        True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        return Machine(cores, _memory())
    memory = torch.cuda.get_device_properties(0).total_memory if found.type == "cuda" else 0
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if found.type == "cuda" else False
    return Machine(cores, _memory(), found.type, memory, has_bf16)


def _memory() -> int:
    """Bytes of memory: of the machine, or of the container if it has less."""
    names = getattr(os, "sysconf_names", {})
    known = {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= names.keys()
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if known else []
    for path in _LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue  # another system, or another version of control groups
        if text.isdecimal():
            found.append(int(text))
    return min(found, default=0)
