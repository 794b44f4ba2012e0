"""A whole run: stage after stage, each from the folder of the last one, resumed where it was killed."""

import json
import math
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState
from rich.console import Console
from transformers import set_seed
from transformers.utils import logging

from panollava_hf._errors import TableError, TrainingError
from panollava_hf._lora import trainable_report
from panollava_hf.data._dataset import PanoramaDataset
from panollava_hf.data._examples import Examples, read_examples
from panollava_hf.processing_panollava import PanoLLaVaProcessor
from panollava_hf.training._collator import AnswerCollator, ViewCollator
from panollava_hf.training._recipe import STAGES, DataSettings, Recipe, StageName
from panollava_hf.training._rolling import scene_roller
from panollava_hf.training._stages import stage_model, write_stage
from panollava_hf.training._start import copy_processor, write_start
from panollava_hf.training._trainer import StageTrainer, last_checkpoint, training_arguments

RECIPE_FILE = "recipe.yaml"
LOG_FILE = "training_log.json"
console = Console(stderr=True, highlight=False)


def train(
    recipe: Recipe, stages: Sequence[StageName] | None = None, *, resume: bool = False, skip_bad: bool = False
) -> Path:
    """Train the stages of a recipe.

    Each stage writes an ordinary checkpoint folder `<output>/<stage>`, whole or not at all; while it runs, what is
    needed to resume lies in `<output>/<stage>.unfinished`.

    Args:
        recipe: The recipe.
        stages: Some of its stages; default: all of them. Those before must have been run.
        resume: Go on with a run that was ended: finished stages are kept, the next one goes on from its last
            checkpoint.
        skip_bad: Pass over pictures that cannot be read (they are counted and told) instead of ending the run.

    Returns:
        The folder of the last stage.

    Raises:
        TrainingError: The output belongs to another run, a stage is missing, or training cannot go on.
        TableError: The data cannot be read.
    """
    wanted = [name for name in STAGES if name in (recipe.stages if stages is None else stages)]
    missing = [name for name in wanted if name not in recipe.stages]
    if missing:
        raise TrainingError(f"the recipe has no stage {missing[0]!r}; it has {', '.join(recipe.stages)}")
    output = Path(recipe.output)
    state = PartialState(cpu=not torch.accelerator.is_available())
    logging.disable_progress_bar()
    if state.is_main_process:
        _claim(output, recipe, wanted, resume)
    state.wait_for_everyone()
    folder = output / "start"
    if state.is_main_process and not folder.is_dir():
        write_start(recipe.model, read_examples_of(recipe.data), folder, recipe.seed)
    state.wait_for_everyone()
    for name in STAGES:
        if name not in recipe.stages:
            continue
        if name not in wanted or (output / name).is_dir():
            if name in wanted:
                _tell(f"{name}: finished before, kept")
            elif not (output / name).is_dir():
                if STAGES.index(name) > max(STAGES.index(w) for w in wanted):
                    break
                raise TrainingError(
                    f"{wanted[0]} starts from the stage {name}, which has not been run: run --stage {name} first, or "
                    "take it out of the recipe"
                )
        else:
            run_stage(recipe, name, start=folder, resume=resume, skip_bad=skip_bad)
        folder = output / name
    return output / wanted[-1]


def read_examples_of(settings: DataSettings) -> Examples:
    """The table of a recipe."""
    return read_examples(settings.source, settings.split, settings.columns, settings.limit)


def stage_trainer(recipe: Recipe, stage: StageName, start: Path, work: Path, *, skip_bad: bool = False) -> StageTrainer:
    """The trainer of one stage: its model from the folder `start`, its data, its checkpoints in the folder `work`."""
    settings, data = recipe.stages[stage], recipe.data_of(stage)
    processor = PanoLLaVaProcessor.from_pretrained(start)
    examples = read_examples_of(data)
    dataset = PanoramaDataset(
        examples,
        processor.image_processor,
        questions=1 if stage == "vicreg" else data.questions_per_panorama,
        seed=recipe.seed,
        easy_first=None if data.easy_first is None else data.easy_first.setting,
        favour=None if data.favour is None else (data.favour.column, data.favour.weights),
        roll=scene_roller(examples, data.split) if data.roll else None,
        cache=data.cache,
        skip_bad=skip_bad,
    )
    per_step = settings.batch_size * settings.accumulation * PartialState().num_processes
    steps = settings.steps or math.ceil((settings.epochs or 1) * len(dataset.groups) / per_step)
    dataset.length = steps * per_step
    collator = ViewCollator(processor) if stage == "vicreg" else AnswerCollator(processor, data.max_length)
    try:
        collator([dataset[0]])  # a table or template that cannot work is told here, in one line
    except ValueError as error:
        raise TrainingError(f"stage {stage}: {error}") from error
    set_seed(recipe.seed)
    return StageTrainer(
        stage,
        settings.optimizer,
        model=stage_model(stage, settings, start),
        args=training_arguments(recipe, stage, steps, work),
        train_dataset=dataset,
        data_collator=collator,
    )


def run_stage(recipe: Recipe, stage: StageName, *, start: Path, resume: bool, skip_bad: bool = False) -> None:
    """Run one stage from `start` to `<output>/<stage>`."""
    began = time.monotonic()
    state = PartialState()
    output = Path(recipe.output) / stage
    unfinished = output.with_name(f"{stage}.unfinished")
    trainer = stage_trainer(recipe, stage, start, unfinished, skip_bad=skip_bad)
    dataset: Any = trainer.train_dataset
    steps = trainer.args.max_steps
    per_step = len(dataset) // steps
    model = trainer.model
    parts = ", ".join(f"{part} {new:,} of {every:,}" for part, (new, every) in trainable_report(model).items())
    _tell(f"{stage}: {len(dataset.groups)} panoramas, {steps} steps of {per_step}; learning {parts}")
    checkpoint = last_checkpoint(unfinished) if resume else None
    if checkpoint is not None:
        _tell(f"{stage}: going on from {checkpoint.name}")
    result = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    gathered = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if state.is_main_process:
        log = trainer.state.log_history
        record = _record(recipe, stage, steps, per_step, result.training_loss, time.monotonic() - began)
        _finish(stage, trainer, gathered, start, output, record, log)
        shutil.rmtree(unfinished, ignore_errors=True)
        _tell(f"{stage}: wrote {output}")
    if trainer.skipped:
        _tell(f"{stage}: passed over {len(trainer.skipped)} bad pictures, the first: {next(iter(trainer.skipped))}")
    state.wait_for_everyone()


def _finish(
    stage: StageName,
    trainer: StageTrainer,
    gathered: dict[str, Any],
    start: Path,
    output: Path,
    record: dict[str, Any],
    log: list[dict[str, Any]],
) -> None:
    trained: Any = trainer.accelerator.unwrap_model(trainer.model)
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        folder = Path(scratch) / stage
        folder.mkdir()
        copy_processor(start, folder)
        write_stage(stage, trained, gathered, start, folder, record)
        (folder / LOG_FILE).write_text(json.dumps(log, indent=1) + "\n")
        os.replace(folder, output)


def _record(recipe: Recipe, stage: StageName, steps: int, per_step: int, loss: float, seconds: float) -> dict[str, Any]:
    """How a stage was made: enough to make it again."""
    return {
        "stage": stage,
        "steps": steps,
        "panoramas_per_step": per_step,
        "seed": recipe.seed,
        "mean_loss": round(float(loss), 6),
        "seconds": round(seconds),
        "settings": recipe.stages[stage].model_dump(exclude={"data", "save_every", "log_every"}),
        "versions": {name: version(name) for name in ("panollava-hf", "torch", "transformers")},
        "python": platform.python_version(),
    }


def _claim(output: Path, recipe: Recipe, wanted: Sequence[str], resume: bool) -> None:
    """Make the output folder this run's, or see that it is."""
    known = output / RECIPE_FILE
    settled = recipe.model_dump(mode="json", exclude={"output"})
    made = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if made - {RECIPE_FILE}:  # a recipe alone is a run that could not begin
        if not known.is_file():
            raise TrainingError(f"{output} holds something else: choose an empty folder as output")
        before = yaml.safe_load(known.read_text())
        if before != settled:
            changed = sorted(k for k in settled if before.get(k) != settled[k])
            raise TrainingError(f"{output} belongs to a run with other settings ({', '.join(changed)}): choose another")
        begun = [n for n in wanted if (output / n).is_dir() or (output / f"{n}.unfinished").is_dir()]
        if begun and not resume:
            raise TrainingError(f"{output} already holds the stage {begun[0]}: go on with --resume, or choose another")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{output} cannot be made: {error.strerror}") from error
    known.write_text(yaml.safe_dump(settled, sort_keys=False))


def _tell(text: str) -> None:
    if PartialState().is_main_process:
        console.print(text, soft_wrap=True)


__all__ = ["TableError", "TrainingError", "train"]
