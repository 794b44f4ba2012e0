"""One stage of a run: its data, its trainer, and the checkpoint folder that it ends with."""

import json
import math
import platform
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import set_seed

from panollava_hf._errors import PanoLLaVaError, TrainingError, boundary, reason
from panollava_hf._files import staged_folder
from panollava_hf._loading import load_processor
from panollava_hf.asking.models._lengths import max_positions
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.data._dataset import PanoramaDataset
from panollava_hf.data._examples import Examples
from panollava_hf.data._order import ItemOrder, RisingLimit
from panollava_hf.training._checkpoints import UNFINISHED, last_checkpoint
from panollava_hf.training._collator import NOTES, AnswerCollator, ViewCollator
from panollava_hf.training._held_out import HeldOut
from panollava_hf.training._recipe import Recipe, StageName
from panollava_hf.training._scene_augmentation import scene_augmentation
from panollava_hf.training._stage_data import (
    groups_that_fit,
    of_trained_rows,
    sampling_weights,
    trained_and_held,
    usable_examples,
)
from panollava_hf.training._stage_model import compile_layers, stage_model, write_stage
from panollava_hf.training._start import copy_processor
from panollava_hf.training._summary import longest_row, stage_summary
from panollava_hf.training._trainer import StageTrainer, check_state, report
from panollava_hf.training._validation import CURVES_FILE, LOG_FILE, SAMPLES_FILE, Validation, write_curves
from panollava_hf.training._validation_plan import plan

#: Where the event files of TensorBoard are kept, in the output folder.
EVENTS_FOLDER = "tensorboard"


def run_stage(recipe: Recipe, stage: StageName, start: Path, *, resume: bool, skip_bad: bool = False) -> None:
    """Run one stage from the checkpoint folder `start` to `<output>/<stage>`.

    Args:
        recipe: The recipe.
        stage: The stage.
        start: Checkpoint folder of the previous stage.
        resume: Continue from the last checkpoint in `<output>/<stage>.unfinished`, if there is one.
        skip_bad: Skip images that cannot be read, and rows that cannot be used.
    """
    began = time.monotonic()
    state = PartialState()
    output = Path(recipe.output) / stage
    work = output.with_name(f"{stage}{UNFINISHED}")
    trainer = stage_trainer(recipe, stage, start, work, skip_bad=skip_bad)
    order, steps = trainer.order, trainer.args.max_steps
    per_step = order.length // steps
    _report_summary(trainer, recipe.stages[stage].optimizer, per_step)
    if trainer.validation is not None:
        report(f"{stage}: {trainer.validation.summary(steps)}")
    checkpoint = last_checkpoint(work) if resume else None
    if checkpoint is not None:
        check_state(checkpoint)
        report(f"{stage}: continuing from {checkpoint.name}")
    result = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    validation = trainer.validation
    if validation is not None:
        validation.put_back_best(trainer.model)
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # all processes gather them
    if state.is_main_process:
        record = {
            "stage": stage,
            "steps": steps if validation is None or not validation.is_over else validation.standing.last_step,
            "panoramas_per_step": per_step,
            "seed": recipe.seed,
            "mean_loss": round(float(result.training_loss), 6),
            "seconds": round(time.monotonic() - began),
            "settings": recipe.stages[stage].model_dump(exclude={"data", "save_every", "log_every", "eval_every"}),
            "versions": {name: version(name) for name in ("panollava-hf", "torch", "transformers")},
            "python": platform.python_version(),
        }
        if validation is not None:
            record["validation"] = validation.record()
        trained: Any = trainer.accelerator.unwrap_model(trainer.model)
        try:
            with staged_folder(output) as folder:
                copy_processor(start, folder)
                write_stage(stage, trained, weights, start, folder, record)
                (folder / LOG_FILE).write_text(json.dumps(trainer.state.log_history, indent=1) + "\n")
                write_curves(folder / CURVES_FILE, stage, trainer.state.log_history)
                if (work / SAMPLES_FILE).is_file():
                    shutil.copyfile(work / SAMPLES_FILE, folder / SAMPLES_FILE)
        except PanoLLaVaError:
            raise
        except OSError as error:
            problem = f"stage {stage}: {output} cannot be written ({reason(error)})"
            raise TrainingError(f"{problem}; make room, then continue with --resume") from error
        keep_event_files(work, Path(recipe.output) / EVENTS_FOLDER / stage)
        shutil.rmtree(work, ignore_errors=True)
        report(f"{stage}: wrote {output}")
    if trainer.skipped:
        report(f"{stage}: skipped {len(trainer.skipped)} unreadable images, the first: {next(iter(trainer.skipped))}")
    state.wait_for_everyone()


def keep_event_files(work: Path, target: Path) -> None:
    """Move the event files of TensorBoard, which transformers writes below the folder of checkpoints, out of it."""
    written = work / "runs"
    if written.is_dir():
        with boundary(TrainingError, f"the event files in {written} cannot be moved to {target}", "move them by hand"):
            shutil.copytree(written, target, dirs_exist_ok=True)
            shutil.rmtree(written)


def _report_summary(trainer: StageTrainer, optimizer: str, per_step: int) -> None:
    if not PartialState().is_main_process:
        return
    order, model = trainer.order, trainer.model
    rows = sum(map(len, order.groups))
    for line in stage_summary(
        model, model.config, rows, len(order.groups), trainer.args.max_steps, per_step, optimizer
    ):
        report(f"{trainer.stage}: {line}")
    if isinstance(trainer.data_collator, AnswerCollator):
        tokens, where = longest_row(trainer.train_dataset.examples, trainer.data_collator)
        report(f"{trainer.stage}: the longest row has {tokens:,} tokens with its panorama ({where})")


def stage_trainer(recipe: Recipe, stage: StageName, start: Path, work: Path, *, skip_bad: bool = False) -> StageTrainer:
    """The trainer of one stage: the model of the folder `start`, the data, and checkpoints in the folder `work`.

    Raises:
        TrainingError: Images are missing, the first item cannot be made into a batch, or the model cannot be trained in
            this way.
        TableError: The table cannot be read, lacks a column, or has rows that cannot be used.
    """
    settings, data = recipe.stages[stage], recipe.data_of(stage)
    examples = usable_examples(stage, data, data.split, data.limit, skip_bad=skip_bad)
    processor = load_processor(start)
    collator: ViewCollator
    if stage == "vicreg":
        collator, groups = ViewCollator(processor), examples.groups()
    else:
        with boundary(TrainingError, f"stage {stage}: {start} has no readable config", "delete it to start again"):
            positions = max_positions(PanoLLaVaConfig.from_pretrained(start))
        collator = AnswerCollator(processor, data.max_length, positions)
        groups = groups_that_fit(examples, collator, stage, skip_bad=skip_bad)
    held: tuple[Examples, list[list[int]]] | None = None
    if data.validation is not None:
        groups, held = trained_and_held(recipe, stage, examples, groups, collator, skip_bad=skip_bad)
    per_step = settings.batch_size * settings.accumulation * PartialState().num_processes
    steps = settings.steps or math.ceil((settings.epochs or 1) * len(groups) / per_step)
    curriculum = None
    if (easy := data.curriculum) is not None:
        values = of_trained_rows(examples.numbers(easy.column), groups)
        curriculum = RisingLimit(easy.column, values, easy.share, easy.start, easy.end)
    order = ItemOrder(
        groups,
        length=steps * per_step,
        questions=1 if stage == "vicreg" else data.questions_per_panorama,
        seed=recipe.seed,
        curriculum=curriculum,
        weights=None if data.sampling_weights is None else sampling_weights(examples, data.sampling_weights),
    )
    dataset = PanoramaDataset(
        examples,
        order,
        processor.image_processor,
        yaw_augmentation=scene_augmentation(examples, data.split) if data.yaw_augmentation else None,
        cache=data.cache,
        skip_bad=skip_bad,
        private_redirects=data.private_redirects,
    )
    try:
        opening = collator([dataset[0]])  # an unusable table or chat template is reported before training, in one line
    except ValueError as error:
        raise TrainingError(f"stage {stage}: {error}") from error
    if opening[NOTES]["error"]:
        raise TrainingError(opening[NOTES]["error"])
    validation = None
    if held is not None:
        validation = _validation(recipe, stage, dataset, *held, collator, work, steps=steps)
    set_seed(recipe.seed)
    model = stage_model(stage, settings, start)
    trainer = StageTrainer(
        recipe, stage, steps, work, model=model, dataset=dataset, collator=collator, validation=validation
    )
    if recipe.compile and stage != "vicreg":  # which has no language model
        compile_layers(model.language_model)
    return trainer


def _validation(
    recipe: Recipe,
    stage: StageName,
    trained: PanoramaDataset,
    examples: Examples,
    groups: list[list[int]],
    collator: ViewCollator,
    work: Path,
    *,
    steps: int,
) -> Validation:
    """What validates a stage on the first of these groups, as many as its plan has."""
    settings, data = recipe.stages[stage], recipe.data_of(stage)
    wanted = data.validation
    assert wanted is not None
    chosen = plan(len(groups), wanted.limit, settings.eval_every, steps=steps, per_step=trained.order.length // steps)
    order = ItemOrder(
        groups[: chosen.panoramas], length=chosen.panoramas, questions=trained.order.questions, seed=recipe.seed
    )
    dataset = PanoramaDataset(
        examples,
        order,
        trained.image_processor,
        cache=data.cache,
        skip_bad=trained.skip_bad,
        private_redirects=data.private_redirects,
    )
    # VICReg has statistics over the panoramas that all processes train together.
    batch_size = settings.batch_size * (PartialState().num_processes if stage == "vicreg" else 1)
    held_out = HeldOut(dataset, collator, batch_size=batch_size, answers=wanted.answers, workers=data.workers)
    return Validation(
        held_out,
        chosen,
        stage=stage,
        work=work,
        every_time=settings.eval_every is not None,
        patience=settings.patience,
        sharded=bool(recipe.fsdp),
        available=len(groups),
    )
