"""Checkpoints of other families, sizes and numbers of views, against the original's computation written anew."""

import pytest
import torch
from panollava_hf import (
    PanoLLaVaForConditionalGeneration,
    PanoLLaVaForFeatureExtraction,
    PanoLLaVaForVICReg,
    PanoLLaVaProcessor,
)
from peft import PeftModel


def clip():
    from transformers import CLIPVisionConfig, CLIPVisionModel

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    return CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=32, patch_size=8))


def dinov2():
    from transformers import Dinov2Config, Dinov2Model

    return Dinov2Model(
        Dinov2Config(
            hidden_size=24, num_hidden_layers=3, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=7
        )
    )


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    ends = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0, "vocab_size": 270}
    return LlamaForCausalLM(LlamaConfig(**sizes, **ends, num_key_value_heads=2, tie_word_embeddings=False))


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 512, "vocab_size": 270}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=1, attn_pdrop=0.0))


def neox():
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"bos_token_id": 1, "eos_token_id": 1, "vocab_size": 270, "tie_word_embeddings": False}
    return GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, **ends))


def gemma2():
    from transformers import Gemma2Config, Gemma2ForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0, "vocab_size": 270}
    return Gemma2ForCausalLM(Gemma2Config(**sizes, **ends, num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8))


def lora(modules, rank=3, alpha=5):
    generator = torch.Generator().manual_seed(11)

    def factor(*shape):
        return torch.randn(*shape, generator=generator) * 0.3

    return {
        "rank": rank,
        "alpha": alpha,
        "modules": {name: (factor(rank, before), factor(after, rank)) for name, (before, after) in modules.items()},
    }


CASES = {
    "siglip, six views, three-layer resampler": (
        {},
        {"hidden": (40, 40), "settings": {"stitching_mode": "drop_overlap", "resampler_depth": 3}},
        6,
    ),
    "clip, llama, five views": (
        {"vision": clip, "language": llama},
        {
            "prefix_tokens": 1,
            "settings": {"stitching_mode": "resample", "stitch_interp": "linear", "overlap_ratio": 0.25},
        },
        5,
    ),
    "neox, whose head has another name": ({"language": neox}, {"settings": {"stitching_mode": "stride_views"}}, 2),
    "gemma2, which scales embeddings": ({"language": gemma2}, {}, 2),
    "dinov2, gpt2, three views": (
        {"vision": dinov2, "language": gpt2},
        {"prefix_tokens": 1, "latent": 30, "settings": {"use_projection_positional_encoding": False}},
        3,
    ),
}


def inputs_for(original, views, side):
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(2, 270, (2, 9), generator=generator)
    ids[0, 2] = ids[1, 5] = original.image_token_id
    labels = ids.clone()
    labels[:, :3] = -100
    return torch.randn(2, views, 3, side, side, generator=generator), ids, labels


def expanded(ids, labels, token, count):
    rows = []
    for prompt, answer in zip(ids, labels, strict=True):
        at = int((prompt == token).nonzero()[0])
        many = torch.full((count,), token)
        rows.append(
            (torch.cat([prompt[:at], many, prompt[at + 1 :]]), torch.cat([answer[:at], many, answer[at + 1 :]]))
        )
    return torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])


@torch.no_grad()
def outputs(model, original, pixels, ids, labels):
    """By the processor's way, every vision token with a placeholder of its own."""
    count = original.vision_tokens(pixels)[0].shape[1]
    ids, labels = expanded(ids, labels, original.image_token_id, count)
    return model(input_ids=ids, pixel_values=pixels, labels=labels)


@pytest.mark.parametrize("name", CASES)
def test_same_numbers(make_original, tmp_path, name, tolerances):
    makers, settings, views = CASES[name]
    torch.manual_seed(3)
    original = make_original(**{part: maker() for part, maker in makers.items()}, **settings)
    pixels, ids, labels = inputs_for(original, views, original.vision.config.image_size)
    done = original.convert(tmp_path / "out")
    assert len(done.report.rows) == len(original.state_dict())
    model, report = PanoLLaVaForConditionalGeneration.from_pretrained(done.folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    found = outputs(model.eval(), original, pixels, ids, labels)
    wanted = original.forward(pixels, ids, labels)
    close = tolerances[torch.float32]
    torch.testing.assert_close(torch.stack(found.image_hidden_states), wanted["vision_tokens"], **close)
    torch.testing.assert_close(found.logits, wanted["logits"], **close)
    torch.testing.assert_close(found.loss, wanted["loss"], **close)

    original.convert(tmp_path / "features", "feature-extraction")
    features = PanoLLaVaForFeatureExtraction.from_pretrained(tmp_path / "features").eval()(pixels)
    torch.testing.assert_close(features.last_hidden_state.flatten(0, 1), wanted["latents"], **close)


GPT2_LORA = {f"transformer.h.{i}.attn.c_attn": (32, 96) for i in range(3)}
#: Two of three layers, and one of them only in part: the adapter must not grow beyond.
LLAMA_LORA = {"model.layers.0.self_attn.q_proj": (48, 48), "model.layers.2.mlp.down_proj": (64, 48)}


@pytest.mark.parametrize(("family", "modules"), [(gpt2, GPT2_LORA), (llama, LLAMA_LORA)], ids=["gpt2", "llama"])
def test_lora_kept_and_merged(make_original, tmp_path, family, modules, tolerances):
    torch.manual_seed(3)
    original = make_original(language=family(), lora=lora(modules))
    pixels, ids, labels = inputs_for(original, 2, 24)
    wanted = original.forward(pixels, ids, labels)["logits"]
    path = original.save()
    kept = original.convert(tmp_path / "kept", path=path)
    base = PanoLLaVaForConditionalGeneration.from_pretrained(kept.folder, use_lora=False).eval()
    without = outputs(base, original, pixels, ids, labels).logits
    assert (without - wanted).abs().max() > 0.01
    assert kept.config.use_lora
    adapted = PeftModel.from_pretrained(base, kept.adapter).eval()
    assert len([n for n, _ in adapted.named_modules() if n.endswith("lora_A")]) == len(modules)
    close = tolerances[torch.float32]
    torch.testing.assert_close(outputs(adapted, original, pixels, ids, labels).logits, wanted, **close)
    by_itself = PanoLLaVaForConditionalGeneration.from_pretrained(kept.folder).eval()
    torch.testing.assert_close(outputs(by_itself, original, pixels, ids, labels).logits, wanted, **close)

    merged = original.convert(tmp_path / "merged", path=path, merge_lora=True)
    assert merged.adapter is None
    assert not merged.config.use_lora
    model = PanoLLaVaForConditionalGeneration.from_pretrained(merged.folder).eval()
    torch.testing.assert_close(outputs(model, original, pixels, ids, labels).logits, wanted, **close)


def test_push(make_original, tmp_path, monkeypatch, capsys):
    """The whole folder, adapter included, is one commit to one repository; a refusal leaves the folder."""
    from types import SimpleNamespace

    from panollava_hf.cli import run
    from panollava_hf.hub import _push as module

    calls = {}

    class Hub:
        def __init__(self, **settings):
            pass

        def create_repo(self, name, **options):
            calls["created"] = (name, options)

        def model_info(self, name):
            return SimpleNamespace(sha="before", siblings=[SimpleNamespace(rfilename="old.safetensors")])

        def create_commit(self, name, operations, **options):
            if name == "someone/full":
                raise OSError("no space left")
            calls["commit"] = {operation.path_in_repo: type(operation).__name__ for operation in operations}
            calls["parent"] = options["parent_commit"]
            return SimpleNamespace(oid="0123abc")

    monkeypatch.setattr(module, "HfApi", Hub)
    original = make_original(language=llama(), lora=lora(LLAMA_LORA))
    arguments = ["convert", "--lightning-ckpt", str(original.save())]
    arguments += ["--vision-tower", str(original.vision_folder), "--text-tower", str(original.text_folder)]
    places = {
        name: ["--output-dir", str(tmp_path / name), "--push-to-hub", f"someone/{name}"] for name in ("a", "full")
    }
    assert run([*arguments, *places["a"]]) == 0
    assert "0123abc" in capsys.readouterr().out
    assert calls["created"] == ("someone/a", {"exist_ok": True, "private": True})
    assert calls["parent"] == "before"
    added = {name for name, kind in calls["commit"].items() if kind == "CommitOperationAdd"}
    assert {"config.json", "model.safetensors", "README.md", "adapter/adapter_model.safetensors"} <= added
    assert calls["commit"]["old.safetensors"] == "CommitOperationDelete"
    assert run([*arguments, *places["full"]]) == 2
    assert "the folder is written, but not uploaded: no space left" in capsys.readouterr().err
    assert (tmp_path / "full" / "config.json").is_file()
    assert run([*arguments, "--output-dir", str(tmp_path / "b"), "--push-to-hub", "ownerless"]) == 2
    assert "has no owner: write owner/name" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def vicreg(features, overlap, mode, weights):
    """The original's loss in float64, `features` `[B, V, H, W, D]`."""
    shared = max(1, int(features.shape[3] * overlap))
    x, y = features[:, :, :, -shared:].double(), features.roll(-1, 1)[:, :, :, :shared].double()
    x, y = (side.flatten(0, 1).flatten(1, 2) for side in (x, y))
    invariance = ((x - y) ** 2).mean()
    variances, covariances = [], []
    for sides in [(x, y)] if mode == "pairwise" else [(torch.cat([x, y]).flatten(0, 1)[None],)]:
        for side in sides:
            centred = side - side.mean(1, keepdim=True)
            std = ((centred**2).mean(1) + 1e-4).sqrt()
            variances.append(torch.relu(1 - std).mean())
            covariance = centred.transpose(1, 2) @ centred / (side.shape[1] - 1)
            off = covariance - torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))
            covariances.append((off**2).sum((1, 2)).mean() / side.shape[2])
    terms = (invariance, sum(variances) / len(variances), sum(covariances) / len(covariances))
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))


@pytest.mark.parametrize("mode", ["pairwise", "batchwise"])
@torch.no_grad()
def test_vicreg_of_any_size(make_original, tmp_path, mode, tolerances):
    """Five views, a projector wider inside, other weights, and the weight of the whole loss."""
    weights = {"vicreg_similarity_weight": 10.0, "vicreg_variance_weight": 20.0, "vicreg_covariance_weight": 2.0}
    original = make_original(
        settings={"vicreg_mode": mode, **weights},
        vicreg_sizes=[24, 30, 30, 20],
        extra={"stage": "vision", "vicreg_loss_weight": 0.5},
    )
    done = original.convert(tmp_path / "out", "vicreg")
    pixels = inputs_for(original, 5, 24)[0]
    output = PanoLLaVaForVICReg.from_pretrained(done.folder).eval()(pixels)
    features = original.vicreg(original.vision_tokens(pixels)[1]).view(2, 5, 4, 4, 20)
    torch.testing.assert_close(output.vicreg_features, features, **tolerances[torch.float32])
    wanted = vicreg(features, 0.5, mode, [0.5 * weight for weight in weights.values()])
    torch.testing.assert_close(output.loss.double(), wanted, rtol=1e-4, atol=1e-5)


def test_output_folder_stands_alone(make_original, tmp_path, panorama):
    """Six views, the tower's own statistics, and the placeholder's row."""
    original = make_original(settings={"stitching_mode": "stride_views"}, extra={"fov_deg": 75.0, "overlap_ratio": 0.2})
    done = original.convert(tmp_path / "out")
    processor = PanoLLaVaProcessor.from_pretrained(done.folder)
    assert processor.image_processor.image_mean == [0.4, 0.5, 0.6]
    assert processor.image_processor.image_std == [0.2, 0.3, 0.4]
    assert processor.image_token_id == original.image_token_id == done.config.image_token_id
    inputs = processor(images=[panorama], text=["where is <|vision|> the cube ?"], return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 6, 3, 24, 24)  # cut with overlap 0.2, stitched with 0.5
    assert done.config.overlap_ratio == 0.5
    model = PanoLLaVaForConditionalGeneration.from_pretrained(done.folder).eval()
    image = processor.image_processor(panorama)["pixel_values"]
    count = int((inputs["input_ids"] == processor.image_token_id).sum())
    assert count == original.vision_tokens(image)[0].shape[1]
    tokens = model.generate(**inputs, max_new_tokens=5, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert processor.image_token_id not in tokens
