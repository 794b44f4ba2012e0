"""The training, in processes of its own.

A model as small as this one hardly uses a second core. Two processes with half of each batch do, and read the same
batches together.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from panollava_hf.training import Recipe, load_recipe

from tools.embedded_model.data import scaled

RECIPE = "panoshapes"


def train(work: Path, changes: Sequence[str], scale: float, processes: int = 1) -> Path:
    """Train the recipe in `work`, or go on; return the folder of the last stage.

    Args:
        work: The folder.
        changes: Settings of the recipe, such as "seed=1".
        scale: Share of all steps.
        processes: Processes that share the batches.

    Raises:
        SystemExit: The training failed, or a batch cannot be divided by the number of processes.
    """
    recipe = load_recipe(RECIPE, changes)
    last = work / recipe.output / list(recipe.stages)[-1]
    if last.is_dir():
        return last
    # Waiting threads of OpenMP sleep: on a busy machine they would otherwise take the time of the working ones.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    words = [sys.executable]
    settings: list[str] = []
    if scale < 1:
        settings += [f"stages.{name}.steps={scaled(stage.steps or 1, scale)}" for name, stage in recipe.stages.items()]
    settings += changes
    if processes > 1:
        environment = {"OMP_NUM_THREADS": "1", **environment}
        words += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        settings += _divided(recipe, processes)
    words += ["-m", "panollava_hf", "train", "--config", RECIPE, "--resume"]
    for setting in settings:
        words += ["--set", setting]
    if subprocess.run(words, cwd=work, env=environment).returncode:
        raise SystemExit("the training failed; correct the cause, and run the same command again to go on")
    return last


def _divided(recipe: Recipe, processes: int) -> list[str]:
    """The settings by which each of some processes has its share of the batches and of the workers."""
    found = [f"data.workers={recipe.data.workers // processes}"]
    for name, stage in recipe.stages.items():
        if stage.batch_size % processes:
            raise SystemExit(
                f"--processes {processes}: {name} has batches of {stage.batch_size}, which cannot be divided; use a "
                "number that divides all batches"
            )
        found.append(f"stages.{name}.batch_size={stage.batch_size // processes}")
    return found
