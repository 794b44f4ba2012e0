"""Validation while a stage trains: it measures what it says, and what is trained does not depend on it."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from panollava_hf import Answerer, PanoLLaVaForConditionalGeneration, PanoLLaVaForVICReg, PanoLLaVaProcessor
from panollava_hf._errors import RecipeError, TableError, TrainingError
from panollava_hf.data._examples import read_examples
from panollava_hf.data._held_out import hold_out
from panollava_hf.training import load_recipe, train
from panollava_hf.training._stage import keep_event_files, run_stage, stage_trainer
from panollava_hf.training._validation import LOG_FILE
from PIL import Image
from safetensors.torch import load_file
from transformers import TrainerCallback

STAGES = ("vicreg", "resampler", "finetune")
SPLIT = "data.validation={split: test}"
#: A language model that is trained in full, fast enough to overfit twelve panoramas within a few steps.
FINETUNE = [
    "stages.vicreg=null",
    "stages.resampler=null",
    "stages.finetune.language_model=full",
    "stages.finetune.train_resampler=true",
]


def evaluations(folder):
    """The entries of the validations in the log of a stage, without what depends on the clock."""
    log = json.loads((folder / LOG_FILE).read_text())
    return [{k: v for k, v in entry.items() if k != "eval_runtime"} for entry in log if "eval_loss" in entry]


class Watch(TrainerCallback):
    """Keeps a copy of the weights at every validation, and what reporters are given; can stop like a killed process."""

    def __init__(self, killed_at=None):
        self.weights, self.logs, self.killed_at = {}, [], killed_at

    def on_evaluate(self, args, state, control, model=None, **kwargs):
        self.weights[state.global_step] = copy.deepcopy(model.state_dict())

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logs.append((state.global_step, dict(logs)))

    def on_step_begin(self, args, state, control, **kwargs):
        if self.killed_at == state.global_step:
            raise KeyboardInterrupt


def overfitting(shapes, output, *changes):
    """A recipe whose validation loss falls and rises again: two panoramas are trained, others validated."""
    return load_recipe(
        "tiny",
        [
            f"output={output}",
            f"data.source={shapes}",
            SPLIT,
            *FINETUNE,
            "data.questions_per_panorama=null",
            "data.limit=24",
            "stages.finetune.steps=40",
            "stages.finetune.eval_every=4",
            "stages.finetune.learning_rate=2e-2",
            *changes,
        ],
    )


@pytest.fixture(scope="module")
def overfitted(shapes, tmp_path_factory):
    output = tmp_path_factory.mktemp("overfitted") / "run"
    train(overfitting(shapes, output))
    return output


def record_of(folder):
    return PanoLLaVaForConditionalGeneration.from_pretrained(folder).config.training_history[-1]


@pytest.mark.parametrize("stage", STAGES)
def test_the_weights_do_not_depend_on_validation(tiny, tmp_path, stage):
    last = {}
    for name, changes in {"without": [], "with": [SPLIT, f"stages.{stage}.eval_every=2"]}.items():
        others = [f"stages.{other}=null" for other in STAGES if other != stage]
        recipe = tiny(f"stages.{stage}.steps=7", *others, "model.config.lora_dropout=0.3", *changes)
        if name == "without":
            train(recipe)  # writes the start
        trainer = stage_trainer(recipe, stage, tmp_path / "run" / "start", tmp_path / name)
        trainer.train()
        last[name] = trainer.model.state_dict()
    assert [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    for key, weight in last["without"].items():
        assert torch.equal(weight, last["with"][key]), key


def test_the_stage_ends_with_the_weights_of_the_lowest_loss(overfitted):
    found = evaluations(overfitted / "finetune")
    losses = {entry["step"]: entry["eval_loss"] for entry in found}
    best = min(losses, key=losses.get)
    assert list(losses) == [*range(4, 41, 4)]
    assert best < 40, "the loss must rise again, or the test shows nothing"
    record = record_of(overfitted / "finetune")["validation"]
    assert (record["best_step"], record["best_loss"], record["validations"]) == (best, losses[best], 10)
    assert not record["stopped_early"]


def test_the_loss_is_that_of_separate_sequences(overfitted, shapes):
    """Each question alone through the written model: the mean over all answer tokens is the lowest loss of the log."""
    folder = overfitted / "finetune"
    model = PanoLLaVaForConditionalGeneration.from_pretrained(folder).eval()
    processor = PanoLLaVaProcessor.from_pretrained(folder)
    total, count = 0.0, 0
    for example in read_examples(shapes, "test"):
        prompt, whole = processor.prompt(example.question), processor.prompt(example.question, example.answer)
        inputs = processor(images=[example.image], text=[prompt], return_tensors="pt")
        ids, end = inputs["input_ids"][0].tolist(), processor.tokenizer.eos_token_id
        answer = processor.tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"]
        answer = answer[: answer.index(end) + 1]
        with torch.no_grad():
            tokens = torch.tensor([ids + answer])
            logits = model(input_ids=tokens, pixel_values=inputs["pixel_values"]).logits[0].log_softmax(-1)
        total -= sum(float(logits[len(ids) - 1 + place, token]) for place, token in enumerate(answer))
        count += len(answer)
    assert total / count == pytest.approx(record_of(folder)["validation"]["best_loss"], rel=1e-4)


def test_answers_are_those_of_the_checkpoint(overfitted, shapes):
    lines = [json.loads(line) for line in (overfitted / "finetune" / "samples.jsonl").read_text().splitlines()]
    assert {line["step"] for line in lines} == set(range(4, 41, 4))
    best = record_of(overfitted / "finetune")["validation"]["best_step"]
    answerer = Answerer.load(str(overfitted / "finetune"))
    shown = [line for line in lines if line["step"] == best]
    assert len(shown) == 10
    assert any(line["answer"] for line in shown)
    for line in shown:
        image = shapes / "images" / line["panorama"]
        answer = answerer.answer(image, line["question"], max_new_tokens=64).text
        assert answer[:20] == line["answer"][:20]
        assert line["exact_match"] == (line["answer"].strip(".").lower() == line["expected"].strip(".").lower())


def test_curves_are_drawn(overfitted):
    with Image.open(overfitted / "finetune" / "curves.png") as image:
        assert image.width > 2 * 560
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert {(213, 94, 0), (0, 114, 178)} <= colours


def test_vicreg_is_measured_on_views_of_other_panoramas(tiny, shapes):
    """The written weights give the loss of the log for all four panoramas of the split together."""
    changes = ["model.config.vicreg_projector_depth=0", "stages.vicreg.batch_size=4", "stages.vicreg.steps=3"]
    folder = train(tiny(SPLIT, *changes), ["vicreg"])
    (entry,) = evaluations(folder)
    images = sorted({example.image for example in read_examples(shapes, "test")})
    pixels = PanoLLaVaProcessor.from_pretrained(folder).image_processor(images)["pixel_values"]
    with torch.no_grad():
        output = PanoLLaVaForVICReg.from_pretrained(folder).eval()(pixels)
    for name in ("loss", "invariance", "variance", "covariance"):
        assert entry[f"eval_{name}"] == pytest.approx(float(output[name]), rel=1e-4, abs=2e-6), name


def test_patience_ends_a_stage(overfitted, shapes, tmp_path):
    losses = {entry["step"]: entry["eval_loss"] for entry in evaluations(overfitted / "finetune")}
    best, since, expected = float("inf"), 0, 40
    for step, loss in losses.items():
        best, since = min(best, loss), 0 if loss < best else since + 1
        if since == 2:
            expected = step
            break
    assert expected < 40
    folder = train(overfitting(shapes, tmp_path / "run", "stages.finetune.patience=2"))
    assert evaluations(folder) == evaluations(overfitted / "finetune")[: expected // 4]
    record = record_of(folder)
    assert record["steps"] == expected
    assert record["validation"]["stopped_early"]
    wanted = [step for step in losses if step <= expected]
    assert record["validation"]["best_step"] == min(wanted, key=losses.get)


def resumed(recipe, tmp_path, killed_at):
    """Run a stage that is stopped when it begins a step, and resume it."""
    start = tmp_path / "run" / "start"
    trainer = stage_trainer(recipe, "finetune", start, tmp_path / "run" / "finetune.unfinished")
    trainer.add_callback(Watch(killed_at))
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    run_stage(recipe, "finetune", start, resume=True)
    return tmp_path / "run" / "finetune"


@pytest.mark.parametrize("killed_at", [21, pytest.param(39, marks=pytest.mark.slow)])
def test_a_resumed_stage_knows_the_best_weights(overfitted, shapes, tmp_path, killed_at):
    recipe = overfitting(shapes, tmp_path / "run", "stages.finetune.save_every=6")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "start").symlink_to(overfitted / "start")
    folder = resumed(recipe, tmp_path, killed_at)
    assert evaluations(folder) == evaluations(overfitted / "finetune")
    assert (folder / "samples.jsonl").read_text() == (overfitted / "finetune" / "samples.jsonl").read_text()
    assert record_of(folder)["validation"] == record_of(overfitted / "finetune")["validation"]
    wanted, got = (load_file(one / "model.safetensors") for one in (overfitted / "finetune", folder))
    for name, weight in wanted.items():
        assert torch.equal(got[name], weight), name


def test_a_stage_that_was_over_is_over_when_it_is_resumed(overfitted, shapes, tmp_path):
    """Killed between the last checkpoint, of the step at which patience ended, and the written folder."""
    recipe = overfitting(shapes, tmp_path / "run", "stages.finetune.patience=2", "stages.finetune.save_every=4")
    work = tmp_path / "run" / "finetune.unfinished"
    trainer = stage_trainer(recipe, "finetune", overfitted / "start", work)
    trainer.train()
    over = trainer.validation.standing
    assert over.since == 2
    assert (work / f"checkpoint-{over.last_step}").is_dir()
    run_stage(recipe, "finetune", overfitted / "start", resume=True)
    record = record_of(tmp_path / "run" / "finetune")
    assert record["steps"] == over.last_step
    assert record["validation"]["best_step"] == over.best_step
    trainer.validation.put_back_best(trainer.model)
    written = load_file(tmp_path / "run" / "finetune" / "model.safetensors")
    for name, weight in trainer.model.state_dict().items():
        if name in written:
            assert torch.equal(written[name], weight), name


def test_a_checkpoint_without_its_best_weights_is_damaged(overfitted, shapes, tmp_path):
    changes = [f"output={tmp_path / 'run'}", f"data.source={shapes}", SPLIT, *FINETUNE, "stages.finetune.save_every=2"]
    recipe = load_recipe("tiny", [*changes, "stages.finetune.steps=8", "stages.finetune.eval_every=2"])
    work = tmp_path / "run" / "finetune.unfinished"
    trainer = stage_trainer(recipe, "finetune", overfitted / "start", work)
    trainer.train()
    (work / "checkpoint-8" / "best.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"checkpoint-8 is damaged .*delete .*checkpoint-8"):
        run_stage(recipe, "finetune", overfitted / "start", resume=True)


def test_reporters_get_the_figures_of_validation(tiny, tmp_path):
    recipe = tiny(SPLIT, *FINETUNE, "stages.finetune.steps=4", "stages.finetune.eval_every=2")
    train(recipe)
    trainer = stage_trainer(recipe, "finetune", tmp_path / "run" / "start", tmp_path / "again")
    watch = Watch()
    trainer.add_callback(watch)
    trainer.train()
    logged = [(step, logs) for step, logs in watch.logs if "eval_loss" in logs]
    assert [step for step, _ in logged] == [2, 4]
    assert all({"eval_exact_match", "eval_token_f1", "eval_runtime", "epoch"} <= logs.keys() for _, logs in logged)


def test_event_files_outlive_the_folder_of_the_unfinished_stage(tmp_path):
    for run in ("first", "second"):  # a stage that was resumed has several
        (tmp_path / "unfinished" / "runs" / run).mkdir(parents=True)
        (tmp_path / "unfinished" / "runs" / run / "events.out").write_text(run)
    keep_event_files(tmp_path / "unfinished", tmp_path / "tensorboard" / "vicreg")
    keep_event_files(tmp_path / "unfinished", tmp_path / "tensorboard" / "vicreg")
    kept = sorted(path.read_text() for path in (tmp_path / "tensorboard" / "vicreg").rglob("events*"))
    assert kept == ["first", "second"]
    assert not (tmp_path / "unfinished" / "runs").exists()


def test_log_lines_say_how_long_it_takes(tiny, capsys):
    train(tiny("stages.vicreg.steps=40", "data.validation={share: 0.2}"), ["vicreg"])
    text = capsys.readouterr().err
    assert re.search(r"10/40 loss \S+ learning rate \S+, \S+ steps/s, about \d+ s left\n", text)
    assert "vicreg: validation on 2 panoramas that are not trained" in text
    assert "40/40 validation loss" in text
    assert "rows about 10 panoramas; 40 steps of 2 panoramas" in text, "two of twelve are not trained"


def test_a_curriculum_begins_with_the_rows_that_are_trained(overfitted, shapes, tmp_path):
    """The easiest question of the table is one of those that are kept for validation."""
    shutil.copytree(shapes / "images", tmp_path / "data" / "images")
    rows = [json.loads(line) for line in (shapes / "train.jsonl").read_text().splitlines()]
    _, kept = hold_out(read_examples(shapes), 0.1, seed=0)
    for number, row in enumerate(rows):
        row["difficulty"] = 0 if number == kept[0][0] else 5 + number % 3
    (tmp_path / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = [f"data.source={tmp_path / 'data'}", f"output={tmp_path / 'run'}", "data.validation={share: 0.1}"]
    recipe = load_recipe("tiny", [*changes, "data.curriculum={column: difficulty, share: 1.0}"])
    order = stage_trainer(recipe, "resampler", overfitted / "start", tmp_path / "work").order
    assert order.limit(0).value == 5
    assert all(order.panorama(index) < 11 for index in range(order.length))


def test_a_stage_does_not_keep_the_records_of_the_one_before(tiny):
    changes = ["data.validation={split: test}", "stages.finetune.data={validation: null}"]
    folder = train(tiny(*changes, *(f"stages.{stage}.steps=1" for stage in STAGES)))
    assert (folder.parent / "resampler" / "samples.jsonl").read_text()
    assert not (folder / "samples.jsonl").exists()
    assert not evaluations(folder)
    assert "validation" not in record_of(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.validation={}", "give either split"),
        ("data.validation={split: a, share: 0.1}", "give either split"),
        ("data.validation={share: 1}", "less than 1"),
        ("data.validation={shear: 0.1}", "did you mean 'share'"),
        ("data.validation={split: train}", "the split that is trained"),
        (
            "stages.vicreg.eval_every=5",
            r"stages.vicreg.eval_every needs panoramas to validate on: give data.validation",
        ),
        ("stages.finetune.patience=2", r"stages.finetune.patience needs panoramas"),
        ("stages.finetune.patience=0", "greater than or equal to 1"),
    ],
)
def test_recipes_that_cannot_be_validated(tiny, change, message):
    with pytest.raises(RecipeError, match=message):
        tiny(change)


def test_splits_that_do_not_exist(tiny, shapes):
    with pytest.raises(TableError, match=r"contains no validation\.csv.*its tables are"):
        train(tiny("data.validation={split: validation}"), ["vicreg"])


def test_a_single_file_has_no_splits(tiny, shapes):
    with pytest.raises(TrainingError, match=r"the single file .*use data\.validation\.share"):
        train(tiny(f"data.source={shapes / 'train.jsonl'}", SPLIT), ["vicreg"])


@pytest.mark.slow
def test_two_processes_validate_as_one(shapes, tmp_path):
    changes = [f"data.source={shapes}", "model.config.lora_dropout=0", "model.config.vicreg_mode=batchwise", SPLIT]
    changes += [f"stages.{stage}.{what}" for stage in STAGES for what in ("steps=6", "eval_every=2")]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "panollava_hf", "train", "--config", "tiny"]
    two = [*changes, f"output={tmp_path / 'two'}", *(f"stages.{stage}.batch_size=1" for stage in STAGES)]
    command += [word for change in two for word in ("--set", change)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    train(load_recipe("tiny", [*changes, f"output={tmp_path / 'one'}"]))
    for stage in STAGES:
        found, expected = evaluations(tmp_path / "two" / stage), evaluations(tmp_path / "one" / stage)
        assert len(expected) == 3
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, rel=1e-4, abs=1e-4), stage
