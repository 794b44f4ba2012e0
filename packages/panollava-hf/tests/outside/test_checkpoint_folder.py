"""A model that is named on the command line is looked at before torch is imported: one line says what it is instead."""

import json
import os
import shutil
import struct
import subprocess
import sys

import pytest
from panollava_hf._errors import ModelError
from panollava_hf.cli import run
from panollava_hf.outside._checkpoint_folder import check_checkpoint

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0f1e2d3c\nsize 3850608\n"


@pytest.fixture
def copy(checkpoint, tmp_path):
    """A copy of the embedded checkpoint whose files a test may damage."""
    return shutil.copytree(checkpoint, tmp_path / "copy")


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def error_of(source):
    with pytest.raises(ModelError) as caught:
        check_checkpoint(source)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert len(text) < 600
    return text


def test_a_whole_checkpoint_passes(checkpoint):
    assert check_checkpoint(checkpoint)["model_type"] == "panollava"


@pytest.mark.parametrize("name", ["./my-model", "../my-model", "/some/nomodel", "~/model", "a/b/c"])
def test_a_missing_folder_is_named_as_that(name):
    assert error_of(name).startswith(f"{name}: there is no such folder")


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "model.ckpt").touch()
    assert "this is a file, expected a folder" in error_of(tmp_path / "model.ckpt")


FOLDERS = {
    "empty": ([], "this folder is empty"),
    "photographs": (["a.jpg", "b.JPG"], "no config.json, it holds images"),
    "a training checkpoint": (["last.ckpt"], "`panollava convert`"),
    "an adapter alone": (["adapter_config.json"], "a LoRA adapter alone"),
    "a run": (["finetune/config.json", "notes.txt"], "did you mean .*finetune"),
    "something else": (["notes.txt"], "this folder has no config.json; expected a PanoLLaVA checkpoint"),
}


@pytest.mark.parametrize(("files", "message"), FOLDERS.values(), ids=FOLDERS.keys())
def test_a_folder_without_config_is_named_as_what_it_is(tmp_path, files, message):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    with pytest.raises(ModelError, match=message):
        check_checkpoint(tmp_path)


OTHER_MODELS = {
    "qwen2": ({"vocab_size": 9}, "this is a qwen2 model: `panollava join` makes a PanoLLaVA of it and a vision tower"),
    "llama": ({"vocab_size": 9}, "this is a llama model: `panollava join`"),
    "dinov2": ({"image_size": 8, "patch_size": 2}, "`panollava join` makes a PanoLLaVA of it and a language model"),
    "llava": ({"text_config": {}, "vision_config": {}, "vocab_size": 9}, "is 'llava', expected 'panollava'"),
    "x" * 5000: ({}, "expected 'panollava'"),
}


@pytest.mark.parametrize("kind", OTHER_MODELS, ids=lambda kind: kind[:10])
def test_a_model_of_another_kind_is_named(tmp_path, kind):
    fields, message = OTHER_MODELS[kind]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **fields}))
    assert message in error_of(tmp_path)


CONFIGS = {
    "cut off": ('{"model_type": "panoll', "not valid JSON"),
    "empty": ("", "it is empty"),
    "a list": ("[]", "expected a JSON object, got a list"),
    "null": ("null", "expected a JSON object, got null"),
    "a text": ('"panollava"', "got a text"),
    "no model type": ("{}", "model_type in its config.json is missing"),
    "model type is a number": ('{"model_type": 3}', "model_type in its config.json is a number"),
    "deep": ('{"a": ' + "[" * 100 + "]" * 100 + "}", "nested deeper"),
    "very deep": ('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", "not valid JSON"),
    "not UTF-8": (b'{"a": "\xff"}', "not valid JSON"),
    "a pointer": (POINTER, "this file is a Git LFS pointer"),
    "large": (" " * (2**24 + 1), "at most"),
    "a long number": ('{"a": ' + "9" * 10_000 + "}", "not valid JSON"),
}


@pytest.mark.parametrize(("text", "message"), CONFIGS.values(), ids=CONFIGS.keys())
def test_a_damaged_config_is_named(copy, text, message):
    (copy / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    text = error_of(copy)
    assert message in text
    assert "config.json" in text


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "processor_config.json"])
def test_a_pipe_is_refused_and_not_waited_for(copy, name):
    (copy / name).unlink()
    os.mkfifo(copy / name)
    assert "not a regular file" in error_of(copy)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "processor_config.json"])
def test_a_pointer_among_the_settings_is_named(copy, name):
    (copy / name).write_text(POINTER)
    assert f"{name}: this file is a Git LFS pointer" in error_of(copy)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "processor_config.json", "generation_config.json"])
@pytest.mark.parametrize("text", ["[]", "null", "{"])
def test_settings_that_are_not_objects_are_named(copy, name, text):
    (copy / name).write_text(text)
    assert name in error_of(copy)


def test_weights_that_are_a_pointer(copy):
    (copy / "model.safetensors").write_text(POINTER)
    assert "the weights are a Git LFS pointer, not the file itself; run `git lfs pull`" in error_of(copy)


def test_the_shared_pointer(copy, shared):
    shutil.copy(shared / "cases" / "weights_are_a_pointer.safetensors", copy / "model.safetensors")
    assert "the weights are a Git LFS pointer" in error_of(copy)


WEIGHTS = {
    "one byte short": (lambda data: data[:-1], "the weights are cut off: {short:,} bytes, expected {size:,}"),
    "half": (lambda data: data[: len(data) // 2], "are cut off"),
    "in the header": (lambda data: data[:1000], "are cut off after 1,000 bytes"),
    "seven bytes": (lambda data: data[:7], "are cut off after 7 bytes"),
    "empty": (lambda data: b"", "are cut off after 0 bytes"),
    "longer": (lambda data: data + b"x", "do not end where they should"),
    "zeros": (lambda data: bytes(len(data)), "not a safetensors file"),
    "a header of 2**60": (lambda data: struct.pack("<Q", 2**60) + data[8:], "not a safetensors file"),
    "a damaged header": (lambda data: data[:8] + b"}" + data[9:], "the header of the weights is damaged"),
    "a header that is a list": (lambda data: struct.pack("<Q", 2) + b"[]", "header of the weights is damaged"),
    "a web page": (lambda data: b"<!DOCTYPE html><html>Not found</html>", "not a safetensors file"),
}


@pytest.mark.parametrize(("damage", "message"), WEIGHTS.values(), ids=WEIGHTS.keys())
def test_damaged_weights_are_named(copy, damage, message):
    data = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(damage(data))
    text = error_of(copy)
    assert message.format(short=len(data) - 1, size=len(data)) in text
    assert "model.safetensors" in text


INDEXES = {
    "missing files": (
        {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}},
        "2 of 2 files .* missing",
    ),
    "outside": ({"weight_map": {"a": "../model.safetensors"}}, "not in this folder"),
    "absolute": ({"weight_map": {"a": "/etc/passwd"}}, "not in this folder"),
    "no map": ({}, "does not name the files"),
    "numbers": ({"weight_map": {"a": 3}}, "does not name the files"),
    "a list": ([], "expected a JSON object"),
}


@pytest.mark.parametrize(("index", "message"), INDEXES.values(), ids=INDEXES.keys())
def test_an_index_is_followed_inside_the_folder_only(copy, index, message):
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=message):
        check_checkpoint(copy)


def test_a_folder_without_weights(copy):
    (copy / "model.safetensors").unlink()
    assert "there are no weights in this folder" in error_of(copy)


@pytest.mark.parametrize("kept", [[], ["adapter_config.json"], ["adapter_model.bin"]])
def test_a_lost_adapter_is_an_error(copy, kept):
    change(copy / "config.json", use_lora=True)
    for name in kept:
        (copy / "adapter").mkdir(exist_ok=True)
        (copy / "adapter" / name).write_text("{}")
    text = error_of(copy)
    assert "its config says use_lora" in text
    assert "is missing" in text


COMMANDS = {
    "ask": ["ask", "PANORAMA", "What?", "--model", "MODEL"],
    "eval": ["eval", "--data", "DATA", "--output", "OUT", "--model", "MODEL"],
    "export": ["export", "OUT", "--model", "MODEL"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_it_in_one_line(copy, panorama_file, tmp_path, command):
    """In a process of its own: nothing heavy is imported, and nothing is read from stdin."""
    (copy / "model.safetensors").write_text(POINTER)
    (tmp_path / "data.csv").write_text("image,question,answer\na.png,What?,yes\n")
    names = {"PANORAMA": panorama_file, "MODEL": copy, "DATA": tmp_path / "data.csv", "OUT": tmp_path / "out"}
    arguments = [str(names.get(argument, argument)) for argument in COMMANDS[command]]
    program = f"""
import sys
from panollava_hf.cli import run
code = run({arguments!r})
assert not {{"torch", "transformers"}} & sys.modules.keys()
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, input="y\n" * 9, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"panollava: --model {copy}")
    assert "Git LFS pointer" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "--device gpu: unknown device; did you mean cuda? expected cpu, cuda, cuda:1, mps, xpu"),
        ("CUDA", "did you mean cuda?"),
        ("cdua:1", "did you mean cuda?"),
        ("cpu:x", "unknown device"),
        ("", "unknown device"),
    ],
)
def test_a_wrong_device_suggests_the_right_one(panorama_file, capsys, device, message):
    assert run(["ask", str(panorama_file), "What?", "--device", device]) == 2
    assert message in capsys.readouterr().err


def test_only_device_errors_are_filed_under_device(copy, panorama_file, capsys):
    change(copy / "config.json", latent_dimension=64)
    assert run(["ask", str(panorama_file), "What?", "--model", str(copy)]) == 2
    err = capsys.readouterr().err
    assert "do not fit its config: " in err
    assert "--device" not in err


def write_tower(folder, config, checkpoint, weights=True):
    folder.mkdir()
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    if weights:
        shutil.copy(checkpoint / "model.safetensors", folder)
    return folder


VISION, TEXT = {"model_type": "dinov2", "image_size": 8, "patch_size": 2}, {"model_type": "llama", "vocab_size": 9}
TOWERS = {
    "empty": ("--vision", None, False, "this folder is empty; expected a vision model"),
    "no config": ("--text", None, True, "this folder has no config.json; expected a text model"),
    "a list": ("--vision", [], True, "expected a JSON object, got a list"),
    "no weights": ("--text", TEXT, False, "there are no weights in this folder"),
    "text as vision": ("--vision", TEXT, True, "a llama model, which reads no images; expected a vision model"),
    "vision as text": ("--text", VISION, True, "a dinov2 model, which writes no text; expected a causal"),
    "joined already": ("--text", {"model_type": "panollava"}, True, "a PanoLLaVA checkpoint already"),
}


@pytest.mark.parametrize(("option", "config", "weights", "message"), TOWERS.values(), ids=TOWERS.keys())
def test_join_names_the_tower_that_cannot_be_used(checkpoint, tmp_path, capsys, option, config, weights, message):
    wrong = write_tower(tmp_path / "wrong", config, checkpoint, weights)
    towers = {
        "--vision": str(write_tower(tmp_path / "vision", VISION, checkpoint)),
        "--text": str(write_tower(tmp_path / "text", TEXT, checkpoint)),
        option: str(wrong),
    }
    assert run(["join", str(tmp_path / "out"), *(word for pair in towers.items() for word in pair)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"panollava: {option} {wrong}")
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 201, "a/" * 3000 + "b"])
def test_an_index_with_impossible_names_is_one_line(copy, name):
    (copy / "model.safetensors").rename(copy / "part.safetensors")
    index = {"metadata": {}, "weight_map": {"a": "part.safetensors", "b": name}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "which is not in this folder" in error_of(copy)


def test_a_header_of_too_many_tensors_is_one_line(copy):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"k{i}": entry for i in range(100_001)}).encode()
    (copy / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert "header of the weights is damaged" in error_of(copy)
