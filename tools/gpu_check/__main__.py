"""`python -m tools.gpu_check [--device cuda] [--small] [--only NAME] [--json FILE]`: exit code 1 if a check fails."""

import argparse
import os
from pathlib import Path

import torch

from tools.gpu_check import attention, generation, geometry, training
from tools.gpu_check.harness import Bench, Check, machine, run, write

#: In the order in which they run: those that find faults before those that measure.
CHECKS: dict[str, Check] = {
    "answers": generation.answers,
    "answers-bf16": generation.answers_bf16,
    "vectors": generation.vectors,
    "reload": generation.reload,
    "resamplers": training.resamplers,
    "overlap-loss": training.overlap_loss,
    "geometry": geometry.results,
    "geometry-tests": geometry.tests,
    "attention": attention.attention,
    "training": training.steps,
    "training-bf16": training.steps_bf16,
    "speed": generation.speed,
    "geometry-speed": geometry.speed,
    "compiled": attention.compiled,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; the exit code: 0 all right, 1 otherwise, 2 if the device is absent."""
    parser = argparse.ArgumentParser(prog="gpu_check", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="small models, to try the checks themselves")
    parser.add_argument("--only", choices=list(CHECKS), action="append", help="a check; may be repeated")
    parser.add_argument("--json", type=Path, help="where all figures are written")
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no CUDA device; try the checks with --device cpu --small")
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.backends.cudnn.allow_tf32 = False  # its convolutions differ from the CPU's by 1e-3
    print(", ".join(f"{name} {value}" for name, value in machine(device).items()), flush=True)
    chosen = [(name, check) for name, check in CHECKS.items() if not given.only or name in given.only]
    outcomes = run(chosen, Bench(device, given.small))
    if given.json:
        write(given.json, outcomes, device)
    return int(any(outcome.state != "right" for outcome in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
