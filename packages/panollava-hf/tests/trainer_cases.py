"""One step of `transformers.Trainer` as a user would write it, and the same step by hand; run by test_trainer_loss.

As a program, `trainer_cases.py OUTPUT ACCUMULATION LABELS` runs the step in one of several processes.
"""

import json
import sys
from pathlib import Path

import torch
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration
from transformers import Qwen2Config, SiglipVisionConfig, Trainer, TrainerCallback, TrainingArguments

PLACEHOLDER, PADDING = 98, 0
#: Tokens of text in each item: micro-batches of two have very different numbers of labels.
LENGTHS = (3, 30, 5, 9, 17, 4, 4, 25, 6, 40, 3, 3, 12, 7, 21, 8)
#: Items without a panorama.
TEXT_ONLY = (1, 2, 8)


def build():
    torch.manual_seed(0)
    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8,
        vision_use_head=False,
    )  # fmt: skip
    text = Qwen2Config(
        vocab_size=99, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2,
    )  # fmt: skip
    return PanoLLaVaForConditionalGeneration(PanoLLaVaConfig(vision, text, latent_dimension=32, image_token_id=98))


def items(config, count):
    generator = torch.Generator().manual_seed(1)
    made = []
    for index, length in enumerate(LENGTHS[:count]):
        ids = torch.randint(3, 90, (length,), generator=generator)
        item = {"input_ids": ids}
        if index not in TEXT_ONLY:
            placeholders = torch.full((config.num_image_tokens(),), PLACEHOLDER)
            item["input_ids"] = torch.cat([ids[:2], placeholders, ids[2:]])
            item["pixel_values"] = torch.randn(len(config.view_plan()), 3, 32, 32, generator=generator)
        made.append(item)
    return made


def collator(labelled):
    """Pads to the right; `labelled` says whether placeholders stay among the labels."""

    def collate(rows):
        ids = torch.nn.utils.rnn.pad_sequence([row["input_ids"] for row in rows], True, PADDING)
        batch = {"input_ids": ids, "attention_mask": (ids != PADDING).long(), "labels": ids.clone()}
        batch["labels"][ids == PADDING] = -100
        if not labelled:
            batch["labels"][ids == PLACEHOLDER] = -100
        views = [row["pixel_values"] for row in rows if "pixel_values" in row]
        return {**batch, "pixel_values": torch.stack(views)} if views else batch

    return collate


class Seen(TrainerCallback):
    """Keeps what Trainer logs, unrounded, and the gradients before the weights change."""

    def __init__(self):
        self.logs, self.norm = {}, None

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
        self.norm = float(torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm())
        self.without = [name for name, p in model.named_parameters() if p.grad is None]

    def on_log(self, args, state, control, logs, **kwargs):
        self.logs.update(logs)


def trained(folder, accumulation, labelled, processes=1, size=2, **options):
    """Loss and gradient norm of one optimizer step over `accumulation * size * processes` items."""
    model, seen = build(), Seen()
    rows = items(model.config, accumulation * size * processes)
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=1, logging_steps=1, per_device_train_batch_size=size, save_strategy="no",
        gradient_accumulation_steps=accumulation, max_grad_norm=1e9, report_to=[], remove_unused_columns=False,
        use_cpu=True, disable_tqdm=True, per_device_eval_batch_size=len(rows), **options,
    )  # fmt: skip
    trainer = Trainer(
        model=model, args=arguments, train_dataset=rows, eval_dataset=rows, data_collator=collator(labelled),
        callbacks=[seen],
    )  # fmt: skip
    if processes == 1:
        trainer.evaluate()
    trainer.train()
    return {**seen.logs, "norm": seen.norm, "without": seen.without}


def by_hand(count):
    """The mean cross-entropy of all text that follows other tokens in all items, and the norm of its gradient."""
    model = build().train()
    losses, tokens = [], 0
    for item in items(model.config, count):
        ids = item.pop("input_ids")[None]
        logits = model(input_ids=ids, **{name: value[None] for name, value in item.items()}).logits[0, :-1]
        target = ids[0, 1:]
        text = target != PLACEHOLDER
        losses.append(-logits.log_softmax(-1)[torch.arange(len(target)), target][text].sum())
        tokens += int(text.sum())
    loss = sum(losses) / tokens
    loss.backward()
    return loss.item(), float(torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm())


if __name__ == "__main__":
    output, steps, placeholders = sys.argv[1:]
    found = trained(
        Path(output).parent, int(steps), placeholders == "with", processes=2, size=1, ddp_find_unused_parameters=False
    )
    if torch.distributed.get_rank() == 0:
        Path(output).write_text(json.dumps(found))
    torch.distributed.destroy_process_group()
