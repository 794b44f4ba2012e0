"""Damaged, incomplete and hostile checkpoints: one error that names the cause, no random weights, no foreign code."""

import io
import json
import os
import shutil
import zipfile

import pytest
import torch
from panollava_hf import Answerer, PanoLLaVaForConditionalGeneration
from panollava_hf._errors import ModelError
from panollava_hf._loading import load_model, load_processor
from panollava_hf.cli import run
from panollava_hf.modeling_panollava_vision import PanoLLaVaForVICReg
from safetensors.torch import load_file, save_file


@pytest.fixture
def copy(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "copy")


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def edit_weights(folder, edit):
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def error_of(call, *arguments, **options):
    with pytest.raises(ModelError) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert len(text) < 1200
    return text


def test_the_embedded_checkpoint_loads_as_before(checkpoint):
    model = load_model(PanoLLaVaForConditionalGeneration, checkpoint)
    direct = PanoLLaVaForConditionalGeneration.from_pretrained(checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), direct.parameters(), strict=True))
    assert model.dtype == direct.dtype
    assert not model.training


def drop(*parts):
    def edit(weights):
        names = [name for name in weights if any(part in name for part in parts)]
        assert names
        for name in names:
            del weights[name]

    return edit


def rename(weights):
    weights["panollava.projector.other.weight"] = weights.pop("panollava.projector.linear.weight")


def transpose(weights):
    weights["panollava.projector.linear.weight"] = torch.zeros(3, 5)


WEIGHTS = {
    "no language model's layers": (drop("language_model.layers"), r"missing keys: .*layers.* and \d+ more"),
    "no embedding": (drop("embed_tokens"), "missing keys: .*embed_tokens"),
    "one layer norm": (drop("language_model.norm.weight"), "missing keys: panollava.language_model.norm.weight"),
    "no resampler": (drop("resampler"), "missing keys: panollava.resampler"),
    "an extra weight": (lambda w: w.update({"extra.weight": torch.zeros(2)}), "unexpected keys: extra.weight"),
    "a renamed weight": (rename, "missing keys: .*linear.weight.*unexpected keys: .*other.weight"),
    "another shape": (transpose, r"mismatched keys: panollava.projector.linear.weight"),
}


@pytest.mark.parametrize(("edit", "message"), WEIGHTS.values(), ids=WEIGHTS.keys())
def test_weights_that_do_not_fit_are_an_error(copy, edit, message, capsys):
    edit_weights(copy, edit)
    with pytest.raises(ModelError, match=message):
        Answerer.load(str(copy))
    assert "LOAD REPORT" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ask", "eval", "export", "train"])
def test_missing_weights_end_every_command(copy, command, panorama_file, training_scenes, tmp_path, capsys):
    edit_weights(copy, drop("language_model.layers"))
    recipe = {"model": {"path": str(copy)}, "data": {"source": str(training_scenes)}, "output": str(tmp_path / "out")}
    stage = {"steps": 1, "batch_size": 1, "learning_rate": 0.001}
    (tmp_path / "recipe.yaml").write_text(json.dumps({**recipe, "stages": {"resampler": stage}}))
    arguments = {
        "ask": ["ask", str(panorama_file), "What?", "--model", str(copy)],
        "eval": ["eval", "--data", str(training_scenes), "--output", str(tmp_path / "out"), "--model", str(copy)],
        "export": ["export", str(tmp_path / "out"), "--model", str(copy)],
        "train": ["train", "--config", str(tmp_path / "recipe.yaml")],
    }
    assert run(arguments[command]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = [line for line in err.strip().splitlines() if line.startswith("panollava: ")]
    assert "do not fit its config: missing keys: " in line
    assert not (tmp_path / "out" / "resampler").exists()


def test_only_the_named_parts_may_be_fresh(checkpoint, tmp_path):
    model = load_model(PanoLLaVaForVICReg, checkpoint, fresh=["vicreg_projector."])
    assert type(model) is PanoLLaVaForVICReg
    assert "missing keys: vicreg_projector." in error_of(load_model, PanoLLaVaForVICReg, checkpoint)
    model.save_pretrained(tmp_path)
    text = error_of(load_model, PanoLLaVaForConditionalGeneration, tmp_path)
    assert "missing keys: " in text
    assert "and more" not in text


CONFIGS = {
    "layers": ("text_config", {"num_hidden_layers": 10**9}),
    "a thousand layers": ("text_config", {"num_hidden_layers": 1500}),
    "hidden size": ("text_config", {"hidden_size": 10**9}),
    "vocabulary": ("text_config", {"vocab_size": 10**10}),
    "no heads": ("text_config", {"num_attention_heads": 0}),
    "a text for a number": ("text_config", {"hidden_size": "large"}),
    "unknown family": ("text_config", {"model_type": "no-such-family"}),
    "family is a list": ("text_config", {"model_type": ["qwen3"]}),
    "depths": ("vision_config", {"depths": [10**9, 1, 2]}),
    "a folder of code": ("vision_config", {"model_name": "EVIL"}),
    "part is a list": ("vision_config", []),
    "part is a number": ("text_config", 3),
}


@pytest.mark.parametrize(("part", "values"), CONFIGS.values(), ids=CONFIGS.keys())
def test_impossible_towers_are_one_line(copy, part, values):
    config = json.loads((copy / "config.json").read_text())
    value = {**config[part], **values} if isinstance(values, dict) else values
    if isinstance(values, dict) and "model_name" in values:
        value = values
    change(copy / "config.json", **{part: value})
    error_of(load_model, PanoLLaVaForConditionalGeneration, copy)


FIELDS = {
    "num_views": 10**7,
    "fov_deg": 1e-4,
    "overlap_ratio": 0.9999999,
    "view_size": 10**5,
    "latent_dimension": 10**9,
    "num_latent_tokens": -1,
    "resampler_config": {"hidden_dim": 10**9},
    "resampler_type": ["mlp"],
    "crop_strategy": {"a": 1},
    "positional_temperature": 0,
    "lora_r": 10**6,
    "image_token_id": "3",
    "use_lora": "yes",
}


@pytest.mark.parametrize("name", FIELDS)
def test_impossible_fields_are_one_line(copy, name):
    change(copy / "config.json", **{name: FIELDS[name]})
    assert name.removesuffix("_config") in error_of(load_model, PanoLLaVaForConditionalGeneration, copy)


def edit_processor(folder, **values):
    path = folder / "processor_config.json"
    content = json.loads(path.read_text())
    content["image_processor"].update(values)
    path.write_text(json.dumps(content))


PROCESSORS = {
    "token grid": {"token_grid": [20000, 20000]},
    "views": {"num_views": 10**7},
    "size": {"size": {"height": 10**5, "width": 80}},
    "size is a list": {"size": []},
    "mean": {"image_mean": "grey"},
    "std": {"image_std": [0, 0, 0]},
    "fov": {"fov_deg": 1e-4, "crop_strategy": "e2p"},
    "overlap": {"overlap_ratio": None},
    "another class": {"image_processor_type": "CLIPImageProcessor"},
    "code": {"image_processor_type": "Evil", "auto_map": {"AutoImageProcessor": "evil.Evil"}},
}


@pytest.mark.parametrize("values", PROCESSORS.values(), ids=PROCESSORS.keys())
def test_impossible_image_processors_are_one_line(copy, values):
    edit_processor(copy, **values)
    error_of(load_processor, copy)


def edit_tokenizer(folder, edit):
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def doubling(content):
    rule = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    content["normalizer"] = {"type": "Sequence", "normalizers": [rule] * 60}


def doubling_expression(content):
    rule = {"type": "Replace", "pattern": {"Regex": ""}, "content": "b"}
    content["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [rule] * 60}]}


def long_prefix(content):
    content["normalizer"] = {"type": "Prepend", "prepend": "x" * 100_000}


def padding(content):
    content["padding"] = {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_id": 0, "pad_type_id": 0}
    content["padding"]["pad_token"] = "<|endoftext|>"


TOKENIZERS = {
    "nested Replace": doubling,
    "Replace with an expression": doubling_expression,
    "Prepend": long_prefix,
    "padding": padding,
    "unknown model": lambda content: content["model"].update(type="Unknown"),
    "no model": lambda content: content.pop("model"),
    "vocabulary is a list": lambda content: content["model"].update(vocab=[]),
    "merges are numbers": lambda content: content["model"].update(merges=[1, 2]),
}


@pytest.mark.parametrize("edit", TOKENIZERS.values(), ids=TOKENIZERS.keys())
def test_a_damaged_tokenizer_is_one_line(copy, edit):
    edit_tokenizer(copy, edit)
    error_of(load_processor, copy)


@pytest.mark.parametrize("length", [0, 1, 100, 17_000])
def test_a_cut_tokenizer_is_one_line(copy, length):
    data = (copy / "tokenizer.json").read_bytes()
    (copy / "tokenizer.json").write_bytes(data[:length])
    assert "tokenizer.json" in error_of(load_processor, copy)


def test_usual_replacements_pass(copy):
    def edit(content):
        rules = [
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
            *[{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}] * 40,
        ]
        content["normalizer"] = {"type": "Sequence", "normalizers": rules}

    edit_tokenizer(copy, edit)
    assert load_processor(copy).prompt("What is ahead?")


TEMPLATES = {
    "syntax": "{% for %}",
    "unclosed": "{{ messages",
    "undefined": "{{ nothing.at.all }}",
    "a refusal": "{{ raise_exception('no') }}",
    "a power": "{{ 10 ** (10 ** 9) }}",
    "escape": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "division": "{{ 1 // 0 }}",
}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_a_broken_chat_template_is_one_line(copy, template):
    (copy / "chat_template.jinja").write_text(template)
    assert "chat template" in error_of(load_processor, copy)


SETTINGS = {
    "a length that is an object": ("tokenizer_config.json", {"model_max_length": {}}),
    "a stitching mode": ("processor_config.json", {"stitching_mode": 0}),
    "an image token": ("processor_config.json", {"image_token": ["a"]}),
    "no placeholder": ("processor_config.json", {"image_token": "another"}),
}


@pytest.mark.parametrize(("file", "values"), SETTINGS.values(), ids=SETTINGS.keys())
def test_impossible_settings_of_a_processor_are_one_line(copy, file, values):
    change(copy / file, **values)
    error_of(load_processor, copy)


GENERATION = [{"suppress_tokens": ["a"]}, {"eos_token_id": {}}, {"pad_token_id": 1e308}, {"max_new_tokens": "64"}]


@pytest.mark.parametrize("values", [*GENERATION, {"suppress_tokens": [False]}, {"num_beams": 10**9}], ids=str)
def test_impossible_generation_settings_are_one_line(copy, values):
    change(copy / "generation_config.json", **values)
    error_of(load_model, PanoLLaVaForConditionalGeneration, copy)


def test_an_endless_chat_template_is_stopped(copy, monkeypatch):
    monkeypatch.setattr("panollava_hf._loading.TEMPLATE_SECONDS", 0.2)
    loop = "{% for a in range(2000) %}" * 3
    (copy / "chat_template.jinja").write_text(loop + "{% endfor %}" * 3)
    assert "no result within 0.2 seconds" in error_of(load_processor, copy)


def write_evil(folder, marker):
    """A folder whose code leaves a mark when it is imported."""
    folder.mkdir(exist_ok=True)
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Evil: pass\n")
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}}
    (folder / "config.json").write_text(json.dumps(config))


def evil_image_processor(copy, evil):
    edit_processor(copy, image_processor_type="Evil", auto_map={"AutoImageProcessor": "evil.Evil"})


def evil_tokenizer(copy, evil):
    names = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    change(copy / "tokenizer_config.json", **names)


def evil_tower(copy, evil):
    change(copy / "config.json", vision_config={"model_name": str(evil)})


def evil_tower_name(copy, evil):
    change(copy / "config.json", vision_config=str(evil))


def evil_language_model(copy, evil):
    change(copy / "config.json", text_config={"model_name": str(evil)})


def evil_model(copy, evil):
    change(copy / "config.json", auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"})


def evil_processor(copy, evil):
    change(copy / "processor_config.json", auto_map={"AutoProcessor": "evil.Evil"}, processor_class="Evil")


def evil_generation(copy, evil):
    (copy / "custom_generate").mkdir()
    shutil.copy(evil / "evil.py", copy / "custom_generate" / "generate.py")
    change(copy / "generation_config.json", custom_generate=str(copy))


@pytest.mark.parametrize(
    "plant",
    [
        evil_image_processor,
        evil_tokenizer,
        evil_tower,
        evil_tower_name,
        evil_language_model,
        evil_model,
        evil_processor,
        evil_generation,
    ],
)
def test_code_in_a_folder_never_runs_and_nothing_asks(copy, tmp_path, monkeypatch, scene_file, capsys, plant):
    marker, evil = tmp_path / "it-ran", tmp_path / "evil"
    write_evil(evil, marker)
    shutil.copy(evil / "evil.py", copy / "evil.py")
    plant(copy, evil)
    stdin = io.StringIO("y\n" * 20)
    monkeypatch.setattr("sys.stdin", stdin)
    code = run(["ask", str(scene_file), "What is ahead?", "--model", str(copy), "--max-new-tokens", "1"])
    out, err = capsys.readouterr()
    assert not marker.exists()
    assert stdin.tell() == 0
    assert code in (0, 2)
    assert code == 0 or (out == "" and len(err.strip().splitlines()) == 1)
    assert "Do you wish to run" not in out + err


def test_code_for_generation_in_a_tower_does_not_run(tmp_path):
    from panollava_hf._pretrained import _tower
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 7, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2)).save_pretrained(tmp_path / "text")
    write_evil(tmp_path / "evil", tmp_path / "it-ran")
    (tmp_path / "text" / "custom_generate").mkdir()
    shutil.copy(tmp_path / "evil" / "evil.py", tmp_path / "text" / "custom_generate" / "generate.py")
    assert _tower(AutoModelForCausalLM, str(tmp_path / "text"), torch.float32).generation_config is not None
    assert not (tmp_path / "it-ran").exists()


def test_towers_with_code_are_refused(tmp_path, monkeypatch, capsys, checkpoint):
    marker = tmp_path / "it-ran"
    for name in ("vision", "text"):
        write_evil(tmp_path / name, marker)
        shutil.copy(checkpoint / "model.safetensors", tmp_path / name)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 20))
    towers = ["--vision", str(tmp_path / "vision"), "--text", str(tmp_path / "text")]
    assert run(["join", str(tmp_path / "out"), *towers]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not marker.exists()


@pytest.fixture
def adapted(copy):
    """A checkpoint with an adapter next to its base."""
    model = PanoLLaVaForConditionalGeneration.from_pretrained(copy, use_lora=True, lora_r=2)
    model.save_pretrained(copy)
    return copy


def test_an_adapter_is_loaded(adapted):
    model = load_model(PanoLLaVaForConditionalGeneration, adapted)
    assert any(".lora_A." in name for name, _ in model.named_parameters())


@pytest.mark.parametrize("lost", ["", "adapter_config.json", "adapter_model.safetensors"])
def test_a_lost_adapter_is_an_error(adapted, lost):
    if lost:
        (adapted / "adapter" / lost).unlink()
    else:
        shutil.rmtree(adapted / "adapter")
    assert "its config says use_lora" in error_of(load_model, PanoLLaVaForConditionalGeneration, adapted)
    # also without our loader
    assert "its config says use_lora" in error_of(PanoLLaVaForConditionalGeneration.from_pretrained, adapted)
    assert PanoLLaVaForConditionalGeneration.from_pretrained(adapted, use_lora=False)


ADAPTERS = {
    "megatron": {"megatron_config": {"a": 1}, "megatron_core": "evilmod"},
    "slow target": {"target_modules": "(a+)+$"},
    "slow exclusion": {"exclude_modules": "(.*)*x"},
    "slow ranks": {"rank_pattern": {"(a|a)*b": 4}},
    "look-ahead": {"target_modules": "(?=(a+))"},
    "not a pattern": {"target_modules": "("},
    "targets are numbers": {"target_modules": [1, 2]},
    "rank": {"r": 10**6},
    "rank of the weights": {"r": 4000},
    "rank is a text": {"r": "2"},
    "negative rank": {"r": -1},
    "rank pattern": {"rank_pattern": {"q_proj": 10**6}},
    "alpha": {"lora_alpha": float("inf")},
    "dropout": {"lora_dropout": 2},
    "another kind": {"peft_type": "PROMPT_TUNING"},
    "kind is null": {"peft_type": None},
    "replication": {"layer_replication": [[0, 4], [0, 4]]},
    "no layers": {"target_modules": ["nothing_like_this"]},
}


@pytest.mark.parametrize("values", ADAPTERS.values(), ids=ADAPTERS.keys())
def test_a_hostile_adapter_is_one_line(adapted, values, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evilmod.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w').close()\n")
    change(adapted / "adapter" / "adapter_config.json", **values)
    error_of(PanoLLaVaForConditionalGeneration.from_pretrained, adapted)
    error_of(load_model, PanoLLaVaForConditionalGeneration, adapted)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("text", ["[]", "null", "{", ""])
def test_a_damaged_adapter_config_is_one_line(adapted, text):
    (adapted / "adapter" / "adapter_config.json").write_text(text)
    assert "adapter_config.json" in error_of(load_model, PanoLLaVaForConditionalGeneration, adapted)


def test_a_cut_adapter_is_one_line(adapted):
    path = adapted / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert "cut off" in error_of(load_model, PanoLLaVaForConditionalGeneration, adapted)


@pytest.mark.parametrize(
    "targets", [["q_proj", "v_proj"], r".*\blanguage_model\..*\.(q_proj|v_proj)", r".*language_model.*\.[qv]_proj"]
)
def test_usual_adapters_pass(adapted, targets):
    weights = load_file(adapted / "adapter" / "adapter_model.safetensors")
    kept = {
        name: value
        for name, value in weights.items()
        if "language_model" in name and ("q_proj" in name or "v_proj" in name)
    }
    save_file(kept, adapted / "adapter" / "adapter_model.safetensors", metadata={"format": "pt"})
    change(adapted / "adapter" / "adapter_config.json", target_modules=targets)
    model = load_model(PanoLLaVaForConditionalGeneration, adapted)
    assert sum(".lora_A." in name for name, _ in model.named_parameters()) == 2 * 4


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027])
def test_weights_follow_the_umask(model, tmp_path, mask):
    before = os.umask(mask)
    try:
        model.save_pretrained(tmp_path / "saved")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "saved").iterdir()}
    assert set(modes.values()) == {0o666 & ~mask}, modes


def test_a_pickle_with_code_does_not_run(copy, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "it-ran"), "w"))

    (copy / "model.safetensors").unlink()
    torch.save({"a": Evil()}, copy / "pytorch_model.bin")
    error_of(load_model, PanoLLaVaForConditionalGeneration, copy)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("part", ["embed_tokens", "resampler", "k_norm"])
def test_weights_of_another_type_are_an_error(copy, kind, part):
    def edit(weights):
        name = next(name for name in weights if part in name)
        weights[name] = weights[name].to(kind)

    edit_weights(copy, edit)
    assert "expected floating-point numbers" in error_of(load_model, PanoLLaVaForConditionalGeneration, copy)


def torch_archive(path, pickle):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle)
        archive.writestr("a/version", "3")


SHARED = b"K\x01\x85" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60))
PICKLES = {
    "deep key": b"\x80\x02}(K\x01" + b"\x85" * 10**6 + b"K\x01u.",
    "shared key": b"\x80\x02}(" + SHARED + b"K\x01u.",
    "shared set": b"\x80\x02\x8f(" + SHARED + b"\x90.",
}


@pytest.mark.parametrize("pickle", PICKLES.values(), ids=PICKLES.keys())
@pytest.mark.parametrize("old", [False, True])
def test_pickles_that_would_crash_or_hang_are_one_line(copy, pickle, old):
    (copy / "model.safetensors").unlink()
    path = copy / "pytorch_model.bin"
    if old:
        stream = io.BytesIO()
        torch.save({}, stream, _use_new_zipfile_serialization=False)
        head = stream.getvalue()[: stream.getvalue().rindex(b"\x80\x02}")]
        path.write_bytes(head + pickle)
    else:
        torch_archive(path, pickle)
    assert "the weights cannot be read" in error_of(load_model, PanoLLaVaForConditionalGeneration, copy)


def test_a_compressed_pickle_is_one_line(copy):
    (copy / "model.safetensors").unlink()
    with zipfile.ZipFile(copy / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/byteorder", bytes(2**20))
    assert "compressed" in error_of(load_model, PanoLLaVaForConditionalGeneration, copy)


@pytest.mark.parametrize("new_format", [True, False])
def test_weights_of_torch_save_load_as_before(copy, new_format):
    weights = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(weights, copy / "pytorch_model.bin", _use_new_zipfile_serialization=new_format)
    model = load_model(PanoLLaVaForConditionalGeneration, copy)
    assert torch.equal(model.get_input_embeddings().weight, weights["panollava.language_model.embed_tokens.weight"])


@pytest.mark.parametrize("text", ["{{ 'a' * 10**9 }}", "{{ 'a'.center(9999999999) }}"])
def test_templates_that_take_all_memory_are_refused(copy, text):
    (copy / "chat_template.jinja").write_text(text)
    assert "which is not supported" in error_of(load_processor, copy)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="only Linux limits the memory of a block")
@pytest.mark.parametrize(
    "text", ["{{ '%9999999999d' % 5 }}", "{{ '{:>9999999999}'.format(5) }}", "{{ ([1] * 999999999)|length }}"]
)
def test_templates_have_a_limit_of_memory(copy, text):
    (copy / "chat_template.jinja").write_text(text)
    assert "chat template" in error_of(load_processor, copy)


PANICS = {
    "charsmap": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
    "length 0": {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
    "regex": {
        "normalizer": {"type": "Replace", "pattern": {"Regex": "(.*)*(.*)*(.*)*(.*)*\\d\\d\\d$"}, "content": "a"}
    },
}


@pytest.mark.parametrize("values", PANICS.values(), ids=PANICS.keys())
def test_a_panic_of_the_tokenizers_library_is_one_line(copy, values, capfd):
    change(copy / "tokenizer.json", **values)
    error_of(load_processor, copy)
    assert capfd.readouterr().err == ""


def test_a_tokenizer_of_a_larger_model_is_an_error(copy, panorama):
    vocabulary = json.loads((copy / "tokenizer.json").read_text())
    vocabulary["added_tokens"].append({**vocabulary["added_tokens"][-1], "id": 5000, "content": "behind"})
    change(copy / "tokenizer.json", **vocabulary)
    answerer = Answerer.load(str(copy))
    tokens = len(answerer.model.get_input_embeddings().weight)
    text = error_of(answerer.answer, panorama, "What is behind?")
    assert f"gives the token {tokens}, but its language model has {tokens} tokens" in text


def test_a_placeholder_of_another_id_is_an_error(copy):
    change(copy / "config.json", image_token_id=10**9)
    assert "that of its tokenizer is 3" in error_of(Answerer.load, str(copy))


def test_truncation_in_a_tokenizer_file_cuts_no_question(copy, panorama):
    truncation = {"max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    change(copy / "tokenizer.json", truncation=truncation)
    expected = Answerer.load("embedded").answer(panorama, "How many cubes are there?", max_new_tokens=3)
    assert (
        Answerer.load(str(copy)).answer(panorama, "How many cubes are there?", max_new_tokens=3).text == expected.text
    )


@pytest.mark.parametrize("name", ["output_hidden_states", "use_cache"])
@pytest.mark.parametrize("value", ["x", float("inf"), []])
def test_flags_of_a_tower_are_flags(copy, name, value):
    config = json.loads((copy / "config.json").read_text())
    config["text_config"][name] = value
    change(copy / "config.json", **config)
    error_of(load_model, PanoLLaVaForConditionalGeneration, copy)
