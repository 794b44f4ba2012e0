"""A run that was killed and resumed ends with the weights of an uninterrupted run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from panollava_hf.training import TrainingError, load_recipe, train
from panollava_hf.training._checkpoints import COMPLETE, last_checkpoint
from safetensors.torch import load_file

STAGES = ("vicreg", "resampler", "finetune")
SHORT = [f"stages.{stage}.{what}" for stage in STAGES for what in ("steps=8", "save_every=2")]


def kill_in(stage, arguments, output, resume):
    """Start the command in a process of its own and kill it as soon as a checkpoint of `stage` is complete."""
    command = [sys.executable, "-m", "panollava_hf", "train", "--config", "tiny", "--stage", "all"]
    command += [word for change in arguments for word in ("--set", change)] + ["--resume"] * resume
    log = output.parent / f"{stage}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stderr=stream, stdout=stream, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        deadline = time.monotonic() + 480
        while last_checkpoint(output / f"{stage}.unfinished") is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (output / stage).exists(), "killed too late"


def test_sigkill_and_resume(shapes, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(load_recipe("tiny", [f"output={whole}", f"data.source={shapes}", *SHORT]))
    changes = [f"output={killed}", f"data.source={shapes}", *SHORT]
    kill_in("vicreg", changes, killed, resume=False)
    kill_in("finetune", changes, killed, resume=True)
    train(load_recipe("tiny", changes), resume=True)
    for stage in STAGES:
        wanted, got = (load_file(folder / stage / "model.safetensors") for folder in (whole, killed))
        for name, weight in wanted.items():
            torch.testing.assert_close(got[name], weight, rtol=0, atol=1e-6, msg=f"{stage} {name}")


def test_an_incomplete_checkpoint_is_not_used(tmp_path):
    for step in (2, 4, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert last_checkpoint(tmp_path) is None
    (tmp_path / "checkpoint-2" / COMPLETE).touch()
    (tmp_path / "checkpoint-4" / COMPLETE).touch()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-4"


def test_without_resume_an_unfinished_stage_is_an_error(tiny, tmp_path):
    recipe = tiny(*SHORT)
    train(recipe, ["vicreg"])
    (tmp_path / "run" / "vicreg").rename(tmp_path / "run" / "vicreg.unfinished")
    (tmp_path / "run" / "vicreg.unfinished" / "checkpoint-2").mkdir()
    (tmp_path / "run" / "vicreg.unfinished" / "checkpoint-2" / COMPLETE).touch()
    with pytest.raises(TrainingError, match="already contains the stage vicreg: continue with --resume"):
        train(recipe, ["vicreg"])


def test_a_run_without_a_complete_checkpoint_does_not_block_its_folder(tiny, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"stage vicreg: no token of a 4x4 grid is seen by both"):
        train(tiny("model.config.crop_strategy=cubemap", "model.config.fov_deg=90"))
    assert not run.exists() or not (run / "start").exists(), "found before anything large is written"
    train(tiny(*SHORT), ["vicreg"])
    for checkpoint in ("checkpoint-2", "checkpoint-4"):  # as after a kill while they were written
        (run / "vicreg.unfinished" / checkpoint).mkdir(parents=True)
    (run / "vicreg" / "model.safetensors").unlink()
    (run / "vicreg").rename(run / "vicreg.lost")
    with pytest.raises(TrainingError, match="contains other files"):
        train(tiny("seed=3", *SHORT), ["vicreg"])
    shutil.rmtree(run / "vicreg.lost")
    folder = train(tiny("seed=3", *SHORT), ["vicreg"])
    assert yaml.safe_load((run / "recipe.yaml").read_text())["seed"] == 3
    assert json.loads((folder / "config.json").read_text())["training_history"][0]["seed"] == 3
    with pytest.raises(TrainingError, match=r"other settings \(seed\).*--set output=…\), or delete"):
        train(tiny("seed=4", *SHORT), ["vicreg"])


def test_a_recipe_of_ones_own_is_not_overwritten(tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("output: .  # mine\n")
    with pytest.raises(TrainingError, match="contains other files"):
        train(tiny())
    assert (tmp_path / "run" / "recipe.yaml").read_text().endswith("# mine\n")


def test_two_runs_in_one_folder_are_refused(tiny, tmp_path):
    from panollava_hf.jobs._lock import lock_file

    (tmp_path / "run").mkdir()
    with (
        lock_file(tmp_path / "run" / ".lock", tmp_path / "run"),
        pytest.raises(TrainingError, match="another process is working on"),
    ):
        train(tiny(*SHORT), ["vicreg"])


def test_a_run_from_before_the_keys_were_renamed_is_resumed(tiny, tmp_path):
    changes = [*SHORT, "stages.vicreg.steps=2", "data.curriculum={column: difficulty, share: 0.5}"]
    recipe = tiny(*changes)
    folder = train(recipe, ["vicreg"])
    written = tmp_path / "run" / "recipe.yaml"
    values = yaml.safe_load(written.read_text())
    for new, old in (("curriculum", "easy_first"), ("sampling_weights", "favour"), ("yaw_augmentation", "roll")):
        values["data"][old] = values["data"].pop(new)
    written.write_text(yaml.safe_dump(values))
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert train(recipe, ["vicreg"], resume=True) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before, "the finished stage is kept"
    values["data"]["easy_first"]["share"] = 0.25
    written.write_text(yaml.safe_dump(values))
    with pytest.raises(TrainingError, match=r"a run with other settings \(data\)"):
        train(recipe, ["vicreg"], resume=True)
