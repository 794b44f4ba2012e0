"""Make the checkpoint that is included in panollava-hf, from nothing to the package in one go.

    python -m tools.embedded_model WORK --photographs FOLDER [--install]

Each step is skipped when its output is there, so the same command goes on after a stop. `--scale 0.01` tries out all
steps in minutes. `--install` replaces the checkpoint in the package, and only if all targets are reached; the exit code
is 1 if one is missed. With a C++ compiler, `--set compile=true` trains 1.3 times as fast.
After that, `python -m tools.embedded_model.page WORK` writes the figures into the pages.

WORK/data          training tables (`panoshapes`, `pairs`) and the benchmark with held-out wordings (`test`)
WORK/runs          the training, see the recipe `panoshapes`
WORK/checkpoint    the trained checkpoint in half precision, with what it knows
WORK/results       evaluations, one folder each
WORK/targets.md    what was reached
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from panollava_hf.asking import default_checkpoint

from tools import default_checkpoint as packaging
from tools.embedded_model import data, evaluation, knowledge, targets, training

_Result = TypeVar("_Result")


def main() -> int:
    """Run the steps; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--photographs", type=Path, required=True, help="a folder of panoramas of real places")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe")
    parser.add_argument("--scale", type=float, default=1.0, help="share of all numbers of scenes and steps")
    parser.add_argument("--processes", type=int, default=2, help="processes that share the work")
    parser.add_argument(
        "--install", action="store_true", help="replace the checkpoint in the package if targets are met"
    )
    given = parser.parse_args()
    if not 0 < given.scale <= 1:
        parser.error(f"--scale {given.scale}: expected more than 0 and at most 1")
    if given.processes < 1:
        parser.error(f"--processes {given.processes}: expected 1 or more")
    photographs = knowledge.photographs_in(given.photographs)
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)

    step("data", lambda: data.write(work, given.scale))
    trained = step("training", lambda: training.train(work, given.set, given.scale, given.processes))
    checkpoint = step("what it knows", lambda: knowledge.add(trained, work, photographs, given.scale, given.processes))
    results = step("evaluation", lambda: evaluation.run(checkpoint, work, photographs, given.processes))
    reached = targets.check(results, checkpoint)
    text = f"{targets.table(reached)}\n{targets.reported(results)}"
    (work / "targets.md").write_text(text)
    print(text, end="")
    missed = [target.name for target in reached if not target.reached]
    if given.install:
        if missed:
            print(f"not installed: {len(missed)} targets are missed: {', '.join(missed)}", file=sys.stderr)
        else:
            install(checkpoint, work / "results" / "known" / "results.json")
    return 1 if missed else 0


def step(name: str, run: Callable[[], _Result]) -> _Result:
    """Run a step, and print how long it took."""
    print(f"{name} …", file=sys.stderr, flush=True)
    started = time.monotonic()
    result = run()
    print(f"{name}: {(time.monotonic() - started) / 60:.1f} minutes", file=sys.stderr, flush=True)
    return result


def install(checkpoint: Path, results: Path) -> None:
    """Replace the checkpoint in the package, with the results in its card."""
    target = default_checkpoint()
    packaging.build(checkpoint, target, packaging.read_results(results))
    shutil.rmtree(target / "__pycache__", ignore_errors=True)
    print(f"installed in {target}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
