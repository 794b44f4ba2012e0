"""All three stages for a few steps: losses fall, only the right weights change, and every folder is a checkpoint."""

import json
import shutil

import pytest
import torch
from panollava_hf import (
    Answerer,
    PanoLLaVaConfig,
    PanoLLaVaForConditionalGeneration,
    PanoLLaVaForFeatureExtraction,
    PanoLLaVaForVICReg,
    PanoLLaVaProcessor,
)
from panollava_hf._errors import TableError, TrainingError
from panollava_hf.training import load_recipe, train
from panollava_hf.training._recipe import ModelSettings
from panollava_hf.training._start import KNOWLEDGE, write_start
from panollava_hf.training._validation import LOG_FILE
from PIL import Image
from safetensors.torch import load_file

STAGES = ("vicreg", "resampler", "finetune")


@pytest.fixture(scope="module")
def run(shapes, tmp_path_factory):
    """The tiny recipe, trained."""
    output = tmp_path_factory.mktemp("run") / "tiny"
    train(
        load_recipe("tiny", [f"output={output}", f"data.source={shapes}", *(f"stages.{s}.log_every=1" for s in STAGES)])
    )
    return output


def losses(folder):
    return [entry["loss"] for entry in json.loads((folder / LOG_FILE).read_text()) if "loss" in entry]


@pytest.mark.parametrize("stage", STAGES)
def test_each_loss_falls(run, stage):
    found = losses(run / stage)
    assert len(found) == 20
    assert sum(found[-5:]) < 0.95 * sum(found[:5])


def test_the_losses_of_all_stages_are_drawn(run):
    with Image.open(run / "learning_curve.png") as image:
        assert image.width > 3 * 560


def changed(run, stage, before):
    first, second = load_file(run / before / "model.safetensors"), load_file(run / stage / "model.safetensors")
    assert first.keys() == second.keys()
    return {name for name in first if not torch.equal(first[name], second[name])}


def test_a_start_does_not_know_only_what_the_checkpoint_was_trained_on(checkpoint, tmp_path):
    """Else a checkpoint that is trained on photographs would go on to report them as unknown."""
    before = PanoLLaVaConfig.from_pretrained(checkpoint)
    assert None not in [getattr(before, name) for name in KNOWLEDGE]
    write_start(ModelSettings(path=str(checkpoint), config={"known_topics": ["cube"]}), None, tmp_path / "start", 0)
    after = PanoLLaVaConfig.from_pretrained(tmp_path / "start")
    assert [getattr(after, name) for name in KNOWLEDGE] == [None, ["cube"], None]


def test_each_stage_trains_its_parts_only(run):
    vicreg = changed(run, "vicreg", "start")
    assert vicreg
    assert all(n.startswith(("panollava.resampler.", "panollava.vision_backbone.")) for n in vicreg)
    assert not any("layers.0." in n or "embeddings" in n for n in vicreg), "only the last block of the tower is trained"
    assert any("layers.1." in n for n in vicreg)
    resampler = changed(run, "resampler", "vicreg")
    assert resampler
    assert {n.split(".")[1] for n in resampler} == {"resampler", "projector"}
    finetune = changed(run, "finetune", "resampler")
    assert {n.split(".")[1] for n in finetune} == {"projector", "language_model"}
    assert not any("embed_tokens" in n or "norm" in n for n in finetune), "adapters are on linear layers"


@pytest.mark.parametrize("stage", STAGES)
def test_each_folder_is_an_ordinary_checkpoint(run, stage, panorama):
    model, info = PanoLLaVaForConditionalGeneration.from_pretrained(run / stage, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.connector_trained == (stage != "vicreg")
    assert not model.config.use_lora
    assert [record["stage"] for record in model.config.training_history] == list(STAGES[: STAGES.index(stage) + 1])
    assert PanoLLaVaProcessor.from_pretrained(run / stage).tokenizer.padding_side == "left"
    assert isinstance(Answerer.load(str(run / stage)).answer(panorama, "What is this?", max_new_tokens=3).text, str)
    for kind in (PanoLLaVaForVICReg, PanoLLaVaForFeatureExtraction):
        kind.from_pretrained(run / stage)


def test_the_adapter_is_kept_next_to_the_merged_weights(run):
    from peft import PeftModel

    base = PanoLLaVaForConditionalGeneration.from_pretrained(run / "resampler")
    merged = PanoLLaVaForConditionalGeneration.from_pretrained(run / "finetune").state_dict()
    base.panollava.projector.load_state_dict(
        {k.removeprefix("panollava.projector."): v for k, v in merged.items() if ".projector." in k}
    )
    adapted = PeftModel.from_pretrained(base, run / "finetune" / "adapter").merge_and_unload().state_dict()
    for name, weight in merged.items():
        torch.testing.assert_close(adapted[name], weight, msg=lambda m, name=name: f"{name}: {m}")


def test_a_run_is_not_overwritten(run, shapes):
    changes = [f"output={run}", f"data.source={shapes}", *(f"stages.{s}.log_every=1" for s in STAGES)]
    with pytest.raises(TrainingError, match="already contains the stage vicreg: continue with --resume"):
        train(load_recipe("tiny", changes))
    before = (run / "vicreg" / "model.safetensors").stat().st_mtime_ns
    train(load_recipe("tiny", changes), resume=True)  # nothing left to do
    assert (run / "vicreg" / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(TrainingError, match=r"other settings \(seed\)"):
        train(load_recipe("tiny", [*changes, "seed=1"]), resume=True)


def test_other_files_are_not_overwritten(tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("text")
    with pytest.raises(TrainingError, match="contains other files"):
        train(tiny())


def test_a_stage_needs_the_one_before(tiny, tmp_path):
    with pytest.raises(TrainingError, match="resampler starts from the stage vicreg, which has not been run"):
        train(tiny(), ["resampler"])
    with pytest.raises(TrainingError, match="finetune starts from the stage resampler, which has not been run"):
        train(tiny(), ["vicreg", "finetune"])
    assert not (tmp_path / "run" / "start").exists(), "reported before anything is trained"


def test_stages_one_by_one_are_stages_at_once(run, tiny, tmp_path):
    for stage in STAGES:
        folder = train(tiny(*(f"stages.{s}.log_every=1" for s in STAGES)), [stage])
        assert folder == tmp_path / "run" / stage
    alone, together = load_file(folder / "model.safetensors"), load_file(run / "finetune" / "model.safetensors")
    for name in together:
        torch.testing.assert_close(alone[name], together[name], rtol=0, atol=1e-6)


def test_the_whole_model_can_be_trained(tiny):
    recipe = tiny(
        "stages.finetune.language_model=full",
        "stages.finetune.train_resampler=true",
        "stages.finetune.trainable_vision_blocks=-1",
        "stages.finetune.steps=2",
        "stages.vicreg.steps=1",
        "stages.resampler.steps=1",
    )
    output = train(recipe).parent
    parts = {name.split(".")[1] for name in changed(output, "finetune", "resampler")}
    assert parts == {"vision_backbone", "resampler", "projector", "language_model"}
    assert not (output / "finetune" / "adapter").exists()


@pytest.mark.parametrize("change", ["gradient_checkpointing=true", "bf16=true", "stages.finetune.accumulation=2"])
def test_settings_of_the_computation(tiny, change):
    short = [f"stages.{s}.steps=2" for s in STAGES]
    assert train(tiny(*short, change)).name == "finetune"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # of torch's own tracing
def test_compiled_layers_compute_the_same(tiny, tmp_path):
    def log_of(*changes):
        short = [
            "stages.vicreg=null",
            "stages.resampler.steps=1",
            "stages.finetune.steps=4",
            "stages.finetune.log_every=1",
        ]
        validation = ["data.validation={share: 0.2, answers: 2}", "stages.finetune.eval_every=2"]
        folder = train(tiny(*short, *validation, "stages.finetune.language_model=full", *changes))
        log = json.loads((folder / LOG_FILE).read_text())
        return [entry.get("loss", entry.get("eval_loss")) for entry in log if {"loss", "eval_loss"} & entry.keys()]

    plain = log_of()
    assert len(plain) == 6
    assert log_of("compile=true", f"output={tmp_path / 'compiled'}") == pytest.approx(plain, rel=1e-3)


def test_without_a_compiler_the_error_says_so(tiny, monkeypatch):
    def failing(values):
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", lambda function: failing)
    with pytest.raises(TrainingError, match=r"torch.compile does not work here.*; install a C\+\+ compiler \(g\+\+\)"):
        train(tiny("compile=true"))


def test_epochs_count_panoramas(tiny):
    recipe = tiny("stages.vicreg.epochs=2", "stages.vicreg.steps=null", "stages.vicreg.batch_size=5")
    folder = train(recipe, ["vicreg"])
    record = PanoLLaVaForConditionalGeneration.from_pretrained(folder).config.training_history[0]
    assert record["steps"] == 5, "12 panoramas seen twice, five at a time"


def test_a_loss_that_is_nan_ends_the_run(tiny, tmp_path):
    with pytest.raises(TrainingError, match=r"loss of stage vicreg is nan at step .*lower stages.vicreg.learning_rate"):
        train(tiny("stages.vicreg.learning_rate=1e30", "stages.vicreg.log_every=1"), ["vicreg"])
    assert not (tmp_path / "run" / "vicreg").exists()


def test_a_missing_image_ends_the_run(shapes, tiny, tmp_path):
    (tmp_path / "train.jsonl").write_text((shapes / "train.jsonl").read_text())
    with pytest.raises(TrainingError, match=r"train\.jsonl, row.*--skip-bad"):
        train(tiny(f"data.source={tmp_path}"), ["vicreg"])


def test_rows_that_are_too_long(tiny):
    with pytest.raises((TrainingError, TableError), match="more than max_length=20"):
        train(tiny("data.max_length=20", "stages.vicreg.steps=1"))


def test_impossible_starts(tiny):
    with pytest.raises(
        TrainingError, match=r"cannot be made: .*text_config of a model from scratch must be a full config"
    ):
        train(tiny("model.config.text_config={}"), ["vicreg"])
    with pytest.raises(TrainingError, match="cannot be made"):
        train(tiny("model={path: /nowhere}"), ["vicreg"])


def test_a_checkpoint_to_start_from(run, tiny):
    model = f"model={{path: {run / 'finetune'}, config: {{pooling: max}}}}"
    folder = train(tiny(model, "stages.vicreg.steps=1"), ["vicreg"])
    config = PanoLLaVaForConditionalGeneration.from_pretrained(folder).config
    assert config.pooling == "max"
    assert [record["stage"] for record in config.training_history] == [*STAGES, "vicreg"]
