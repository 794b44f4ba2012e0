"""Checks, their figures, and the time that they may take together."""

import json
import os
import platform
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

#: Seconds after which no further check begins.
LIMIT = 270.0


class CheckError(Exception):
    """A figure is not what it must be."""


@dataclass(frozen=True)
class Bench:
    """Where checks run.

    Args:
        device: The device under test.
        small: Models of a few thousand parameters, to try the checks themselves.
    """

    device: torch.device
    small: bool = False

    def seconds(self, function: Callable[[], object], *, rounds: int = 5) -> float:
        """Median seconds of a call, with the device's work finished; the first call is not counted."""
        times = []
        for _ in range(rounds + 1):
            self.wait()
            began = time.perf_counter()
            function()
            self.wait()
            times.append(time.perf_counter() - began)
        return sorted(times[1:])[rounds // 2]

    def wait(self) -> None:
        """Return when the device has nothing left to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak(self) -> float:
        """Largest memory since the last call of this method, in MiB; 0 on a CPU."""
        if self.device.type != "cuda":
            return 0.0
        used = torch.cuda.max_memory_allocated(self.device) / 2**20
        torch.cuda.reset_peak_memory_stats(self.device)
        return used


#: A check returns its figures by name, and raises `CheckError` when one is wrong.
Check = Callable[[Bench], dict[str, Any]]


@dataclass
class Outcome:
    """What a check found: "right", "wrong", "failed" (an exception) or "not run" (no time left)."""

    name: str
    state: str
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
    message: str = ""


def require(condition: bool, message: str) -> None:
    """Raise `CheckError` unless the condition holds."""
    if not condition:
        raise CheckError(message)


def run(checks: Iterable[tuple[str, Check]], bench: Bench, *, limit: float = LIMIT) -> list[Outcome]:
    """Run checks in order; one that fails does not keep the others from running. Prints a line for each."""
    began, outcomes = time.perf_counter(), []
    for name, check in checks:
        outcome = Outcome(name, "not run", message=f"no check begins after {limit:.0f} s")
        start = time.perf_counter()
        if start - began < limit:
            outcome = _outcome(name, check, bench)
        outcome.seconds = time.perf_counter() - start
        shown = ", ".join(f"{key} {_number(value)}" for key, value in outcome.figures.items())
        print(f"{outcome.state:7} {name} ({outcome.seconds:.1f} s): {outcome.message or shown}", flush=True)
        outcomes.append(outcome)
    return outcomes


def _outcome(name: str, check: Check, bench: Bench) -> Outcome:
    torch.manual_seed(0)
    try:
        return Outcome(name, "right", figures=check(bench))
    except CheckError as error:
        return Outcome(name, "wrong", message=str(error))
    except Exception:  # a report of all checks is wanted; the exit code says that one failed
        return Outcome(name, "failed", message=traceback.format_exc())


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def machine(device: torch.device) -> dict[str, str]:
    """Device and versions."""
    import transformers

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    cuda = str(torch.version.cuda)
    return {"device": name, "torch": torch.__version__, "cuda": cuda, "transformers": transformers.__version__}


def write(path: Path, outcomes: list[Outcome], device: torch.device) -> None:
    """Write all outcomes as JSON, whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    content = {"machine": machine(device), "checks": [asdict(outcome) for outcome in outcomes]}
    scratch.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(scratch, path)
