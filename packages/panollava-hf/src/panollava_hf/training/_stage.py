"""One stage of a run: its data, its trainer, and the checkpoint folder that it ends with."""

import json
import math
import platform
import shutil
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn
from transformers import PreTrainedModel, set_seed

from panollava_hf._errors import PanoLLaVaError, PanoShapesError, TableError, TrainingError, boundary, reason
from panollava_hf._files import staged_folder
from panollava_hf._loading import load_model, load_processor
from panollava_hf._lora import ADAPTER_FOLDER, add_lora, merge_lora
from panollava_hf.asking.models._lengths import max_positions
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.data._dataset import PanoramaDataset, YawAugmentation
from panollava_hf.data._examples import Example, Examples, read_examples
from panollava_hf.data._held_out import check_disjoint, hold_out, shuffled_groups
from panollava_hf.data._order import ItemOrder, Limit, RisingLimit
from panollava_hf.data._row_checks import Unusable
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.modeling_panollava_vision import PanoLLaVaForVICReg
from panollava_hf.panoshapes import scene_rotation
from panollava_hf.panoshapes._rotation import SceneRotation
from panollava_hf.training._checkpoints import UNFINISHED, last_checkpoint
from panollava_hf.training._collator import NOTES, AnswerCollator, ViewCollator
from panollava_hf.training._held_out import HeldOut
from panollava_hf.training._recipe import DataSettings, Recipe, StageName, StageSettings
from panollava_hf.training._start import copy_processor
from panollava_hf.training._summary import longest_row, stage_summary
from panollava_hf.training._trainer import StageTrainer, check_state, report
from panollava_hf.training._validation import CURVES_FILE, LOG_FILE, SAMPLES_FILE, Validation, write_curves
from panollava_hf.training._validation_plan import plan


def stage_model(stage: StageName, settings: StageSettings, folder: Path) -> Any:
    """Load the model of a stage, with everything frozen that the stage does not train.

    `vicreg` trains the resampler and the VICReg projector, `resampler` the resampler and the projector, `finetune` the
    projector and the language model, and so does `refine`. Each stage can also train the last blocks of the vision
    tower, and `finetune` and `refine` the resampler.

    Args:
        stage: The stage.
        settings: Its settings.
        folder: The checkpoint folder that it starts from.

    Raises:
        TrainingError: The checkpoint cannot be trained in this way.
    """
    kind = PanoLLaVaForVICReg if stage == "vicreg" else PanoLLaVaForConditionalGeneration
    try:
        model: PreTrainedModel = load_model(kind, folder, dtype=torch.float32, fresh=["vicreg_projector."])
        model.config.trainable_vision_blocks = settings.trainable_vision_blocks
        model.requires_grad_(False)
        whole: Any = model.base_model
        whole.vision_backbone.set_trainable_blocks(settings.trainable_vision_blocks)
    except ValueError as error:
        raise TrainingError(f"stage {stage}: {error}") from error
    if stage not in ("finetune", "refine") or settings.train_resampler:
        whole.resampler.requires_grad_(True)
        if hasattr(whole.vision_backbone, "norm"):
            whole.vision_backbone.norm.requires_grad_(True)
    if stage == "vicreg":
        model.vicreg_projector.requires_grad_(True)
        # Statistics over the batches of all processes, as one process with the whole batch would compute them.
        loss = model.criterion.vicreg
        loss.options = loss.options._replace(gather_distributed=PartialState().num_processes > 1)
        return model
    whole.projector.requires_grad_(True)
    if settings.language_model == "full":
        whole.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
    elif settings.language_model == "lora":
        return _with_adapters(model)
    return model


def _with_adapters(model: Any) -> nn.Module:
    """Add LoRA adapters to the language model; weights that were trainable before stay so (peft freezes them)."""
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    adapted = add_lora(model, train_projector=False)
    for name, parameter in adapted.get_base_model().named_parameters():
        if name in trainable:
            parameter.requires_grad_(True)
    return adapted


def write_stage(
    stage: StageName, trained: Any, weights: dict[str, Tensor], start: Path, output: Path, record: dict[str, Any]
) -> None:
    """Write the model of a finished stage: the trained weights, and those of the start that were not trained.

    Args:
        stage: The stage.
        trained: The trained model, or the model of peft around it.
        weights: Its gathered weights.
        start: The checkpoint folder that the stage started from.
        output: An empty folder.
        record: How the stage was trained, added to `config.training_history`.

    Raises:
        TrainingError: The trained weights are incomplete.
    """
    problem, remedy = f"stage {stage}: the trained weights cannot be written", "make room, then continue with --resume"
    if hasattr(trained, "peft_config"):
        with boundary(TrainingError, problem, remedy):
            trained.save_pretrained(output / ADAPTER_FOLDER, state_dict=weights)
        trained.load_state_dict(weights)
        whole: Any = merge_lora(trained)
        whole.config.use_lora = False  # the adapter is merged into the weights
    else:
        whole = load_model(PanoLLaVaForConditionalGeneration, start, dtype=torch.float32)
        before = whole.state_dict()
        changed = {name: value for name, value in weights.items() if name in before}
        if stage != "vicreg" and changed.keys() != before.keys():
            raise TrainingError(f"stage {stage}: the trained weights lack {sorted(before.keys() - changed.keys())}")
        whole.load_state_dict({**before, **changed})
        whole.config.trainable_vision_blocks = trained.config.trainable_vision_blocks
    if stage != "vicreg":
        whole.config.connector_trained = True
    whole.config.training_history = [*(getattr(whole.config, "training_history", None) or []), record]
    with boundary(TrainingError, problem, remedy):
        whole.save_pretrained(output)


def scene_augmentation(examples: Examples, split: str) -> YawAugmentation:
    """The yaw augmentation of a split written by `panollava data panoshapes`.

    Raises:
        TableError: There is no file with scenes. The directions in other tables cannot be rotated.
    """
    try:
        if examples.folder is None:
            raise PanoShapesError("a dataset on the Hub has no file of scenes")
        return _SceneAugmentation(scene_rotation(examples.folder, split))
    except PanoShapesError as error:
        raise TableError(
            f"{examples.name}: yaw augmentation needs the scenes of PanoShapes: {error}; set data.yaw_augmentation to "
            "false for other panoramas"
        ) from error


class _SceneAugmentation:
    """A rotation of PanoShapes scenes; a curriculum by `aside` limits the yaw itself."""

    def __init__(self, rotation: SceneRotation) -> None:
        self.rotation = rotation

    def draw_yaw(self, examples: Sequence[Example], limit: Limit | None, rng: np.random.Generator) -> float:
        limit_deg = limit.value if limit is not None and limit.column == "aside" else None
        return self.rotation.random_yaw(examples, rng, limit_deg)

    def rotate(self, examples: Sequence[Example], yaw_deg: float, rng: np.random.Generator) -> list[Example | None]:
        return self.rotation.rotate(examples, yaw_deg, rng)


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
    examples = _usable_examples(stage, data, data.split, data.limit, skip_bad=skip_bad)
    processor = load_processor(start)
    collator: ViewCollator
    if stage == "vicreg":
        collator, groups = ViewCollator(processor), examples.groups()
    else:
        with boundary(TrainingError, f"stage {stage}: {start} has no readable config", "delete it to start again"):
            positions = max_positions(PanoLLaVaConfig.from_pretrained(start))
        collator = AnswerCollator(processor, data.max_length, positions)
        groups = _groups_that_fit(examples, collator, stage, skip_bad=skip_bad)
    held: tuple[Examples, list[list[int]]] | None = None
    if data.validation is not None:
        groups, held = _sides(recipe, stage, examples, groups, collator, skip_bad=skip_bad)
    per_step = settings.batch_size * settings.accumulation * PartialState().num_processes
    steps = settings.steps or math.ceil((settings.epochs or 1) * len(groups) / per_step)
    curriculum = weights = None
    if (easy := data.curriculum) is not None:
        values = _of_trained_rows(examples.numbers(easy.column), groups)
        curriculum = RisingLimit(easy.column, values, easy.share, easy.start)
    if (sampling := data.sampling_weights) is not None:
        weights = examples.weights(sampling.column, sampling.weights)
    order = ItemOrder(
        groups,
        length=steps * per_step,
        questions=1 if stage == "vicreg" else data.questions_per_panorama,
        seed=recipe.seed,
        curriculum=curriculum,
        weights=weights,
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
    return StageTrainer(
        recipe, stage, steps, work, model=model, dataset=dataset, collator=collator, validation=validation
    )


def _of_trained_rows(values: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """Values of a column whose smallest and largest are those of the rows in these groups; others get the largest."""
    rows = np.concatenate([np.asarray(group) for group in groups])
    found = np.full_like(values, values[rows].max())
    found[rows] = values[rows]
    return found


def _usable_examples(
    stage: StageName, data: DataSettings, split: str, limit: int | None, *, skip_bad: bool
) -> Examples:
    """The rows of a split that can be used.

    Raises:
        TrainingError: Images are missing.
        TableError: The table cannot be read, or has rows that cannot be used.
    """
    examples = read_examples(data.source, split, data.columns, limit, skip_bad=skip_bad)
    if examples.unusable.count:
        first = examples.unusable.reasons[0]
        report(
            f"{stage}: skipped {examples.unusable.count} rows that cannot be used, the first: {examples.name}, {first}"
        )
    if not skip_bad and (missing := examples.unusable_images()).count:
        raise TrainingError(
            f"{missing.first}: {missing.count} images cannot be used: {missing.listed()}; correct the table, or skip "
            "such images with --skip-bad"
        )
    return examples


def _sides(
    recipe: Recipe,
    stage: StageName,
    examples: Examples,
    groups: list[list[int]],
    collator: ViewCollator,
    *,
    skip_bad: bool,
) -> tuple[list[list[int]], tuple[Examples, list[list[int]]]]:
    """The rows of each panorama that is trained, the table of the panoramas to validate on, and the rows of each.

    Raises:
        TrainingError: There is nothing to validate on, or images are missing.
        TableError: The split does not exist, has rows that cannot be used, or shares panoramas with the training split.
    """
    data = recipe.data_of(stage)
    wanted = data.validation
    assert wanted is not None
    if wanted.share is not None:
        usable = {row for group in groups for row in group}
        kept: tuple[list[list[int]], ...] = hold_out(examples, wanted.share, recipe.seed)
        trained, held = ([rows for group in side if (rows := [r for r in group if r in usable])] for side in kept)
        if not trained or not held:
            raise TrainingError(
                f"stage {stage}: no rows to {'train' if held else 'validate on'} are left in {data.source}"
            )
        return trained, (examples, held)
    assert wanted.split is not None
    if Path(data.source).is_file():
        raise TrainingError(
            f"data.validation.split is {wanted.split!r}, but data.source is the single file {data.source}; use "
            "data.validation.share, or name the folder that contains both splits"
        )
    others = _usable_examples(stage, data, wanted.split, None, skip_bad=skip_bad)
    check_disjoint(examples, others)
    held = shuffled_groups(others, recipe.seed)
    if isinstance(collator, AnswerCollator):
        usable = {row for group in _groups_that_fit(others, collator, stage, skip_bad=skip_bad) for row in group}
        held = [rows for group in held if (rows := [row for row in group if row in usable])]
    return groups, (others, held)


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


def _groups_that_fit(
    examples: Examples, collator: AnswerCollator, stage: StageName, *, skip_bad: bool
) -> list[list[int]]:
    """The rows of each panorama, without those that are longer than the model reads.

    Raises:
        TableError: There are such rows, and `skip_bad` is False; or no others.
    """
    questions, answers = (examples.cells(examples.columns[role]) for role in ("question", "answer"))
    found, rows = Unusable(), set()
    for index, fault in collator.faults(questions, answers):
        rows.add(index)
        found.add(f"{examples.rows.place(examples.row(index))}: {fault}")
    groups = examples.groups()
    if not found.count:
        return groups
    fitting = [kept for group in groups if (kept := [index for index in group if index not in rows])]
    if not skip_bad or not fitting:
        raise TableError(
            f"{examples.name}: {found.count} rows cannot be used: {found.listed()}; correct the table, or skip such "
            "rows with --skip-bad"
        )
    report(f"{stage}: skipped {found.count} rows that cannot be used, the first: {examples.name}, {found.reasons[0]}")
    return fitting
