"""transformers' Trainer for panoramas: order and masks by the data, and mistakes told in the main process."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import Sampler, SequentialSampler
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainingArguments

from panollava_hf._errors import TrainingError
from panollava_hf.training._callbacks import StageProgress
from panollava_hf.training._collator import NOTES
from panollava_hf.training._optimizers import muon
from panollava_hf.training._packing import attention_mask_of
from panollava_hf.training._recipe import Recipe, StageName

#: Written into a checkpoint when all of it is there; a killed run may leave one without.
COMPLETE = "complete"
#: Beside an adapter in a checkpoint: what learns in full.
BESIDE_ADAPTERS = "beside_adapters.safetensors"


class StageTrainer(Trainer):
    """A Trainer that takes items in the order of the dataset, which shuffles by itself.

    Attributes:
        skipped: Bad pictures that were passed over, each told once.
    """

    optimizer: Any

    def __init__(self, stage: StageName, optimizer: str = "adamw", **kwargs: Any) -> None:
        self.optimizer_name = optimizer
        super().__init__(**kwargs)
        self.skipped: dict[str, None] = {}
        for shown in (ProgressCallback, PrinterCallback):
            self.remove_callback(shown)
        self.add_callback(StageProgress(stage))
        self.add_callback(_Complete())

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW as transformers makes it, or Muon."""
        if self.optimizer is None and self.optimizer_name == "muon":
            learner = self.model if model is None else model
            self.optimizer = muon(
                learner,
                learning_rate=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                beta2=self.args.adam_beta2,
                decayed=set(self.get_decay_parameter_names(learner)),
            )
        return super().create_optimizer() if model is None else super().create_optimizer(model)

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
        return prepared

    def _save(self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        super()._save(output_dir, state_dict=state_dict)
        if hasattr(self.model, "peft_config") and self.args.should_save:
            whole = self.model.state_dict() if state_dict is None else state_dict
            beside = {name: value.contiguous() for name, value in whole.items() if name in self._beside_adapters()}
            save_file(beside, Path(output_dir or self.args.output_dir) / BESIDE_ADAPTERS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        beside = Path(resume_from_checkpoint) / BESIDE_ADAPTERS
        if beside.is_file():
            model = self.model if model is None else model
            model.load_state_dict({**model.state_dict(), **load_file(beside)})

    def _beside_adapters(self) -> set[str]:
        """What learns besides the adapters, which is all that peft would save, and every buffer."""
        learning = {n for n, p in self.model.named_parameters() if p.requires_grad and "lora_" not in n}
        return learning | {name for name, _ in self.model.named_buffers()}

    def _mask(self, segments: torch.Tensor) -> torch.Tensor:
        mask = attention_mask_of(segments)
        if self._attention() == "sdpa":
            return mask
        # Eager attention adds its mask to the scores.
        dtype = torch.bfloat16 if self.args.bf16 else torch.float32
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)

    def _attention(self) -> str:
        model: Any = self.accelerator.unwrap_model(self.model)
        return str(model.config.text_config._attn_implementation)


class _Complete(TrainerCallback):
    """Marks checkpoints that were written to the end."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a killed stage that is there to the end."""
    found = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def training_arguments(recipe: Recipe, stage: StageName, steps: int, folder: Path) -> TrainingArguments:
    """What transformers is told about a stage."""
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
        logging_nan_inf_filter=False,  # a loss that is no number shall be seen
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=2,
        dataloader_num_workers=recipe.data_of(stage).workers,
        dataloader_drop_last=True,
        dataloader_pin_memory=torch.accelerator.is_available(),
        remove_unused_columns=False,  # the dataset's items are no columns
        **more,
    )


def _checkpointing() -> dict[str, Any]:
    """Trading time for memory: called `gradient_checkpointing` before transformers 5.24."""
    names = {field.name for field in fields(TrainingArguments)}
    kind = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    return {kind: True, f"{kind}_kwargs": {"use_reentrant": False}}
