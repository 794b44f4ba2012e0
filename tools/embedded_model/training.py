"""The training, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from panollava_hf.training import load_recipe

from tools.embedded_model.data import scaled

RECIPE = "panoshapes"


def train(work: Path, changes: Sequence[str], scale: float) -> Path:
    """Train the recipe in `work`, or go on; return the folder of the last stage.

    Raises:
        SystemExit: The training failed.
    """
    recipe = load_recipe(RECIPE, changes)
    last = work / recipe.output / list(recipe.stages)[-1]
    if last.is_dir():
        return last
    # Waiting threads of OpenMP sleep: on a busy machine they would otherwise take the time of the working ones.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    words = [sys.executable, "-m", "panollava_hf", "train", "--config", RECIPE, "--resume"]
    if scale < 1:
        changes = [
            *(f"stages.{name}.steps={scaled(stage.steps or 1, scale)}" for name, stage in recipe.stages.items()),
            *changes,
        ]
    for change in changes:
        words += ["--set", change]
    if subprocess.run(words, cwd=work, env=environment).returncode:
        raise SystemExit("the training failed; correct the cause, and run the same command again to go on")
    return last
