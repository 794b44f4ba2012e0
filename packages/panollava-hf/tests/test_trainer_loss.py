"""`transformers.Trainer` with a user's own collator computes what a loop written by hand does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration

from . import trainer_cases as cases


@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize("placeholders", [True, False])
def test_loss_and_gradient_are_those_of_a_loop_by_hand(tmp_path, accumulation, placeholders):
    found = cases.trained(tmp_path, accumulation, placeholders)
    loss, norm = cases.by_hand(2 * accumulation)
    rounded = {"abs": 6e-5} if len(str(found["loss"])) < 9 else {"rel": 1e-5}  # 4.57 logs four decimals
    assert found["loss"] == pytest.approx(loss, **rounded)
    assert found["norm"] == pytest.approx(norm, rel=1e-5)
    assert float(found["grad_norm"]) == pytest.approx(norm, rel=1e-5)
    assert found["eval_loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(("accumulation", "placeholders"), [(1, "with"), (4, "with"), (4, "without")])
def test_two_processes_with_rows_of_text_alone(tmp_path, accumulation, placeholders):
    # Of the first two items, one is a text alone: one process reads it while the other reads a panorama.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", cases.__file__]
    command += [str(tmp_path / "found.json"), str(accumulation), placeholders]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(Path(tmp_path / "found.json").read_text())
    loss, norm = cases.by_hand(2 * accumulation)
    rounded = {"abs": 6e-5} if len(str(found["loss"])) < 9 else {"rel": 1e-5}
    assert found["loss"] == pytest.approx(loss, **rounded)
    assert found["norm"] == pytest.approx(norm, rel=1e-5)
    assert found["without"] == []


def test_one_batch_however_its_labels_are_counted(tiny_config, tiny_inputs):
    config = tiny_config()
    model, inputs = PanoLLaVaForConditionalGeneration(config).eval(), tiny_inputs(config)
    labels = inputs["input_ids"].clone()
    text = (labels[:, 1:] != config.image_token_id).sum()
    counts = [(labels[:, 1:] != -100).sum(), (labels != -100).sum(), text, int((labels[:, 1:] != -100).sum())]
    expected = model(**inputs, labels=labels).loss
    for count in counts:
        torch.testing.assert_close(model(**inputs, labels=labels, num_items_in_batch=count).loss, expected)
    masked = labels.masked_fill(labels == config.image_token_id, -100)
    # Without placeholders the number is the caller's, as for any other model.
    scaled = model(**inputs, labels=masked, num_items_in_batch=3 * text).loss
    torch.testing.assert_close(scaled, expected / 3)
    shifted = torch.nn.functional.pad(labels, (0, 1), value=-100)[:, 1:]
    for count in (None, (shifted != -100).sum()):
        found = model(**inputs, labels=labels, shift_labels=shifted, num_items_in_batch=count).loss
        torch.testing.assert_close(found, expected)


def test_labels_that_are_all_placeholders_have_no_loss(tiny_config, tiny_inputs):
    config = tiny_config()
    model, inputs = PanoLLaVaForConditionalGeneration(config).eval(), tiny_inputs(config)
    ids = inputs["input_ids"]
    labels = torch.where(ids == config.image_token_id, ids, -100)
    assert model(**inputs, labels=labels, num_items_in_batch=(labels != -100).sum()).loss == 0


def test_other_models_are_counted_as_before(tmp_path, tiny_config):
    from transformers import Qwen2ForCausalLM, Trainer, TrainingArguments

    options = {"output_dir": str(tmp_path), "use_cpu": True, "report_to": []}
    Trainer(model=PanoLLaVaForConditionalGeneration(tiny_config()), args=TrainingArguments(**options))
    other = Trainer(model=Qwen2ForCausalLM(tiny_config().text_config), args=TrainingArguments(**options))
    batch = {"labels": torch.full((1, 5), tiny_config().image_token_id)}
    other._get_num_items_in_batch([batch], torch.device("cpu"))
    assert (batch["labels"] == tiny_config().image_token_id).all()


def test_text_alone_gives_the_vision_side_gradients_of_zero(tiny_config, tiny_inputs):
    config = tiny_config()
    ids = tiny_inputs(config)["input_ids"][:, -4:]
    model = PanoLLaVaForConditionalGeneration(config).train()
    model.vision_backbone.set_trainable_blocks(0)
    with torch.no_grad():
        next(model.projector.parameters()).fill_(torch.nan)  # not even values that are not numbers come through
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.testing.assert_close(loss, model.eval()(input_ids=ids, labels=ids).loss)
    for part in (model.resampler, model.projector):
        assert all(p.grad is not None and not p.grad.any() for p in part.parameters())
    assert all(p.grad is None for p in model.vision_backbone.parameters())
    assert all(p.grad is not None for p in model.language_model.parameters())
