"""The folder is complete or absent, in shards and in the requested type, and memory stays within a bound."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration
from panollava_hf._errors import OutputExistsError
from panollava_hf.conversion import _write as write
from panollava_hf.conversion._write import Weight, write_weights
from safetensors import safe_open


def test_interrupted_run_leaves_nothing(make_original, tmp_path, monkeypatch):
    original = make_original()
    path = original.save()
    place = tmp_path / "place"

    def interrupt(written, total):
        assert all(path.name.startswith(".out.") for path in place.iterdir())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        original.convert(place / "out", path=path, progress=interrupt)
    assert list(place.iterdir()) == []


def test_existing_folder_is_left_alone(make_original, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    original = make_original()
    with pytest.raises(OutputExistsError, match="already exists"):
        original.convert(tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_empty_folder_is_filled(make_original, tmp_path):
    (tmp_path / "out").mkdir()
    make_original().convert(tmp_path / "out")
    assert (tmp_path / "out" / "config.json").is_file()


def test_others_may_read_the_weights(make_original, tmp_path):
    pair = {"model.layers.0.self_attn.q_proj": (torch.ones(2, 32), torch.ones(32, 2))}
    folder = make_original(lora={"rank": 2, "alpha": 4, "modules": pair}).convert(tmp_path / "out").folder
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert folder / "adapter" / "adapter_model.safetensors" in files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}


def test_card_names_the_checkpoint(make_original, tmp_path):
    folder = make_original().convert(tmp_path / "out").folder
    card = (folder / "README.md").read_text()
    assert "`last.ckpt` (stage `finetune`)" in card
    assert "pip install panollava-hf" in card
    assert "trust_remote_code" not in card


def test_names_and_licences_of_the_towers(make_original, tmp_path):
    """The run's name for a tower, and what the folder that stands for it says; no path of this machine."""
    original = make_original()
    (original.vision_folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    folder = original.convert(tmp_path / "out").folder
    config = json.loads((folder / "config.json").read_text())
    assert config["vision_source"] == {"name": "nowhere/vision", "license": "cc-by-4.0"}
    assert config["text_source"] == {"name": "nowhere/text"}
    card = (folder / "README.md").read_text()
    link = "[nowhere/vision](https://huggingface.co/nowhere/vision)"
    assert f"| vision tower | {link}, licence `cc-by-4.0` |" in card
    assert all(str(tmp_path).encode() not in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_shards_and_progress(make_original, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "SMALLEST", 30_000)
    monkeypatch.setattr(write, "LARGEST", 30_000)
    original = make_original()
    steps = []
    done = original.convert(tmp_path / "out", progress=lambda written, total: steps.append((written, total)))
    assert len(done.files) > 2
    index = json.loads((done.folder / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set(done.files)
    sizes = [(done.folder / name).stat().st_size for name in done.files]
    assert index["metadata"]["total_size"] == pytest.approx(sum(sizes), rel=0.2)
    assert [step[0] for step in steps] == sorted({step[0] for step in steps})
    assert steps[-1][0] == steps[-1][1] == index["metadata"]["total_size"]
    model, report = PanoLLaVaForConditionalGeneration.from_pretrained(done.folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert torch.equal(model.projector.linear.weight, original.projector.weight)


def test_dtype(make_original, tmp_path):
    original = make_original()
    done = original.convert(tmp_path / "out", dtype="bfloat16")
    assert json.loads((done.folder / "config.json").read_text())["dtype"] == "bfloat16"
    with safe_open(done.folder / "model.safetensors", "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.bfloat16}
        found = file.get_tensor("panollava.projector.linear.weight")
    assert torch.equal(found, original.projector.weight.bfloat16())
    with pytest.raises(ValueError, match=r"int8.*bfloat16"):
        original.convert(tmp_path / "other", dtype="int8")


def test_types_are_kept_as_stored(make_original, tmp_path):
    original = make_original()
    state = original.state_dict()
    half = {k: v.bfloat16() if k.startswith("model.language_model") else v for k, v in state.items()}
    done = original.convert(tmp_path / "out", path=original.save(state=half))
    assert done.config.dtype == torch.float32  # holds both exactly
    with safe_open(done.folder / "model.safetensors", "pt") as file:
        assert file.get_tensor("panollava.projector.linear.weight").dtype == torch.float32
        assert file.get_tensor("panollava.language_model.norm.weight").dtype == torch.bfloat16


def test_towers_of_another_type(make_original, tmp_path):
    """A tower published in bfloat16 does not change the type of a checkpoint in float32."""
    original = make_original()
    for folder in (original.text_folder, original.vision_folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    done = original.convert(tmp_path / "out")
    model = PanoLLaVaForConditionalGeneration.from_pretrained(done.folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    found = model.language_model.embed_tokens.weight
    assert torch.equal(found, original.trained.get_input_embeddings().weight)


def test_tower_without_statistics(make_original, tmp_path):
    """The error comes before anything is written, also in a dry run."""
    original = make_original()
    (original.vision_folder / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match=r"preprocessor_config\.json"):
        original.convert(tmp_path / "out", dry_run=True)


def test_one_tensor_under_two_names(tmp_path):
    tensor = torch.randn(3, 3)
    write_weights(tmp_path, {name: Weight(tensor, torch.float32) for name in ("a", "b")}, dict)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("a"), tensor)
        assert torch.equal(file.get_tensor("b"), tensor)


MEASURE = """
import sys
from pathlib import Path
from panollava_hf import convert_lightning_checkpoint

path, output, vision, text, *options = sys.argv[1:]
settings = {"dtype": options[0]} if options else {}
convert_lightning_checkpoint(path, output, vision_tower=vision, text_tower=text, merge_lora=True, **settings)
# Not getrusage, whose maximum a child takes over from its parent.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc")
@pytest.mark.parametrize("options", [[], ["bfloat16"]], ids=["as stored", "bfloat16"])
def test_peak_memory(make_original, tmp_path, options):
    """At most 1.3 times the checkpoint's size and 500 MB, with LoRA merged into every large weight."""
    from transformers import Qwen2Config

    width, layers = 2048, 14
    small = make_original()
    config = Qwen2Config.from_pretrained(small.text_folder)
    config.update({"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers})
    config.layer_types = ["full_attention"] * layers
    config.save_pretrained(small.text_folder)
    state = {k: v for k, v in small.state_dict().items() if ".language_model." not in k}
    for name in ("projector.linear", "vision_to_language_projection"):
        state[f"model.{name}.weight"], state[f"model.{name}.bias"] = torch.zeros(width, 24), torch.zeros(width)
    inside = "model.language_model.base_model.model.model"
    heads, shared, wide = width, width // 2, 4 * width
    linear = {
        "self_attn.q_proj": (heads, width),
        "self_attn.k_proj": (shared, width),
        "self_attn.v_proj": (shared, width),
    }
    linear |= {"self_attn.o_proj": (width, heads), "mlp.gate_proj": (wide, width), "mlp.up_proj": (wide, width)}
    linear |= {"mlp.down_proj": (width, wide)}
    for layer in range(layers):
        for name, (after, before) in linear.items():
            place = f"{inside}.layers.{layer}.{name}"
            state[f"{place}.base_layer.weight"] = torch.full((after, before), 0.01)
            if name[-6:] in ("q_proj", "k_proj", "v_proj"):
                state[f"{place}.base_layer.bias"] = torch.zeros(after)
            state[f"{place}.lora_A.default.weight"] = torch.ones(2, before)
            state[f"{place}.lora_B.default.weight"] = torch.ones(after, 2)
        for name in ("input_layernorm", "post_attention_layernorm"):
            state[f"{inside}.layers.{layer}.{name}.weight"] = torch.ones(width)
    state[f"{inside}.norm.weight"] = torch.ones(width)
    state[f"{inside}.embed_tokens.weight"] = torch.zeros(272, width)
    lora = {"use_lora": True, "lora_rank": 2, "lora_alpha": 4}
    path = small.save(state=state, hyper_parameters=small.hyper_parameters | lora)
    del state
    size = path.stat().st_size
    assert size > 2.9e9
    program = textwrap.dedent(MEASURE)
    places = [str(path), str(tmp_path / "out"), str(small.vision_folder), str(small.text_folder)]
    result = subprocess.run(
        [sys.executable, "-c", program, *places, *options], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    peak = int(result.stdout.split()[-1])
    print(f"checkpoint {size / 1e9:.2f} GB, peak {peak / 1e9:.2f} GB, allowed {(1.3 * size + 5e8) / 1e9:.2f} GB")
    assert peak <= 1.3 * size + 500_000_000
    with safe_open(next((tmp_path / "out").glob("model-00001*")), "pt") as file:
        name = "panollava.language_model.layers.0.mlp.down_proj.weight"
        if name in file.keys():
            assert float(file.get_tensor(name)[0, 0]) == pytest.approx(0.01 + 2 * 2, rel=0.01)
