"""What a run's folder may hold: hostile settings, towers with code, wrapped keys, a full disk."""

import errno
import io
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
import yaml
from panollava_hf._errors import CheckpointError
from panollava_hf.cli import run
from panollava_hf.conversion import _write as write
from panollava_hf.conversion._checkpoint import Checkpoint
from panollava_hf.conversion._config import _crop_fields, find_towers
from panollava_hf.conversion._parts import split_parts
from panollava_hf.conversion._settings import RunSettings, read_settings
from safetensors import SafetensorError
from safetensors.torch import load_file

# Wrappers.


WRAPPED = {
    "DistributedDataParallel": lambda key: f"module.{key}",
    "DeepSpeed": lambda key: f"_forward_module.module.{key}",
    "torch.compile": lambda key: f"_orig_mod.{key}",
    "compiled inside": lambda key: key.replace("model.", "model._orig_mod.", 1),
    "compiled twice": lambda key: f"_orig_mod.module._orig_mod.{key}",
    "FSDP at every level": lambda key: "_forward_module." + key.replace(".", "._fsdp_wrapped_module."),
    "checkpointed layers": lambda key: key.replace(".layers.0.", ".layers.0._checkpoint_wrapped_module."),
    "a wrapped language model": lambda key: key.replace("language_model.", "language_model.module."),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_wrappers_at_every_level(make_original, kind):
    state = make_original().state_dict()
    plain = split_parts(state, "conditional-generation")
    wrapped = split_parts({WRAPPED[kind](key): tensor for key, tensor in state.items()}, "conditional-generation")
    for part in ("vision", "norm", "resampler", "projector", "language"):
        expected, found = getattr(plain, part).tensors, getattr(wrapped, part).tensors
        assert expected.keys() == found.keys()
        assert all(found[name] is expected[name] for name in found)
    assert not [row for row in wrapped.rows if row.status == "unexpected"]


def test_wrapped_checkpoint_converts_to_the_same_tensors(make_original, tmp_path):
    original = make_original()
    first = original.convert(tmp_path / "first").folder
    state = {f"module.{key}": tensor for key, tensor in original.state_dict().items()}
    second = original.convert(tmp_path / "second", path=original.save(state=state)).folder
    expected, found = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_shared_script(shared, tmp_path, capsys):
    script = shared / "cases" / "wrapped_checkpoint.py"
    if not script.is_file():
        pytest.skip("no such case")
    fixtures = shared / "fixtures"
    folders = []
    for prefix in ("", "module."):
        source = fixtures / "lightning" / "finetune_mlp_resample.ckpt"
        if prefix:
            subprocess.run([sys.executable, script, source, tmp_path / "x.ckpt", prefix], check=True, timeout=120)
            source = tmp_path / "x.ckpt"
        folders.append(tmp_path / f"out{prefix}")
        arguments = ["--lightning-ckpt", str(source), "--output-dir", str(folders[-1])]
        arguments += ["--model-config", str(fixtures / "lightning" / "finetune_mlp_resample.model_config.json")]
        arguments += ["--vision-tower", str(fixtures / "towers" / "siglip")]
        assert run(["convert", *arguments, "--text-tower", str(fixtures / "towers" / "lm")]) == 0, capsys.readouterr()
    expected, found = (load_file(folder / "model.safetensors") for folder in folders)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("second", ["module.{}", "model._orig_mod.{}"])
def test_two_keys_of_one_tensor(make_original, second):
    state = make_original().state_dict()
    key = "model.projector.linear.weight"
    other = second.format(key if second.startswith("module") else key.removeprefix("model."))
    with pytest.raises(CheckpointError) as caught:
        split_parts({**state, other: state[key]}, "conditional-generation")
    assert key in str(caught.value)
    assert other in str(caught.value)


# Tensors.


CHANGED = {
    "0-d": lambda tensor: torch.tensor(1.0),
    "empty": lambda tensor: torch.zeros(0),
    "no rows": lambda tensor: torch.zeros(0, *tensor.shape[1:]),
    "flat": lambda tensor: tensor.reshape(-1) if tensor.ndim > 1 else tensor[None],
    "larger": lambda tensor: torch.zeros(*(side + 1 for side in tensor.shape)),
    "integers": lambda tensor: tensor.long(),
    "booleans": lambda tensor: tensor.bool(),
}
PLACES = (
    "vision_backbone/norm/weight",
    "resampler_module/resampler/mlp/0/weight",
    "vicreg_projector/mlp/0/weight",
    "projector/linear/bias",
    "language_model/model/embed_tokens/weight",
    "language_model/model/layers/0/self_attn/q_proj/weight",
)


@pytest.mark.parametrize("change", CHANGED)
def test_changed_tensors(make_original, tmp_path, change):
    original = make_original()
    state = original.state_dict()
    for place in PLACES:
        tensor = CHANGED[change](state[f"model.{place.replace('/', '.')}"])
        path = original.save(state=original.changed(**{place: tensor}))
        kind = "vicreg" if place.startswith("vicreg") else "conditional-generation"
        with pytest.raises(CheckpointError) as caught:
            original.convert(tmp_path / "out", kind, path=path, dry_run=True)
        assert "\n" not in str(caught.value)


# Settings.


SHAPES = {"resampler_type": "mlp", "latent_dimension": 24, "use_vicreg_norm": True, "resampler_depth": 2}
PLAIN = {"stitching_mode": "concat", "overlap_ratio": 0.5, "fov_deg": 90.0, "crop_strategy": "e2p"}


def settings(tmp_path, parameters=None, config=None, kind="conditional-generation"):
    path = None
    if config is not None:
        path = tmp_path / "c.json"
        path.write_text(json.dumps({**PLAIN, **config}))
    checkpoint = Checkpoint(tmp_path / "x.ckpt", {}, {} if parameters is None else parameters)
    return read_settings(checkpoint, path, SHAPES, kind)


def shared_parts():
    value = ("a",)
    for _ in range(60):
        value = (value, value)
    return value


MONSTERS = {
    "shared parts": shared_parts(),
    "a long list": [0] * 9000,
    "a dictionary": {"a": {"b": 1}},
    "a long text": "x" * 10**6,
    "a large number": 10**5000,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "line breaks": "a\n```\nb",
}


@pytest.mark.parametrize("value", MONSTERS)
@pytest.mark.parametrize("name", ["stitching_mode", "resampler_type", "pe_temperature", "fov_deg", "use_vicreg_norm"])
def test_values_of_other_types(tmp_path, name, value):
    start = time.process_time()
    with pytest.raises(CheckpointError, match=name) as caught:
        settings(tmp_path, {name: MONSTERS[value]})
    assert time.process_time() - start < 5
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


OUT_OF_BOUNDS = {
    "pe_temperature": [0, -1, float("inf"), float("nan"), "warm", True, 1e-30],
    "fov_deg": [0, -90, 1e9, "wide", [90]],
    "overlap_ratio": [1, 1.5, -0.1, float("nan"), "half"],
    "stitch_target_to_view_width": ["false", 2, 0.5],
    "image_size": [float("nan"), "x", 1e7, 10**7, 0, -224, [224], [224, 224, 3], [224, "x"], {"height": 224}, True],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, many in OUT_OF_BOUNDS.items() for value in many])
@pytest.mark.parametrize("place", ["hyper_parameters", "model config"])
def test_values_out_of_bounds(tmp_path, name, value, place):
    given = {name: value}
    with pytest.raises(CheckpointError, match=rf"{name} is .* in (the )?{place}"):
        settings(tmp_path, *((given, {}) if place == "hyper_parameters" else ({}, given)))


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_dry_run_checks_the_temperature(make_original, tmp_path, value):
    with pytest.raises(CheckpointError, match="pe_temperature"):
        make_original(settings={"pe_temperature": value}).convert(tmp_path / "out", dry_run=True)


READ_AS = {
    "a number as text": ({"pe_temperature": "1e4"}, "pe_temperature", 10000.0),
    "a whole number": ({"fov_deg": 90}, "fov_deg", 90),
    "a flag as number": ({"stitch_target_to_view_width": 0}, "stitch_target_to_view_width", False),
    "a size as float": ({"latent_dimension": 24.0}, "latent_dimension", 24),
}


@pytest.mark.parametrize("what", READ_AS)
def test_spellings_of_the_same_value(tmp_path, what):
    given, name, value = READ_AS[what]
    assert settings(tmp_path, {}, given).values[name] == value


def test_image_size_is_contradictory(tmp_path):
    assert settings(tmp_path, {"image_size": (32, 32)}, {"image_size": 32}).image_size == [32, 32]
    assert settings(tmp_path, {"image_size": 32.0}).image_size == [32, 32]
    with pytest.raises(CheckpointError, match=r"image_size is contradictory: \[32, 32\].*\[24, 24\] in the model"):
        settings(tmp_path, {"image_size": [32, 32]}, {"image_size": 24})


@pytest.mark.parametrize("place", ["fov_deg", "overlap_ratio"])
@pytest.mark.parametrize("strategy", ["e2p", "anyres_e2p", "anyres", "sliding_window"])
def test_number_of_views_is_bounded(place, strategy):
    for value in {"fov_deg": (1e-3, 1e-7), "overlap_ratio": (0.99999999, 0.9999)}[place]:
        values = {"crop_strategy": strategy, "fov_deg": 90.0, "overlap_ratio": 0.5, place: value}
        found = RunSettings(values, None, 0.25, None, {}, (), ())
        with pytest.raises(CheckpointError, match="more than 512 views"):
            _crop_fields(found, SimpleNamespace(vision=SimpleNamespace(image_size=32)))


def alias_bomb():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    return "\n".join([*lines, "stitching_mode: *a59"])


DOCUMENTS = {
    "aliases.yaml": alias_bomb(),
    "deep.yaml": "[" * 20_000,
    "deep blocks.yaml": "\n".join(f"{' ' * n}a:" for n in range(1000)),
    "deep.json": '{"a":' * 100_000,
    "deep lists.json": "[" * 100_000 + "]" * 100_000,
    "large.json": " " * (2**20 + 1),
    "large.yaml": "a: b\n" * 300_000,
    "list.json": "[]",
    "null.json": "null",
    "number.yaml": "3",
    "empty.json": "",
    "twice.json": '{"fov_deg": 90, "fov_deg": 60}',
    "twice.yaml": "fov_deg: 90\nfov_deg: 60\n",
    "latin.json": b'{"a": "\xe9"}',
    "latin.yaml": b"a: \xe9\n",
    "digits.json": '{"fov_deg": ' + "9" * 10_000 + "}",
    "hexadecimal.yaml": "fov_deg: 0x" + "f" * 10_000,
    "python.yaml": "!!python/object/apply:os.mkdir [evil]",
    "binary.yaml": b"\x80\x02}q\x00.",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_model_configs_that_cannot_be_read(tmp_path, name):
    content = DOCUMENTS[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    start = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        read_settings(Checkpoint(tmp_path / "x.ckpt", {}, {}), path, SHAPES, "conditional-generation")
    assert time.process_time() - start < 5
    assert str(path) in str(caught.value) or "fov_deg" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["c.json", "c.yaml"])
def test_a_pipe_as_model_config(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match=name):
        read_settings(Checkpoint(tmp_path / "x.ckpt", {}, {}), tmp_path / name, SHAPES, "conditional-generation")


def test_names_of_towers_that_are_not_names(tmp_path):
    for name in (shared_parts(), "a\nb", "x" * 5000, 3, ["a"]):
        found = settings(tmp_path, {"vision_name": name, "language_model_name": name})
        assert found.towers == {"vision_name": (), "language_model_name": ()}
        with pytest.raises(CheckpointError, match="--vision-tower"):
            find_towers(found, None, None, "conditional-generation")


# Code in the folders that a run names.


EVIL = (
    "import os\nos.mkdir({marker!r})\nfrom transformers import PretrainedConfig\nclass C(PretrainedConfig):\n    pass\n"
)


def plant(folder, marker, file, content):
    """Put a module into a folder, and settings that name it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evil.py").write_text(EVIL.format(marker=str(marker)))
    path = folder / file
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**known, **content}))


def config_map(auto):
    return {"model_type": "evil", "auto_map": {auto: "evil.C"}}


TOKENIZER = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.C", "evil.C"]}}
CODE = {
    "vision tower": ("vision", "config.json", config_map("AutoConfig")),
    "vision tower of a known type": ("vision", "config.json", {"auto_map": {"AutoModel": "evil.C"}}),
    "text tower": ("text", "config.json", config_map("AutoConfig")),
    "text tower of a known type": ("text", "config.json", {"auto_map": {"AutoModelForCausalLM": "evil.C"}}),
    "tokenizer": ("text", "tokenizer_config.json", TOKENIZER),
    "generation": ("text", "generation_config.json", {"custom_generate": "evil.py", "auto_map": {"a": "evil.C"}}),
    "named by the run": ("siglip", "config.json", config_map("AutoConfig")),
}


@pytest.mark.parametrize("where", CODE)
def test_code_of_a_folder_never_runs(make_original, tmp_path, monkeypatch, capsys, where):
    """Also when stdin answers every question with yes."""
    marker = tmp_path / "marker"
    original = make_original(settings={"vision_name": "siglip"} if where == "named by the run" else {})
    folder, file, content = CODE[where]
    plant(original.folder / folder, marker, file, content)
    arguments = ["--lightning-ckpt", str(original.save()), "--output-dir", str(tmp_path / "out")]
    arguments += ["--text-tower", str(original.text_folder)]
    if where != "named by the run":
        arguments += ["--vision-tower", str(original.vision_folder)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 1000))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    capsys.readouterr()
    code = run(["convert", *arguments])
    printed = capsys.readouterr()
    assert not marker.exists()
    assert "y/N" not in printed.out + printed.err
    assert "Traceback" not in printed.err
    if code:
        assert printed.err.strip().splitlines()[-1].startswith("panollava: cannot convert")
    else:
        written = [(tmp_path / "out" / name).read_text() for name in ("config.json", "tokenizer_config.json")]
        assert not any("evil" in text for text in written)


def test_the_planted_code_works(make_original, tmp_path, monkeypatch):
    """It runs for those who ask for it."""
    from transformers import AutoConfig

    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    original = make_original()
    plant(original.vision_folder, tmp_path / "marker", "config.json", config_map("AutoConfig"))
    AutoConfig.from_pretrained(original.vision_folder, trust_remote_code=True)
    assert (tmp_path / "marker").exists()


TOWER_FILES = {
    "list": ("vision", "config.json", "[]"),
    "null": ("text", "config.json", "null"),
    "cut off": ("vision", "config.json", '{"model_type": "sig'),
    "deep": ("text", "config.json", '{"a":' * 50_000),
    "too many layers": ("text", "config.json", {"num_hidden_layers": 10**9}),
    "too wide": ("vision", "config.json", {"hidden_size": 2**20, "num_attention_heads": 1}),
    "a text as size": ("vision", "config.json", {"hidden_size": "x"}),
    "another type": ("text", "config.json", {"model_type": "siglip_vision_model"}),
    "unknown type": ("text", "config.json", {"model_type": "no-such-model"}),
    "no statistics": ("vision", "preprocessor_config.json", "{}"),
    "statistics of texts": ("vision", "preprocessor_config.json", {"image_mean": "abc"}),
    "statistics of zero": ("vision", "preprocessor_config.json", {"image_std": [0, 0, 0]}),
    "statistics as a list": ("vision", "preprocessor_config.json", "[]"),
    "tokenizer list": ("text", "tokenizer.json", "[]"),
    "tokenizer cut off": ("text", "tokenizer.json", '{"version": "1.0", "trunc'),
    "tokenizer settings": ("text", "tokenizer_config.json", "null"),
}


@pytest.mark.parametrize("what", TOWER_FILES)
def test_damaged_towers(make_original, tmp_path, what):
    original = make_original()
    folder, file, content = TOWER_FILES[what]
    path = original.folder / folder / file
    if isinstance(content, dict):
        content = json.dumps({**json.loads(path.read_text()), **content})
    path.write_text(content)
    with pytest.raises(CheckpointError) as caught:
        original.convert(tmp_path / "out", dry_run=True)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500


# What is written.


FAILURES = [
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    OSError(errno.EROFS, os.strerror(errno.EROFS)),
]


@pytest.mark.parametrize("failure", FAILURES, ids=["safetensors", "full", "read-only"])
@pytest.mark.parametrize("place", ["save_file", "PanoLLaVaProcessor.save_pretrained"])
def test_full_disk(make_original, tmp_path, monkeypatch, failure, place):
    def fail(*arguments, **named):
        raise failure

    original = make_original()
    path = original.save()
    monkeypatch.setattr(f"{write.__name__}.{place}", fail)
    with pytest.raises(CheckpointError) as caught:
        original.convert(tmp_path / "place" / "out", path=path)
    assert "space" in str(caught.value) or "Read-only" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "place").iterdir()) == []


def test_output_is_checked_before_the_work(make_original, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    arguments = ["--lightning-ckpt", str(make_original().save()), "--output-dir", str(tmp_path / "file" / "out")]
    capsys.readouterr()
    assert run(["convert", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "--output-dir" in line


@pytest.mark.parametrize("stage", ["vision\n\n```\nevil\n```", "a`b", "x" * 1000, ["finetune"], "[a](javascript:b)"])
def test_model_card_quotes_nothing(make_original, tmp_path, stage):
    """Names from the checkpoint do not become part of its Markdown or YAML."""
    name = "nowhere/a\n---\nlicense: evil\n```"
    original = make_original(extra={"stage": stage, "vision_name": name, "language_model_name": f"{name}`|<b>"})
    path = original.save().rename(original.folder / "a`b|<i>.ckpt")
    config = original.folder / "last.model_config.json"
    card = (original.convert(tmp_path / "o`ut", path=path, model_config=config).folder / "README.md").read_text()
    front, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert set(yaml.safe_load(front)) <= {"library_name", "pipeline_tag", "language", "tags", "base_model"}
    assert "evil" not in card
    assert "javascript" not in card
    assert "<i>" not in body
    assert max(map(len, card.splitlines())) < 500
