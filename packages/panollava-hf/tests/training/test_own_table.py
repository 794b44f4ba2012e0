"""A table of one's own, from `--init` to a dry run of `push`, with commands and without editing a file."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from own_table import ROWS, write_encoder, write_rows, write_table, write_towers
from panollava_hf.cli import run
from panollava_hf.training import load_recipe
from panollava_hf.training._checkpoints import last_checkpoint
from panollava_hf.training._machine import Machine
from panollava_hf.training._sizes import Workload, choose_sizes, tokens_per_view
from safetensors.torch import load_file


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """The table and the towers, which no test changes."""
    folder = tmp_path_factory.mktemp("own")
    write_table(folder)
    write_towers(folder)
    write_encoder(folder)
    return folder


@pytest.fixture
def here(material, tmp_path, monkeypatch):
    """A folder with the table, in which the commands run."""
    for path in material.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(*changes):
    return [word for change in changes for word in ("--set", change)]


def losses(folder):
    return [entry["loss"] for entry in json.loads((folder / "training_log.json").read_text()) if "loss" in entry]


def killed_in_finetune(arguments, output, log):
    """Run the command in a process of its own, and kill it when a checkpoint of the last stage is complete."""
    command = [sys.executable, "-m", "panollava_hf", *arguments]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        deadline = time.monotonic() + 900
        while last_checkpoint(output / "finetune.unfinished") is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (output / "finetune").exists(), "killed too late"


def init_command(vision, text, *changes):
    words = ["train", "--init", "mine.yaml", "--data", "my.csv", "--vision", str(vision), "--text", str(text)]
    return [*words, *settings(*changes)]


def walk(capsys):
    """The commands after `--init`, with a kill in the middle; returns what the killed run printed."""
    assert run(["data", "check", "my.csv"]) == 0, capsys.readouterr().err
    killed_in_finetune(["train", "--config", "mine.yaml"], Path("runs/mine"), Path("killed.log"))
    capsys.readouterr()
    assert run(["train", "--config", "mine.yaml", "--resume"]) == 0, capsys.readouterr().err
    trained = capsys.readouterr()
    assert trained.out.strip() == "runs/mine/finetune"
    assert run(["eval", "--data", "my.csv", "--output", "results", "--model", "runs/mine/finetune"]) == 0
    assert run(["export", "exported", "--model", "runs/mine/finetune"]) == 0
    assert run(["push", "exported", "someone/mine", "--dry-run"]) == 0
    assert "nothing was sent" in capsys.readouterr().out
    printed = Path("killed.log").read_text() + trained.err
    for noise in ("\x1b", "[transformers]", "LOAD REPORT", "Warning", "Writing model shards", "Loading weights"):
        assert noise not in printed
    return printed


def check_answers(rows):
    """The model answers the rows that it was trained on, word for word."""
    lines = Path("results/predictions.jsonl").read_text(encoding="utf-8").splitlines()
    found = [(row["image"], row["question"], row["prediction"]) for row in map(json.loads, lines)]
    assert found == rows
    assert min(losses(Path("runs/mine/finetune"))[-3:]) < 0.1


def test_init_writes_a_recipe_that_train_accepts(material, here, capsys):
    vision, text = material / "vision", material / "text"
    assert run(init_command(vision, text, "stages.finetune.steps=7", "data.workers=0")) == 0
    out, err = capsys.readouterr()
    assert out == "mine.yaml\n"
    assert "12 rows about 9 panoramas; the longest row has" in err
    assert "7 views of 32x32 pixels x 16 tokens = 112 image tokens" in err
    written = Path("mine.yaml").read_text()
    recipe = load_recipe("mine.yaml")
    assert (recipe.model.vision, recipe.model.text, recipe.data.source) == (str(vision), str(text), "my.csv")
    assert (recipe.stages["finetune"].steps, recipe.stages["finetune"].epochs, recipe.data.workers) == (7, None, 0)
    assert recipe.model.config["view_size"] == 32, "the size that the tower's image processor makes"
    assert recipe.stages["resampler"].batch_size <= 9
    assert not recipe.bf16 or torch.accelerator.is_available()
    assert written.count("#") > 20
    Path("mine.yaml").write_text("mine")
    assert run(init_command(vision, text)) == 2
    assert "exists and is not overwritten; choose another name, or delete it" in capsys.readouterr().err
    assert Path("mine.yaml").read_text() == "mine"


def test_init_holds_panoramas_back_for_validation_and_takes_its_settings(material, here, capsys):
    lines = Path("my.csv").read_text(encoding="utf-8").splitlines()
    image = lines[1].split(",")[0]
    shutil.copy(image, "tenth.png")
    Path("my.csv").write_text("\n".join([*lines, lines[1].replace(image, "tenth.png"), ""]), encoding="utf-8")
    command = init_command(material / "vision", material / "text", "stages.finetune.eval_every=20")
    assert run(command) == 0, capsys.readouterr().err
    recipe = load_recipe("mine.yaml")
    assert recipe.data.validation.share == 0.1
    assert recipe.stages["finetune"].eval_every == 20


def test_join_prints_the_image_tokens(material, here, capsys):
    towers = ["--vision", str(material / "vision"), "--text", str(material / "text")]
    assert run(["join", "joined", *towers]) == 0
    err = capsys.readouterr().err
    assert "7 views of 32x32 pixels x 16 tokens = 112 image tokens per panorama (fewer: " in err
    assert "--resampler=spatial_pool with --num-latent-tokens=4 (28), --view-size=16 (28), or fewer views)" in err
    assert len(err.splitlines()) == 2, "and nothing of transformers"
    assert run(["join", "fewer", *towers, "--resampler", "spatial_pool", "--num-latent-tokens", "4"]) == 0
    assert "x 4 tokens = 28 image tokens" in capsys.readouterr().err


def broken(here):
    (here / "my.csv").write_text("url,question,answer\nlake.png,What?,\nlake.png,Where?,Here.\n")


def missing(here):
    (here / "lake.png").unlink()


def long(here):
    with (here / "my.csv").open("a") as stream:
        stream.write(f"lake.png,What?,{'0 1 2 3 ' * 300}\n")


@pytest.mark.parametrize(
    ("spoil", "changes", "swap", "message"),
    [
        (broken, [], {}, "1 rows cannot be used: line 2: the answer is blank"),
        (missing, [], {}, "1 images cannot be used: line 10: no such image: lake.png"),
        (long, [], {}, r"1 rows cannot be used: line 14: the question is too long: \d+ tokens, this model reads 512"),
        (None, ["stages.finetune.lerning_rate=1"], {}, "did you mean 'learning_rate'"),
        (None, ["model.config.resampler_type=mpl"], {}, "unknown resampler type 'mpl'.*did you mean 'mlp'"),
        (None, ["model.config.crop_strategy=cubmap"], {}, "unknown strategy 'cubmap'.*did you mean 'cubemap'"),
        (None, ["model.config.positional_encoding=sphericall"], {}, "did you mean 'spherical'"),
        (
            None,
            ["model.config={view_size: 256, resampler_type: mlp}"],
            {},
            "one panorama takes 7,168 image tokens.*reads 512 tokens; fewer: .*spatial_pool",
        ),
        (None, [], {"vision": "text"}, "--vision .* llama model, which reads no images; expected a vision model"),
        (None, [], {"text": "vision"}, "--text .* which writes no text; expected a causal language model"),
        (None, [], {"text": "bert"}, "--text .* bert model, which does not write text from left to right"),
        (None, [], {"text": "nothing"}, "--text .*nothing: (there is )?no such"),
    ],
)
def test_init_writes_nothing_when_something_is_wrong(material, here, capsys, spoil, changes, swap, message):
    if spoil is not None:
        spoil(here)
    towers = [material / swap.get(part, part) for part in ("vision", "text")]
    assert run(init_command(*towers, *changes)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(message, err), err
    assert len(err.strip().splitlines()) == 1
    assert not [path for path in here.iterdir() if "mine" in path.name]


def test_sizes_follow_machine_and_data():
    """A larger machine never gets a smaller batch, and a table of a million panoramas is seen once."""
    small = Workload(9, 2, 252, 60, 160_000_000, 135_000_000, 2_000_000, 30, 576, 49152)
    machines = [Machine(2, 16 * 10**9), Machine(8, 64 * 10**9, "cuda", 16 * 10**9, True)]
    machines.append(Machine(16, 128 * 10**9, "cuda", 80 * 10**9, True))
    large = dataclasses.replace(small, panoramas=1_000_000)
    batches = [choose_sizes(large, machine).batch_size for machine in machines]
    assert batches == sorted(batches)
    assert batches[-1] > batches[0]
    assert choose_sizes(large, machines[0]).epochs == {"resampler": 1, "finetune": 1}
    assert choose_sizes(small, machines[0]).epochs["finetune"] > 10
    huge = dataclasses.replace(large, parameters=7 * 10**9, language_parameters=7 * 10**9, layers=32, width=4096)
    tight = choose_sizes(huge, machines[1])
    assert (tight.language_model, tight.batch_size, tight.gradient_checkpointing) == ("lora", 1, True)
    assert choose_sizes(dataclasses.replace(small, language_parameters=10**6), machines[0]).language_model == "full"
    for machine in machines:
        assert tokens_per_view(7, 196, machine, 512) * 7 <= 256


@pytest.mark.slow
def test_six_commands(material, here, capsys):
    changes = ["stages.resampler.steps=10", "stages.finetune.steps=90", "stages.finetune.learning_rate=5e-3"]
    assert run(init_command(material / "vision", material / "text", *changes)) == 0, capsys.readouterr().err
    printed = walk(capsys)
    check_answers([(f"{name}.png", question, answer) for name, question, answer in ROWS])
    for line in ("12 rows about 9 panoramas", "parameters: resampler", "image tokens per panorama", "the longest row"):
        assert line in printed
    assert run(["train", "--config", "mine.yaml", "--set", "output=runs/whole"]) == 0, capsys.readouterr().err
    ends = (load_file(Path("runs", name, "finetune", "model.safetensors")) for name in ("mine", "whole"))
    weights, uninterrupted = ends
    assert weights.keys() == uninterrupted.keys()
    assert all(weights[name].equal(value) for name, value in uninterrupted.items()), "resumed as if never killed"


#: Questions about photographs: two of some, so that the answer needs the image.
PHOTOGRAPHS = [
    ("petra", "What is this place?", "A temple front in a rock."),
    ("ph-aerodynamics-workshop", "What is this place?", "A workshop."),
    ("ph-chinese-garden", "What is this place?", "A garden."),
    ("ph-circus-arena", "What is this place?", "A circus arena."),
    ("ph-leadenhall-market", "What is this place?", "A covered market."),
    ("ph-modern-buildings", "What is this place?", "A street with modern buildings."),
    ("ph-powerplant", "What is this place?", "The hall of a power plant."),
    ("ph-st-peters-night", "What is this place?", "A square at night."),
    ("ph-vestibule", "What is this place?", "A vestibule."),
    ("ph-circus-arena", "Is this indoors?", "Yes, under a roof."),
    ("ph-chinese-garden", "Is this indoors?", "No, it is outside."),
    ("petra", "Is this indoors?", "No, it is outside."),
]


@pytest.mark.slow
def test_six_commands_with_photographs_and_real_towers(shared, tmp_path, monkeypatch, capsys):
    """Set PANOLLAVA_VISION_TOWER and PANOLLAVA_TEXT_TOWER to folders, e.g. of `python -m tools.real_towers`."""
    towers = [os.environ.get(f"PANOLLAVA_{part}_TOWER") for part in ("VISION", "TEXT")]
    if not all(towers):
        pytest.skip("set PANOLLAVA_VISION_TOWER and PANOLLAVA_TEXT_TOWER")
    monkeypatch.chdir(tmp_path)
    rows = [(f"{name}.jpg", question, answer) for name, question, answer in PHOTOGRAPHS]
    for name in {name for name, _, _ in rows}:
        (tmp_path / name).write_bytes((shared / "panoramas" / name).read_bytes())
    write_rows(tmp_path / "my.csv", rows)
    changes = ["model.config.view_size=112", "model.config.num_latent_tokens=9", "stages.resampler.steps=5"]
    changes += ["model.config.resampler_type=spatial_pool", "model.config.lora_dropout=0"]
    changes += ["stages.finetune.steps=150", "stages.finetune.learning_rate=1e-3"]
    changes += [
        f"stages.{stage}.{what}" for stage in ("resampler", "finetune") for what in ("batch_size=3", "accumulation=1")
    ]
    assert run(init_command(*towers, *changes)) == 0, capsys.readouterr().err
    walk(capsys)
    check_answers(rows)
