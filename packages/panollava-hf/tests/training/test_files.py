"""What a run writes and reads again: damage is one line, a full disk too, and permissions follow the umask."""

import errno
import json
import os
import stat

import numpy as np
import pytest
from panollava_hf._errors import RecipeError, TableError, TrainingError
from panollava_hf.training import _run as run_module
from panollava_hf.training import train
from panollava_hf.training._checkpoints import COMPLETE, last_checkpoint, what_is_complete
from panollava_hf.training._trainer import StageTrainer

SHORT = ["stages.vicreg.steps=3", "stages.vicreg.save_every=1", "data.limit=40"]


class Stopped(Exception):
    """Stands for a kill at some step."""


@pytest.fixture
def stopped(tiny, tmp_path, monkeypatch):
    """The recipe of a run that was stopped after two checkpoints, and its unfinished folder."""
    recipe = tiny(*SHORT)
    step = StageTrainer.training_step

    def stop(self, *args, **kwargs):
        if self.state.global_step == 2:
            raise Stopped
        return step(self, *args, **kwargs)

    monkeypatch.setattr(StageTrainer, "training_step", stop)
    before = os.umask(0o027)
    try:
        with pytest.raises(Stopped):
            train(recipe, ["vicreg"])
    finally:
        os.umask(before)
    monkeypatch.undo()
    return recipe, tmp_path / "run" / "vicreg.unfinished"


def test_damaged_checkpoints_are_one_line_and_the_one_before_is_used(stopped):
    recipe, work = stopped
    newest = last_checkpoint(work)
    assert newest.name == "checkpoint-2"
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in newest.iterdir() if file.is_file()}
    assert set(modes.values()) == {0o640}, modes
    for name in ("trainer_state.json", "model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        whole = (newest / name).read_bytes()
        damages = [whole[: len(whole) // 2], b""] if name == "optimizer.pt" else [whole[: len(whole) // 2]]
        for damage in damages:
            (newest / name).write_bytes(damage)
            with pytest.raises(
                TrainingError, match=r"the checkpoint .*checkpoint-2 is damaged \(.*\); delete "
            ) as caught:
                train(recipe, ["vicreg"], resume=True)
            assert "\n" not in str(caught.value)
            assert "the checkpoint before it" in str(caught.value)
        (newest / name).write_bytes(whole)
    (newest / COMPLETE).unlink()
    assert last_checkpoint(work).name == "checkpoint-1"
    assert train(recipe, ["vicreg"], resume=True).name == "vicreg"


@pytest.mark.parametrize("content", ["null", "[]", '{"global_step": "x"}', '{"global_step": 7}', "[" * 100_000])
def test_a_state_of_another_kind_is_one_line(tmp_path, content):
    from panollava_hf.training._trainer import check_state

    checkpoint = tmp_path / "checkpoint-2"
    checkpoint.mkdir()
    (checkpoint / "trainer_state.json").write_text(content)
    with pytest.raises(TrainingError, match=r"checkpoint-2 is damaged \(.*\); delete .*run the same command"):
        check_state(checkpoint)


@pytest.fixture
def begun(tiny, tmp_path):
    """A run folder with a recipe and a finished stage, and its recipe."""
    recipe = tiny()
    (tmp_path / "run").mkdir()
    with run_module._claim_output(tmp_path / "run", recipe, ["vicreg"], False):
        pass
    (tmp_path / "run" / "vicreg").mkdir()
    return recipe


@pytest.mark.parametrize(
    "content", ["", "model: {path: x}\ndata: {sou", "a: [", "\0", "model: 3", "[" * 9000, b"\xff\xfe\xff"]
)
def test_a_damaged_recipe_of_a_run_is_one_line(begun, tmp_path, content):
    written = tmp_path / "run" / "recipe.yaml"
    written.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(
        RecipeError, match=r"^this run's recipe\.yaml is damaged: .*; put the recipe of this run there"
    ) as caught:
        train(begun, ["vicreg"], resume=True)
    assert "\n" not in str(caught.value)


def test_the_recipe_of_a_run_is_written_whole(begun, tmp_path, monkeypatch):
    written = tmp_path / "run" / "recipe.yaml"
    before = written.read_bytes()

    def full(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", lambda handle: full(None))
    with pytest.raises(TrainingError, match=r"recipe\.yaml cannot be written: No space left on device; make room"):
        with run_module._claim_output(tmp_path / "run", begun, ["vicreg"], True):
            pass
    assert written.read_bytes() == before
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".recipe")] == []


def test_hidden_files_in_the_output_folder_do_not_matter(tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".DS_Store").touch()
    with run_module._claim_output(tmp_path / "run", tiny(), ["vicreg"], False):
        pass
    assert (tmp_path / "run" / "recipe.yaml").is_file()


def test_a_full_disk_leaves_a_run_that_can_be_resumed(tiny, tmp_path, monkeypatch):
    from safetensors import SafetensorError

    recipe = tiny(*SHORT)
    import transformers

    save = transformers.PreTrainedModel.save_pretrained

    def full(self, folder, *args, **kwargs):
        if "checkpoint-2" in str(folder):
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        return save(self, folder, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(transformers.PreTrainedModel, "save_pretrained", full)
        message = (
            r"checkpoint-2 cannot be written \(.*No space left on device.*\); make room, then continue with --resume"
        )
        with pytest.raises(TrainingError, match=message) as caught:
            train(recipe, ["vicreg"])
    assert "\n" not in str(caught.value)
    assert last_checkpoint(tmp_path / "run" / "vicreg.unfinished").name == "checkpoint-1"

    def full_at_the_end(self, folder, *args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("panollava_hf.training._stage.copy_processor", full_at_the_end)
        with pytest.raises(TrainingError, match=r"run/vicreg cannot be written \(No space left on device\); make room"):
            train(recipe, ["vicreg"], resume=True)
    assert not (tmp_path / "run" / "vicreg").exists()
    folder = train(recipe, ["vicreg"], resume=True)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir() if file.is_file()}
    assert len(set(modes.values())) == 1, modes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "stages.vicreg.schedule=nonsense",
            "stages.vicreg.schedule: .* no schedule 'nonsense'; valid: linear, cosine",
        ),
        ("stages.vicreg.schedule=cosin", "stages.vicreg.schedule: .* 'cosin'; did you mean 'cosine'"),
        ("report_to=nonsense", "stage vicreg: transformers refuses the settings .*nonsense"),
    ],
)
def test_settings_that_transformers_refuses_are_one_line(tiny, tmp_path, change, message):
    with pytest.raises(TrainingError, match=message) as caught:
        train(tiny(*SHORT, change), ["vicreg"])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists(), "found before anything is written"


#: Letters that are several tokens each.
LETTERS = "".join(map(chr, range(0xAC00, 0xAC00 + 1500)))


def table(shapes, folder, **changes):
    """Twenty rows of the training table, one of them changed."""
    rows = [json.loads(line) for line in (shapes / "train.jsonl").read_text().splitlines()[:20]]
    for row in rows:
        row["image"] = str(shapes / row["image"])
    rows[6] |= changes
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": "Where is it? " * 2000}, r"7: the question is too long: \d+ tokens, this model reads 2048"),
        (
            {"answer": "".join(map(chr, range(0xAC00, 0xAC00 + 1500)))},
            r"7: the question is too long: \d+ tokens, this model reads 2048",
        ),
    ],
)
def test_rows_that_the_model_cannot_read_are_reported_before_the_first_step(tiny, shapes, tmp_path, changes, message):
    data = table(shapes, tmp_path, **changes)
    recipe = tiny(f"data.source={data}", "stages.vicreg=null", "stages.resampler.steps=1", "stages.finetune=null")
    with pytest.raises(TableError, match=rf"1 rows cannot be used: .*{message}"):
        train(recipe)
    assert train(recipe, resume=True, skip_bad=True).name == "resampler"


def test_control_tokens_in_questions_and_answers_are_trained_as_text(tiny, shapes, tmp_path, processor):
    from panollava_hf.training._collator import IGNORE, NOTES, AnswerCollator, pack

    question, answer = "What does <|vision|> mean?<|im_end|>", "It is </s> or <|im_end|> and <|im_start|>."
    collator = AnswerCollator(processor)
    packed = pack([collator._turn(question, answer)])
    assert (packed.input_ids == processor.image_token_id).sum() == processor.num_image_tokens()
    trained = packed.input_ids[packed.labels != IGNORE].tolist()
    end = processor.tokenizer.eos_token_id
    assert trained.count(end) == 1
    assert trained[-1] == end
    assert processor.tokenizer.decode(trained[:-1]).strip() == answer.lower()  # this tokenizer ignores case
    data = table(shapes, tmp_path, question=question, answer=answer)
    recipe = tiny(f"data.source={data}", "stages.vicreg=null", "stages.resampler.steps=2", "stages.finetune=null")
    assert train(recipe).name == "resampler"
    assert NOTES


@pytest.mark.parametrize("question", ["What is left?", "  하늘?  ", "What does <|vision|> mean?<|im_end|>", ""])
def test_prompts_are_those_that_the_processor_makes_of_a_panorama(processor, question):
    from panollava_hf.training._collator import AnswerCollator

    made = processor(images=np.zeros((64, 128, 3), np.uint8), text=processor.prompt(question))["input_ids"]
    collator = AnswerCollator(processor)
    for answer in ("left", "<|im_end|>", "left"):  # the third one from memory
        assert list(collator._turn(question, answer).prompt) == list(made[0])
    collator._turn("Which object?", "a lamp")  # the answer is now in memory
    assert collator._turn(question, "a lamp").answer == AnswerCollator(processor)._turn(question, "a lamp").answer


def test_what_an_interrupted_run_leaves(tmp_path):
    stages = ["vicreg", "resampler"]
    assert "no checkpoint in" in what_is_complete(tmp_path, stages)
    (tmp_path / "vicreg").mkdir()
    assert what_is_complete(tmp_path, stages).startswith(f"complete in {tmp_path}: vicreg; run the same command with")
    for name in ("checkpoint-5", "checkpoint-10", "checkpoint-x", "checkpoint-²"):
        folder = tmp_path / "resampler.unfinished" / name
        folder.mkdir(parents=True)
        (folder / COMPLETE).touch()
    expected = f"the last complete checkpoint is {tmp_path / 'resampler.unfinished' / 'checkpoint-10'}; continue with"
    assert what_is_complete(tmp_path, stages).startswith(expected)
