"""The Trainer of transformers for panoramas: items in the order of the dataset, masks for packed questions, Muon."""

import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import load_file, save_file
from torch.utils.data import Sampler, SequentialSampler
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from panollava_hf._console import console, progress, say
from panollava_hf._errors import TrainingError, boundary
from panollava_hf.data._dataset import PanoramaDataset
from panollava_hf.outside._weight_files import follow_umask
from panollava_hf.training._block_attention import BLOCK_ATTENTION, BLOCKS, plan_blocks, use_blocks
from panollava_hf.training._checkpoints import COMPLETE, repair
from panollava_hf.training._collator import NOTES, ViewCollator, answers_only, attention_mask_of
from panollava_hf.training._optimizers import muon
from panollava_hf.training._recipe import Recipe, StageName
from panollava_hf.training._summary import measured
from panollava_hf.training._validation import Validation
from panollava_hf.training._validation_plan import standing, time_left


def report(text: str) -> None:
    """Print one line in the main process."""
    if PartialState().is_main_process:
        say(text)


#: After so many steps the time of a stage is estimated; the first one does not count. Of steps that take more seconds
#: than this, two are enough.
_MEASURED_STEPS, _LONG_STEP = 4, 20.0


class StageProgress(TrainerCallback):
    """Shows the progress of a stage, and ends it when the loss is NaN or infinite."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.is_terminal = console().is_terminal
        self.bar = progress(transient=False, disable=not self.is_terminal)
        self.started, self.first = time.monotonic(), 0
        self.second_began, self.has_estimated = self.started, False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the bar."""
        if state.is_world_process_zero:
            self.started, self.first = time.monotonic(), state.global_step
            self.task = self.bar.add_task(self.stage, total=state.max_steps, completed=state.global_step)
            self.bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance the bar, and after a few steps report the time that the stage will take."""
        if not state.is_world_process_zero:
            return
        self.bar.update(self.task, completed=state.global_step)
        done, now = state.global_step - self.first, time.monotonic()
        if done == 1:  # the first step also starts the workers
            self.second_began = now
        elif not self.has_estimated and state.global_step < state.max_steps:
            seconds = (now - self.second_began) / (done - 1)
            if done == _MEASURED_STEPS or seconds > _LONG_STEP:
                self.has_estimated = True
                say(f"{self.stage}: {measured(seconds, state.max_steps - state.global_step)}")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Report the loss.

        Raises:
            TrainingError: The loss is NaN or infinite.
        """
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(float(loss)):
            raise TrainingError(
                f"the loss of stage {self.stage} is {loss} at step {state.global_step}; lower "
                f"stages.{self.stage}.learning_rate, or check the rows of the table"
            )
        if not state.is_world_process_zero:
            return
        self.bar.update(self.task, description=f"{self.stage}  loss {float(loss):.4g}")
        if not self.is_terminal:
            seconds = (time.monotonic() - self.started) / max(state.global_step - self.first, 1)
            rate = (logs or {}).get("learning_rate", 0.0)
            left = seconds * (state.max_steps - state.global_step)
            say(
                f"{self.stage} {state.global_step}/{state.max_steps} loss {float(loss):.4f} "
                f"learning rate {float(rate):.2e}, {1 / max(seconds, 1e-9):.3g} steps/s"
                + (f", {time_left(left)}" if state.global_step < state.max_steps else "")
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop the bar."""
        self.bar.stop()


#: In a checkpoint with adapters: the weights trained without one. The name stays, so that older runs can be resumed.
WITHOUT_ADAPTERS = "beside_adapters.safetensors"


class StageTrainer(Trainer):
    """A Trainer that takes the items of the dataset in order, because the dataset shuffles them itself.

    Args:
        recipe: The recipe.
        stage: The stage.
        steps: Number of optimizer steps.
        folder: Where checkpoints are saved.
        model: The model, with the parameters to train requiring gradients.
        dataset: The items.
        collator: Makes batches of them.
        validation: Measures on other panoramas while the stage trains; None measures nothing.

    Attributes:
        order: Which panorama and questions each item holds.
        skipped: Messages about skipped images, without duplicates, in order.
    """

    optimizer: Any
    control: Any

    def __init__(
        self,
        recipe: Recipe,
        stage: StageName,
        steps: int,
        folder: Path,
        *,
        model: Any,
        dataset: PanoramaDataset,
        collator: ViewCollator,
        validation: Validation | None = None,
    ) -> None:
        self.optimizer_name, self.order = recipe.stages[stage].optimizer, dataset.order
        self.stage = stage
        with boundary(TrainingError, f"stage {stage}: transformers refuses the settings", "correct the recipe"):
            arguments = training_arguments(recipe, stage, steps, folder)
            super().__init__(model=model, args=arguments, train_dataset=dataset, data_collator=collator)
        self.skipped: dict[str, None] = {}
        for shown in (ProgressCallback, PrinterCallback):
            self.remove_callback(shown)
        self.add_callback(StageProgress(stage))
        if self.args.device.type == "cpu" and stage != "vicreg":
            use_blocks(model.language_model)
        self.is_compiled = recipe.compile
        self.validation = validation
        if validation is not None:
            self.add_callback(validation)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW as transformers creates it, or Muon."""
        if self.optimizer is None and self.optimizer_name == "muon":
            trained = self.model if model is None else model
            self.optimizer = muon(
                trained,
                learning_rate=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                beta2=self.args.adam_beta2,
                decayed=set(self.get_decay_parameter_names(trained)),
            )
        return super().create_optimizer() if model is None else super().create_optimizer(model)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Validate; the Trainer calls this when its control says so, and TensorBoard or W&B get what is logged."""
        if self.validation is None:
            raise TrainingError(f"stage {self.stage}: there is nothing to validate on; give data.validation")
        whole: Any = self.accelerator.unwrap_model(self.model)
        bare = whole.get_base_model() if hasattr(whole, "peft_config") else whole
        model = self.model_wrapped if self.is_fsdp_enabled else whole
        # Answers are generated token by token, with shapes for which layers would be compiled again.
        with torch.compiler.set_stance("force_eager") if self.is_compiled else nullcontext():
            figures = self.validation.measure(self, model, bare, self._prepare_inputs)
        self.log(figures)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        if self.validation.is_over:
            self.control.should_training_stop = True
            found = self.validation.standing
            report(
                f"{self.stage}: ends at step {self.state.global_step}, because {found.since} validations have not "
                f"improved the loss of step {found.best_step}"
            )
        return figures

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        inputs = dict(inputs)
        notes = inputs.pop(NOTES)
        if notes["error"]:
            raise TrainingError(notes["error"])
        self.skipped.update(dict.fromkeys(notes["skipped"]))
        prepared: dict[str, Any] = super()._prepare_inputs(inputs)
        if "segments" in prepared:
            prepared["attention_mask"] = self._mask(prepared.pop("segments"))
        if "labels" in prepared:
            prepared.update(answers_only(prepared["labels"]), use_cache=False)
        return prepared

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save a checkpoint, and mark it when it is complete."""
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        remedy = "make room, then continue with --resume"
        with boundary(TrainingError, f"stage {self.stage}: {folder} cannot be written", remedy):
            super()._save_checkpoint(model, trial)
            if self.validation is not None:
                self.validation.best.write(folder)
                self.accelerator.wait_for_everyone()
            if self.args.should_save:
                follow_umask(path for path in folder.rglob("*") if path.is_file())
                (folder / COMPLETE).touch()

    def _save(self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        super()._save(output_dir, state_dict=state_dict)
        if hasattr(self.model, "peft_config") and self.args.should_save:
            whole = self.model.state_dict() if state_dict is None else state_dict
            others = {name: value.contiguous() for name, value in whole.items() if name in self._without_adapters()}
            save_file(others, Path(output_dir or self.args.output_dir) / WITHOUT_ADAPTERS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with self._reading(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            if self.validation is not None:
                folder = Path(resume_from_checkpoint)
                log = TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME)).log_history
                self.validation.best.read(folder, standing(log).best_step, self.model)
            others = Path(resume_from_checkpoint) / WITHOUT_ADAPTERS
            if others.is_file():
                model = self.model if model is None else model
                model.load_state_dict({**model.state_dict(), **load_file(others)})

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        with self._reading(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: Any) -> None:
        with self._reading(checkpoint):
            super()._load_rng_state(checkpoint)

    def _reading(self, checkpoint: Any) -> AbstractContextManager[None]:
        """Whatever torch, safetensors and transformers raise about a checkpoint, with what to do."""
        problem = f"stage {self.stage}: the checkpoint {checkpoint} is damaged"
        return boundary(TrainingError, problem, repair(Path(str(checkpoint))))

    def _without_adapters(self) -> set[str]:
        """Names of trained weights that are not adapters, and of buffers: peft saves the adapters only."""
        trained = {n for n, p in self.model.named_parameters() if p.requires_grad and "lora_" not in n}
        return trained | {name for name, _ in self.model.named_buffers()}

    def _mask(self, segments: torch.Tensor) -> torch.Tensor:
        mask = attention_mask_of(segments)
        dtype = torch.bfloat16 if self.args.bf16 else torch.float32
        if self._attention() == BLOCK_ATTENTION:
            setattr(mask, BLOCKS, plan_blocks(segments, dtype))
        if self._attention() in ("sdpa", BLOCK_ATTENTION):
            return mask
        # Eager attention adds the mask to its scores.
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)

    def _attention(self) -> str:
        model: Any = self.accelerator.unwrap_model(self.model)
        return str(model.config.text_config._attn_implementation)


def check_state(checkpoint: Path) -> None:
    """Check the step that a checkpoint belongs to; transformers reads it in the middle of `train`.

    Raises:
        TrainingError: The checkpoint is damaged.
    """
    with boundary(TrainingError, f"the checkpoint {checkpoint} is damaged", repair(checkpoint)):
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        if not isinstance(state.global_step, int) or checkpoint.name != f"checkpoint-{state.global_step}":
            raise ValueError(f"{TRAINER_STATE_NAME} has the step {str(state.global_step)[:40]}")


def training_arguments(recipe: Recipe, stage: StageName, steps: int, folder: Path) -> TrainingArguments:
    """The arguments of transformers for a stage."""
    settings = recipe.stages[stage]
    more: dict[str, Any] = {"fsdp": recipe.fsdp} if recipe.fsdp else {}
    if recipe.gradient_checkpointing:
        more.update(_checkpointing())
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adam_beta2=settings.beta2,
        warmup_steps=int(settings.warmup * steps),
        lr_scheduler_type=settings.schedule,
        max_grad_norm=settings.max_grad_norm,
        seed=recipe.seed,
        bf16=recipe.bf16,
        use_cpu=not torch.accelerator.is_available(),
        report_to=recipe.report_to,
        run_name=f"{Path(recipe.output).name}-{stage}",
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,  # do not hide NaN losses
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=2,
        dataloader_num_workers=recipe.data_of(stage).workers,
        dataloader_drop_last=True,
        dataloader_pin_memory=torch.accelerator.is_available(),
        remove_unused_columns=False,  # the items of the dataset are not columns
        **more,
    )


def _checkpointing() -> dict[str, Any]:
    """The option that trades time for memory, called `gradient_checkpointing` before transformers 5.24."""
    names = {field.name for field in fields(TrainingArguments)}
    kind = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    return {kind: True, f"{kind}_kwargs": {"use_reentrant": False}}
