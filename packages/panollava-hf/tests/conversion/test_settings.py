"""Settings and towers: contradictions show both values, and what changes the numbers is never guessed."""

import json

import pytest
import torch
from panollava_hf._errors import CheckpointError
from panollava_hf.cli import run

CONTRADICTIONS = {
    "latent_dimension": ({"latent_dimension": 77}, {}, "24 in the tensors.*77 in the model config"),
    "latent_dimension in hyper_parameters": ({}, {"latent_dimension": 77}, "24 in the tensors.*77 in hyper_parameters"),
    "resampler_type": ({"resampler_type": "qformer"}, {}, "'mlp' in the tensors.*'qformer' in the model config"),
    "resampler depth": ({"resampler_config": {"depth": 5}}, {}, "2 in the tensors.*5 in resampler config"),
    "overlap_ratio": (
        {"overlap_ratio": 0.3},
        {"model_overlap_ratio": 0.5},
        "0.5 in hyper_parameters.*0.3 in the model",
    ),
    "use_vicreg_norm": ({"use_vicreg_norm": False}, {}, "True in the tensors.*False in the model config"),
    "fov_deg": ({"fov_deg": 60.0}, {"fov_deg": 90.0}, "90.0 in hyper_parameters.*60.0 in the model config"),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_contradictions_show_both_values(make_original, tmp_path, what):
    settings, parameters, message = CONTRADICTIONS[what]
    original = make_original(settings=settings)
    path = original.save(hyper_parameters=original.hyper_parameters | parameters)
    with pytest.raises(CheckpointError, match=message):
        original.convert(tmp_path / "out", path=path, dry_run=True)


UNSUPPORTED = {
    "stitch_stride_offset": 1,
    "pe_enable_continuity": False,
    "pe_view_encoding_type": "learned",
    "resampler_enable_cross_view": True,
    "stitching_mode": "woven",
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_cannot_be_computed_is_refused(make_original, tmp_path, name):
    original = make_original(settings={name: UNSUPPORTED[name]})
    with pytest.raises(CheckpointError, match=f"{name}.*{UNSUPPORTED[name]}"):
        original.convert(tmp_path / "out", dry_run=True)


def test_no_model_config(make_original, tmp_path):
    """What changes the numbers is never guessed; what does not is."""
    original = make_original()
    path = original.save(model_config=False)
    with pytest.raises(CheckpointError, match=r"stitching_mode.*--model-config"):
        original.convert(tmp_path / "out", path=path, dry_run=True)
    assert original.convert(tmp_path / "out", "feature-extraction", path=path, dry_run=True).config.overlap_ratio == 0.5


def test_yaml_in_sections(make_original, tmp_path):
    original = make_original()
    document = tmp_path / "run.yaml"
    document.write_text(
        "models:\n  vision_name: a/b\n  resampler_type: mlp\n  use_projection_positional_encoding: false\n"
        "image_processing:\n  overlap_ratio: 0.5\n  stitching_mode: resample\n  stitch_target_to_view_width: true\n"
        "  stitch_interp: linear\n  crop_strategy: e2p\n"
        "training:\n  stage_configs:\n    finetune:\n      vicreg_mode: batchwise\n"
        "    vision:\n      vicreg_mode: pairwise\n"
        "lora:\n  use_lora: false\n  rank: 32\n"
    )
    path = original.save(model_config=False)
    config = original.convert(tmp_path / "out", path=path, model_config=document, dry_run=True).config
    assert (config.positional_encoding, config.stitching_mode, config.stitch_interp) == ("none", "resample", "linear")
    assert config.stitch_target_to_view_width is True
    config = original.convert(tmp_path / "out", "vicreg", path=path, model_config=document, dry_run=True).config
    assert (config.vicreg_mode, config.vicreg_pairs) == ("batchwise", "columns")


def test_lora_scale_must_be_known(make_original, tmp_path):
    pair = {"model.layers.0.self_attn.q_proj": (torch.ones(2, 32), torch.ones(32, 2))}
    original = make_original(lora={"rank": 2, "alpha": 4, "modules": pair})
    known = {key: value for key, value in original.hyper_parameters.items() if key != "lora_alpha"}
    with pytest.raises(CheckpointError, match="lora_alpha"):
        original.convert(tmp_path / "out", path=original.save(hyper_parameters=known), dry_run=True)
    with pytest.raises(CheckpointError, match=r"lora_r.*2 in the tensors.*3 in hyper_parameters"):
        original.convert(
            tmp_path / "out",
            path=original.save(hyper_parameters=known | {"lora_alpha": 4, "lora_rank": 3}),
            dry_run=True,
        )


def test_embedding_without_the_placeholders_row(make_original, tmp_path):
    original = make_original()
    name = "language_model/model/embed_tokens/weight"
    short = {name: torch.zeros(270, 32), "language_model/lm_head/weight": None}
    with pytest.raises(CheckpointError, match=r"270 rows.*272 tokens"):
        original.convert(tmp_path / "out", path=original.save(state=original.changed(**short)))


USAGE_ERRORS = {
    "no file": (["--lightning-ckpt", "no.ckpt"], "no.ckpt: no such file"),
    "no tower": (["--vision-tower", "no/such-tower"], "--vision-tower"),
    "no config": (["--model-config", "no.yaml"], "no.yaml: this file cannot be read"),
    "a model type": (["--model-type", "detection"], "detection"),
    "a repository": (["--push-to-hub", "a/b/c"], "--push-to-hub a/b/c"),
    "a type": (["--dtype", "int8"], "int8"),
}


@pytest.mark.parametrize("what", USAGE_ERRORS)
def test_usage_errors_are_one_line(make_original, tmp_path, capsys, what):
    options, message = USAGE_ERRORS[what]
    original = make_original()
    arguments = ["--lightning-ckpt", str(original.save()), "--output-dir", str(tmp_path / "out")]
    arguments += ["--vision-tower", str(original.vision_folder), "--text-tower", str(original.text_folder)]
    capsys.readouterr()
    assert run(["convert", *arguments, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err.strip().splitlines()[-1]
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_towers_are_found_as_the_run_named_them(make_original, tmp_path):
    """Relative names in a model config start in its folder."""
    original = make_original(settings={"vision_name": "vision", "language_model_name": "text"})
    done = original.convert(tmp_path / "out", vision_tower=None, text_tower=None)
    assert done.config.vision_config.hidden_size == 32
    card = (done.folder / "README.md").read_text()
    assert "nowhere/vision" in card
    assert str(tmp_path) not in card
    assert str(tmp_path) not in json.dumps(json.loads((done.folder / "config.json").read_text()))
