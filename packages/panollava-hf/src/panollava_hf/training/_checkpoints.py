"""The checkpoints of an unfinished stage: which are complete, and what to do when one is damaged. Needs no torch."""

from collections.abc import Sequence
from pathlib import Path

#: Written into a checkpoint when it is complete; a killed run may leave an incomplete one.
COMPLETE = "complete"
#: Ends the name of the folder of a stage that is not finished.
UNFINISHED = ".unfinished"


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of an unfinished stage."""
    found = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}") if _step(path.parent) is not None]
    return max(found, key=lambda path: _step(path) or 0, default=None)


def trained_stages(output: Path, stages: Sequence[str]) -> list[str]:
    """The stages of a run that are finished, or that a checkpoint can continue."""
    return [
        stage
        for stage in stages
        if (output / stage).is_dir() or last_checkpoint(output / f"{stage}{UNFINISHED}") is not None
    ]


def _step(checkpoint: Path) -> int | None:
    digits = checkpoint.name.removeprefix("checkpoint-")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None


def what_is_complete(output: Path, stages: Sequence[str]) -> str:
    """What an interrupted run leaves, and how to continue it.

    Args:
        output: The output folder of the run.
        stages: The stages of the run, in order.
    """
    for stage in reversed(stages):
        checkpoint = last_checkpoint(output / f"{stage}{UNFINISHED}")
        if checkpoint is not None:
            return f"the last complete checkpoint is {checkpoint}; continue with --resume"
    finished = [stage for stage in stages if (output / stage).is_dir()]
    complete = f"complete in {output}: {', '.join(finished)}" if finished else f"no checkpoint in {output} is complete"
    return f"{complete}; run the same command with --resume to go on"


def repair(checkpoint: Path) -> str:
    """What to do about a damaged checkpoint."""
    return (
        f"delete {checkpoint} and run the same command: it continues from the checkpoint before it, or begins the "
        "stage again"
    )
