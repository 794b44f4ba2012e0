"""A whole run: stage after stage, each from the checkpoint of the previous one; a stopped run can be resumed."""

import io
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState
from transformers.utils import logging

from panollava_hf._errors import TrainingError, reason
from panollava_hf._files import write_whole
from panollava_hf.data._examples import read_examples
from panollava_hf.training._curve import draw_learning_curve
from panollava_hf.training._recipe import Recipe, StageName
from panollava_hf.training._recipe_file import read_written_recipe
from panollava_hf.training._stage import run_stage
from panollava_hf.training._start import write_start
from panollava_hf.training._trainer import report
from panollava_hf.training._validation import LOG_FILE

#: Settings of the run, in its output folder.
RECIPE_FILE = "recipe.yaml"
#: The losses of all stages, in its output folder.
CURVE_FILE = "learning_curve.png"


def train(
    recipe: Recipe, stages: Collection[StageName] | None = None, *, resume: bool = False, skip_bad: bool = False
) -> Path:
    """Train the stages of a recipe.

    Each stage writes an ordinary checkpoint folder `<output>/<stage>`, which appears when it is complete. While a stage
    runs, `<output>/<stage>.unfinished` holds what is needed to resume it.

    Args:
        recipe: The recipe.
        stages: The stages to run; None runs all. Earlier stages must have been run.
        resume: Continue a run that was stopped: finished stages are kept, and the next one continues from its last
            checkpoint.
        skip_bad: Skip images that cannot be read and rows that cannot be used, and report their number, instead of
            ending the run.

    Returns:
        The folder of the last stage.

    Raises:
        TrainingError: The output folder belongs to another run, a stage is missing, or training cannot continue.
        TableError: The data cannot be read.
    """
    wanted = recipe.select(stages)
    output = Path(recipe.output)
    state = PartialState(cpu=not torch.accelerator.is_available())
    logging.disable_progress_bar()
    if state.is_main_process:
        _claim_output(output, recipe, wanted, resume)
    state.wait_for_everyone()
    until_last = list(recipe.stages)[: list(recipe.stages).index(wanted[-1]) + 1]
    missing = [stage for stage in until_last if stage not in wanted and not (output / stage).is_dir()]
    if missing:
        following = until_last[until_last.index(missing[0]) + 1]
        raise TrainingError(
            f"{following} starts from the stage {missing[0]}, which has not been run: run --stage {missing[0]} first, "
            "or remove it from the recipe"
        )
    start = output / "start"
    if state.is_main_process and not start.is_dir():
        data = recipe.data
        examples = read_examples(data.source, data.split, data.columns, data.limit, skip_bad=skip_bad)
        write_start(recipe.model, examples, start, recipe.seed)
    state.wait_for_everyone()
    for stage in until_last:
        if not (output / stage).is_dir():
            run_stage(recipe, stage, start, resume=resume, skip_bad=skip_bad)
        elif stage in wanted:
            report(f"{stage}: already finished, kept")
        start = output / stage
    if state.is_main_process:
        _write_curve(output, until_last)
    return start


def _write_curve(output: Path, stages: Sequence[StageName]) -> None:
    """Draw the losses of the stages that have a log. If that fails, the run has still succeeded, which is reported."""
    try:
        files = {stage: output / stage / LOG_FILE for stage in stages}
        logs: dict[str, Any] = {
            stage: json.loads(path.read_text(encoding="utf-8")) for stage, path in files.items() if path.is_file()
        }
        if logs:
            stream = io.BytesIO()
            draw_learning_curve(logs, f"Loss of {output.name}").save(stream, format="PNG")
            write_whole(output / CURVE_FILE, stream.getvalue())
    except (OSError, ValueError) as error:
        report(f"{output / CURVE_FILE} was not written ({reason(error)})")


def _claim_output(output: Path, recipe: Recipe, wanted: Sequence[StageName], resume: bool) -> None:
    """Create the output folder and write the recipe into it, or check that the folder belongs to this run."""
    written = output / RECIPE_FILE
    found = {path.name for path in output.iterdir()} if output.is_dir() else set()
    names = {name for name in found if not name.startswith(".")}
    if names - {RECIPE_FILE}:  # with a recipe alone, an earlier attempt ended before it wrote anything else
        if RECIPE_FILE not in names:
            raise TrainingError(f"{output} contains other files: choose an empty or new folder as output")
        before = read_written_recipe(written, recipe.output)
        changed = sorted(key for key in Recipe.model_fields if getattr(before, key) != getattr(recipe, key))
        if changed:
            raise TrainingError(
                f"{output} belongs to a run with other settings ({', '.join(changed)}): choose another output folder "
                f"(--set output=…), or delete {output} to start again"
            )
        begun = [stage for stage in wanted if names & {stage, f"{stage}.unfinished"}]
        if begun and not resume:
            raise TrainingError(
                f"{output} already contains the stage {begun[0]}: continue with --resume, or choose another folder"
            )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"the output folder {output} cannot be created: {reason(error)}") from error
    settings = recipe.model_dump(mode="json", exclude={"output"})
    try:
        write_whole(written, yaml.safe_dump(settings, sort_keys=False))
    except OSError as error:
        raise TrainingError(f"{written} cannot be written: {reason(error)}; make room, and try again") from error
