"""Trainer with our collator, and SFTTrainer: loss and gradient norm are those of a loop by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration, PanoLLaVaProcessor, default_checkpoint
from panollava_hf.training import PanoLLaVaDataCollator
from PIL import Image
from transformers import Trainer, TrainingArguments

datasets = pytest.importorskip("datasets")
peft = pytest.importorskip("peft")
trl = pytest.importorskip("trl")

ANSWERS = ("Left.", "A red cube behind the chair.", "Two.", "To the right of the door, near the window.") * 2


def image(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 128, 3), dtype=np.uint8))


def rows(kind, count=8, images=1):
    made = []
    for number, answer in enumerate(ANSWERS[:count]):
        asked = [{"role": "user", "content": f"What is at {number}?"}]
        answered = [{"role": "assistant", "content": answer}]
        texts = {"messages": asked + answered} if kind == "messages" else {"prompt": asked, "completion": answered}
        made.append({"images": [image(10 * number + one) for one in range(images)], **texts})
    return made


def arguments(kind, folder, accumulation=1, size=2, **options):
    settings = dict(
        output_dir=str(folder), max_steps=1, logging_steps=1, per_device_train_batch_size=size, save_strategy="no",
        gradient_accumulation_steps=accumulation, max_grad_norm=1e9, report_to="none", use_cpu=True, disable_tqdm=True,
        bf16=False, gradient_checkpointing=False,
    )  # fmt: skip
    if kind is TrainingArguments:
        return kind(remove_unused_columns=False, **settings, **options)
    return kind(max_length=None, shuffle_dataset=False, **settings, **options)


def logged(trainer):
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(trainer.train_dataset)
    trainer.train()
    (entry,) = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    return entry["loss"], float(entry["grad_norm"])


def by_hand(model, collator, table, size=2):
    """The mean cross-entropy of all labels, and the norm of its gradient; `size` rows at a time."""
    model.train()
    total, count = 0, 0
    for start in range(0, len(table), size):  # the default checkpoint's tower has batch norm
        batch = collator(table[start : start + size])
        target = batch.pop("labels")[:, 1:]
        keep = (target != -100) & (target != model.config.image_token_id)
        logits = model(**batch).logits[:, :-1][keep]
        total = total - logits.log_softmax(-1).gather(1, target[keep][:, None]).sum()
        count += int(keep.sum())
    loss = total / count
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    return loss.item(), norm.item()


@pytest.fixture
def fresh(checkpoint):
    return lambda: PanoLLaVaForConditionalGeneration.from_pretrained(checkpoint)


class Everything:
    """Labels for all tokens, placeholders included."""

    def __init__(self, collator):
        self.collator = collator

    def __call__(self, table):
        batch = self.collator(table)
        return {**batch, "labels": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)}


@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize("labels", ["answers", "everything"])
def test_trainer(tmp_path, fresh, processor, accumulation, labels):
    collator = PanoLLaVaDataCollator(processor)
    collator = Everything(collator) if labels == "everything" else collator
    table = rows("messages", 2 * accumulation)
    options = arguments(TrainingArguments, tmp_path, accumulation)
    found = logged(Trainer(fresh(), options, train_dataset=table, data_collator=collator))
    assert found == pytest.approx(by_hand(fresh(), collator, table), rel=1e-5)


@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize("kind", ["messages", "completion", "assistant", "collator"])
def test_sft_trainer(tmp_path, fresh, processor, accumulation, kind):
    table = rows("completion" if kind == "completion" else "messages", 2 * accumulation)
    own = PanoLLaVaDataCollator(processor)
    options = arguments(trl.SFTConfig, tmp_path, accumulation, assistant_only_loss=kind == "assistant")
    trainer = trl.SFTTrainer(
        fresh(), options, train_dataset=datasets.Dataset.from_list(table), processing_class=processor,
        data_collator=own if kind == "collator" else None,
    )  # fmt: skip
    found = logged(trainer)
    collator = own if kind == "collator" else trainer.data_collator
    expected = by_hand(fresh(), lambda given: dict(collator([dict(row) for row in given])), table)
    assert found == pytest.approx(expected, rel=1e-5)


def test_plain_messages_train_the_question_too(processor):
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling as Theirs

    plain = Theirs(processor)(rows("messages", 1))
    assert (plain["labels"] == processor.image_token_id).any()
    answers = PanoLLaVaDataCollator(processor)(rows("messages", 1))
    kept = answers["labels"][answers["labels"] != -100]
    assert processor.decode(kept, skip_special_tokens=True).strip() == ANSWERS[0].lower()  # its tokenizer ignores case


def test_lora_trains_the_language_model_alone(tmp_path, fresh, processor):
    model = fresh()
    table = datasets.Dataset.from_list(rows("completion", 2, images=2))
    options = arguments(trl.SFTConfig, tmp_path)
    settings = peft.LoraConfig(r=4, target_modules=r".*\.language_model\..*_proj", task_type="CAUSAL_LM")
    trainer = trl.SFTTrainer(model, options, train_dataset=table, processing_class=processor, peft_config=settings)
    trained = [name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".language_model." in name and ".lora_" in name for name in trained)
    loss, norm = logged(trainer)
    assert loss > 0
    assert norm > 0


def test_several_panoramas_in_a_row_and_none(processor):
    collator = PanoLLaVaDataCollator(processor, pad_to_multiple_of=8)
    text = {"question": "What is 2?", "answer": "Two."}
    batch = collator([*rows("messages", 1, images=2), text])
    placeholders = (batch["input_ids"] == processor.image_token_id).sum(1).tolist()
    assert placeholders == [2 * processor.num_image_tokens(), 0]
    assert len(batch["pixel_values"]) == 2
    assert batch["input_ids"].shape[1] % 8 == 0
    assert "pixel_values" not in collator([text])


def test_every_turn_is_trained_and_only_its_answer(processor):
    turns = [("user", "One?"), ("assistant", "left."), ("user", "<|vision|> two?"), ("assistant", "right.")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns], "image": image(0)}
    batch = PanoLLaVaDataCollator(processor)([row])
    kept = batch["labels"][0][batch["labels"][0] != -100]
    end = processor.tokenizer.eos_token_id
    assert (kept == end).sum() == 2
    pieces = processor.decode(kept).split(processor.tokenizer.eos_token)
    assert [piece.strip() for piece in pieces if piece.strip()] == ["left.", "right."]
    assert (batch["input_ids"] == processor.image_token_id).sum() == processor.num_image_tokens()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x"}, "a row needs 'messages'"),
        ({"messages": [{"role": "user", "content": "x"}]}, "no assistant message"),
        ({"images": [], "messages": [{"role": "user", "content": [{"type": "image"}]}]}, "0 panoramas"),
        ({"question": "x" * 50, "answer": "y"}, "more than max_length=9"),
    ],
)
def test_rows_that_cannot_be_trained(processor, row, message):
    with pytest.raises(ValueError, match=message):
        PanoLLaVaDataCollator(processor, max_length=9)([row])


def sft(folder, table, accumulation, **options):
    """An SFTTrainer of the default checkpoint that trains answers alone."""
    checkpoint = default_checkpoint()
    return trl.SFTTrainer(
        PanoLLaVaForConditionalGeneration.from_pretrained(checkpoint),
        arguments(trl.SFTConfig, folder, accumulation, assistant_only_loss=True, **options),
        train_dataset=datasets.Dataset.from_list(table),
        processing_class=PanoLLaVaProcessor.from_pretrained(checkpoint),
    )


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 4])
def test_sft_trainer_in_two_processes(tmp_path, fresh, processor, accumulation):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    output = tmp_path / "found.json"
    done = subprocess.run(
        [*command, str(output), str(accumulation)], capture_output=True, text=True, timeout=300, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    table = rows("messages", 2 * accumulation)
    collator = sft(tmp_path, table, accumulation).data_collator
    expected = by_hand(fresh(), lambda given: dict(collator([dict(row) for row in given])), table, size=1)
    assert json.loads(output.read_text()) == pytest.approx(expected, rel=1e-5)


if __name__ == "__main__":
    path, steps = sys.argv[1:]
    found = logged(sft(Path(path).parent, rows("messages", 2 * int(steps)), int(steps), size=1))
    if torch.distributed.get_rank() == 0:
        Path(path).write_text(json.dumps(found))
    torch.distributed.destroy_process_group()
