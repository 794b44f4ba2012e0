"""Two processes train on the same items, with the same losses, as one process with twice the batch size."""

import json
import os
import subprocess
import sys

import pytest
from panollava_hf.training import load_recipe, train
from panollava_hf.training._validation import LOG_FILE

STAGES = ("vicreg", "resampler", "finetune")


def launch(output, changes):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "panollava_hf", "train", "--config", "tiny"]
    command += [word for change in changes for word in ("--set", change)] + ["--set", f"output={output}"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=env)
    assert done.returncode == 0, done.stderr[-3000:]


def losses(folder):
    return [entry["loss"] for entry in json.loads((folder / LOG_FILE).read_text()) if "loss" in entry]


def test_two_gloo_processes_are_one_with_twice_the_batch(shapes, tmp_path):
    changes = [f"data.source={shapes}", "model.config.lora_dropout=0", "model.config.vicreg_mode=batchwise"]
    changes += [f"stages.{stage}.log_every=1" for stage in STAGES]
    launch(tmp_path / "two", [*changes, *(f"stages.{stage}.batch_size=1" for stage in STAGES)])
    train(load_recipe("tiny", [*changes, f"output={tmp_path / 'one'}"]))
    for stage in STAGES:
        two, one = losses(tmp_path / "two" / stage), losses(tmp_path / "one" / stage)
        assert len(one) == 20
        assert two == pytest.approx(one, abs=1e-4, rel=1e-4), stage


@pytest.mark.slow
def test_sharded_weights_are_written_completely(shapes, tmp_path):
    changes = [f"data.source={shapes}", "model.config.lora_dropout=0", "fsdp=full_shard"]
    changes += [f"stages.{stage}.steps=3" for stage in STAGES] + ["stages.finetune.language_model=full"]
    launch(tmp_path / "run", [*changes, *(f"stages.{stage}.batch_size=1" for stage in STAGES)])
    from panollava_hf import PanoLLaVaForConditionalGeneration

    for stage in STAGES:
        _, info = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path / "run" / stage, output_loading_info=True)
        assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
