"""The original's own checkpoints, converted by the command, against what its code computed."""

import json
from types import SimpleNamespace

import pytest
import torch
from panollava_hf import (
    PanoLLaVaForConditionalGeneration,
    PanoLLaVaForFeatureExtraction,
    PanoLLaVaForVICReg,
    PanoLLaVaProcessor,
)
from panollava_hf.cli import run
from peft import PeftModel
from safetensors.torch import load_file

VISION = ("vision_mlp", "vision_mlp_batchwise")
FINETUNE = ("finetune_mlp_pe_stride", "finetune_mlp_resample", "finetune_bimamba_lora")
NAMES = (*VISION, "resampler_qformer", *FINETUNE)
#: What a converted checkpoint promises for every tensor.
CLOSE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture
def convert(shared, tmp_path, capsys):
    def by_command(name, model_type, *options):
        folder = shared / "fixtures" / "lightning"
        output = tmp_path / f"{name}-{model_type}"
        arguments = ["convert", "--lightning-ckpt", str(folder / f"{name}.ckpt"), "--output-dir", str(output)]
        arguments += ["--model-config", str(folder / f"{name}.model_config.json"), "--model-type", model_type]
        for tower, place in (("vision", "siglip"), ("text", "lm")):
            arguments += [f"--{tower}-tower", str(shared / "fixtures" / "towers" / place)]
        assert run([*arguments, *options]) == 0, capsys.readouterr().err
        reference = load_file(folder / f"{name}.reference.safetensors")
        return SimpleNamespace(folder=output, reference=reference, printed=capsys.readouterr())

    return by_command


def load(model_class, folder):
    model, report = model_class.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    return model.eval()


def same(found, wanted):
    torch.testing.assert_close(found.reshape(wanted.shape), wanted, **CLOSE)


@torch.no_grad()
def check_generation(model, reference):
    """Vision tokens, then both ways into the language model: inserted after one placeholder, and expanded before."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    image = inner.get_image_features(reference["pixel_values"], return_dict=True)
    same(image.last_hidden_state, reference["vision_features"])
    same(inner.panollava.encode_views(reference["pixel_values"])[1], reference["resampled_features"])
    tokens = torch.stack(tuple(image.pooler_output))
    same(tokens, reference["vision_tokens"])
    if "logits" not in reference:
        return
    ids, mask, labels = (reference[name] for name in ("input_ids", "attention_mask", "labels"))
    embedded = inner.get_input_embeddings()(ids)
    fused = inner.language_fusion.fuse(tokens, ids, mask, labels, inputs_embeds=embedded)
    assert torch.equal(fused["attention_mask"], reference["fused_attention_mask"])
    assert torch.equal(fused["labels"], reference["fused_labels"])
    inserted = model(
        inputs_embeds=fused["inputs_embeds"], attention_mask=fused["attention_mask"], labels=fused["labels"]
    )
    same(inserted.logits, reference["logits"])
    same(inserted.loss, reference["loss"])
    rows = []
    for row in zip(ids, mask, labels, strict=True):
        at, token = int((row[0] == inner.config.image_token_id).nonzero()[0]), inner.config.image_token_id
        fills = (token, 1, token)
        rows.append(
            [
                torch.cat([x[:at], x.new_full((tokens.shape[1],), f), x[at + 1 :]])
                for x, f in zip(row, fills, strict=True)
            ]
        )
    ids, mask, labels = (torch.stack(column) for column in zip(*rows, strict=True))
    expanded = model(input_ids=ids, attention_mask=mask, labels=labels, pixel_values=reference["pixel_values"])
    same(expanded.logits, reference["logits"])
    same(expanded.loss, reference["loss"])


@pytest.mark.parametrize("name", NAMES)
def test_conditional_generation(convert, name):
    done = convert(name, "conditional-generation")
    model = load(PanoLLaVaForConditionalGeneration, done.folder)
    assert model.config.connector_trained is (name not in VISION)
    if (done.folder / "adapter").exists():
        model = PeftModel.from_pretrained(model, done.folder / "adapter").eval()
    check_generation(model, done.reference)


def test_merged_lora(convert):
    done = convert("finetune_bimamba_lora", "conditional-generation", "--merge-lora")
    assert not (done.folder / "adapter").exists()
    check_generation(load(PanoLLaVaForConditionalGeneration, done.folder), done.reference)


@pytest.mark.parametrize("name", VISION)
def test_vicreg(convert, name):
    done = convert(name, "vicreg")
    output = load(PanoLLaVaForVICReg, done.folder)(done.reference["pixel_values"])
    same(output.vicreg_features, done.reference["vicreg_features"])
    same(output.last_hidden_state, done.reference["resampled_features"])
    same(output.loss, done.reference["vicreg_loss"])


@pytest.mark.parametrize("name", ["vision_mlp", "resampler_qformer", "finetune_mlp_resample"])
def test_feature_extraction(convert, name):
    done = convert(name, "feature-extraction")
    output = load(PanoLLaVaForFeatureExtraction, done.folder)(done.reference["pixel_values"])
    same(output.last_hidden_state, done.reference["resampled_features"])
    same(output.pooler_output, done.reference["resampled_features"].unflatten(0, (2, 4)).mean((1, 2)))


def test_every_key_is_printed(convert):
    done = convert("finetune_bimamba_lora", "conditional-generation", "--all-keys", "--dry-run")
    lines = done.printed.out.splitlines()
    assert lines[-1] == "152 mapped, 55 dropped, 0 missing, 0 unexpected"
    assert len(lines) == 207 + 1
    assert "nothing was written" in done.printed.err
    assert not done.folder.exists()


@pytest.mark.parametrize("name", ["bi_mamba", "bidirectional_mamba"])
def test_other_names_of_the_mamba_resampler(convert, shared, tmp_path, name):
    """The original's configs took three names for one resampler."""
    settings = json.loads((shared / "fixtures/lightning/finetune_bimamba_lora.model_config.json").read_text())
    config = tmp_path / "model_config.json"
    config.write_text(json.dumps({**settings, "resampler_type": name}))
    done = convert("finetune_bimamba_lora", "feature-extraction", "--model-config", str(config), "--dry-run")
    assert "0 missing, 0 unexpected" in done.printed.out


def test_folder_is_enough_for_ask(convert, panorama_file, capsys):
    """The command `ask` needs only the folder, and loads the adapter with the base."""
    done = convert("finetune_bimamba_lora", "conditional-generation")
    names = {path.name for path in done.folder.iterdir()}
    assert {"README.md", "config.json", "generation_config.json", "processor_config.json", "tokenizer.json"} <= names
    assert run(["ask", str(panorama_file), "What is ahead?", "--model", str(done.folder), "--max-new-tokens", "3"]) == 0
    assert "untrained" not in capsys.readouterr().err
    from panollava_hf import Answerer

    check_generation(Answerer.load(str(done.folder)).model, done.reference)


def test_tokenizer_is_the_towers_own(convert, shared):
    from tokenizers import Tokenizer

    done = convert("finetune_mlp_resample", "conditional-generation")
    tokenizer = PanoLLaVaProcessor.from_pretrained(done.folder).tokenizer
    raw = Tokenizer.from_file(str(shared / "fixtures" / "towers" / "lm" / "tokenizer.json"))
    text = "Was ist  da?\n<|im_start|>user 360° 全景<|im_end|>"
    assert tokenizer(text)["input_ids"] == raw.encode(text).ids
    assert tokenizer.convert_tokens_to_ids("<|vision|>") == 367
    assert tokenizer.eos_token == "<|im_end|>"


def test_script_is_the_command(shared, tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    script = Path(__file__).resolve().parents[4] / "tools" / "convert_to_hf.py"
    if not script.is_file():
        pytest.skip("not in the monorepo")
    missing = [sys.executable, str(script), "--lightning-ckpt", "no.ckpt", "--output-dir", str(tmp_path / "x")]
    result = subprocess.run(missing, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1] == "panollava: cannot convert: no.ckpt: no such file"
