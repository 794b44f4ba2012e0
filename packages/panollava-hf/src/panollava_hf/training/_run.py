"""A whole run: stage after stage, each from the checkpoint of the previous one; a stopped run can be resumed."""

import io
import json
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState

from panollava_hf._errors import JobError, TrainingError, reason
from panollava_hf._files import write_whole
from panollava_hf._quiet import without_noise
from panollava_hf.data._examples import read_examples
from panollava_hf.jobs._lock import lock_file
from panollava_hf.outside._plain_yaml import read_yaml
from panollava_hf.training._checkpoints import UNFINISHED, last_checkpoint, trained_stages
from panollava_hf.training._curve import draw_learning_curve
from panollava_hf.training._preflight import check_settings, check_start
from panollava_hf.training._recipe import STAGES, Recipe, StageName
from panollava_hf.training._recipe_file import read_written_recipe
from panollava_hf.training._stage import run_stage
from panollava_hf.training._start import write_start
from panollava_hf.training._trainer import report
from panollava_hf.training._validation import LOG_FILE

#: Settings of the run, in its output folder.
RECIPE_FILE = "recipe.yaml"
#: The checkpoint that the first stage starts from, and the lock, in its output folder.
START, _LOCK = "start", ".lock"
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
    until_last = list(recipe.stages)[: list(recipe.stages).index(wanted[-1]) + 1]
    output = Path(recipe.output)
    state = PartialState(cpu=not torch.accelerator.is_available())
    with without_noise():
        check_settings(recipe, wanted)
        with _claim_output(output, recipe, wanted, resume) if state.is_main_process else nullcontext():
            state.wait_for_everyone()
            return _run(recipe, wanted, until_last, resume=resume, skip_bad=skip_bad)


def _run(
    recipe: Recipe, wanted: Sequence[StageName], until_last: Sequence[StageName], *, resume: bool, skip_bad: bool
) -> Path:
    state, output = PartialState(), Path(recipe.output)
    missing = [stage for stage in until_last if stage not in wanted and not (output / stage).is_dir()]
    if missing:
        following = until_last[until_last.index(missing[0]) + 1]
        raise TrainingError(
            f"{following} starts from the stage {missing[0]}, which has not been run: run --stage {missing[0]} first, "
            "or remove it from the recipe"
        )
    start = output / START
    if state.is_main_process and not start.is_dir():
        check_start(recipe.model, until_last)
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


@contextmanager
def _claim_output(output: Path, recipe: Recipe, wanted: Sequence[StageName], resume: bool) -> Iterator[None]:
    """The output folder of this run, which no other process works on until the end of the block.

    Raises:
        TrainingError: It belongs to another run, another process works on it, or it cannot be written.
    """
    _check_output(output, recipe, wanted, resume)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"the output folder {output} cannot be created: {reason(error)}") from error
    try:
        lock: AbstractContextManager[None] = lock_file(output / _LOCK, output)
    except JobError as error:
        raise TrainingError(str(error)) from error
    except OSError as error:  # some network file systems have no locks
        report(f"{output} cannot be locked ({reason(error)}): do not start a second run in it")
        lock = nullcontext()
    with lock:
        _remove_beginnings(output)
        settings = recipe.model_dump(mode="json", exclude={"output"})
        try:
            write_whole(output / RECIPE_FILE, yaml.safe_dump(settings, sort_keys=False))
        except OSError as error:
            raise TrainingError(
                f"{output / RECIPE_FILE} cannot be written: {reason(error)}; make room, and try again"
            ) from error
        yield


def _check_output(output: Path, recipe: Recipe, wanted: Sequence[StageName], resume: bool) -> None:
    """Check that the folder is new or belongs to this run; a run that left nothing to continue does not count."""
    names = {path.name for path in output.iterdir() if not path.name.startswith(".")} if output.is_dir() else set()
    if not names:
        return
    trained, written = trained_stages(output, STAGES), output / RECIPE_FILE
    others = names - {RECIPE_FILE, START, CURVE_FILE, *STAGES, *(f"{stage}{UNFINISHED}" for stage in STAGES)}
    # A run writes its recipe without the output folder: with it, this is somebody's own file.
    if RECIPE_FILE not in names or (not trained and (others or _names_output(written))):
        raise TrainingError(f"{output} contains other files: choose an empty or new folder as output (--set output=…)")
    if not trained:
        return
    before = read_written_recipe(written, recipe.output)
    changed = sorted(key for key in Recipe.model_fields if getattr(before, key) != getattr(recipe, key))
    if changed:
        raise TrainingError(
            f"{output} belongs to a run with other settings ({', '.join(changed)}): choose another output folder "
            f"(--set output=…), or delete {output} to start again"
        )
    begun = [stage for stage in wanted if stage in trained]
    if begun and not resume:
        raise TrainingError(
            f"{output} already contains the stage {begun[0]}: continue with --resume, choose another output folder "
            f"(--set output=…), or delete {output} to start again"
        )


def _names_output(path: Path) -> bool:
    values = read_yaml(path, TrainingError, what="a recipe")
    return isinstance(values, dict) and "output" in values


def _remove_beginnings(output: Path) -> None:
    """Remove what earlier attempts left that never completed a checkpoint or stage; this run writes it again."""
    for stage in STAGES:
        if last_checkpoint(output / f"{stage}{UNFINISHED}") is None:
            _remove(output / f"{stage}{UNFINISHED}")
    if not trained_stages(output, STAGES):
        _remove(output / START)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise TrainingError(
            f"{folder}, of a run that ended before its first checkpoint, cannot be removed ({reason(error)}); delete it"
        ) from error
