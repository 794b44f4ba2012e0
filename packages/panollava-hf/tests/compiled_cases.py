"""Compiles and exports whole models and compares them with the eager ones; run by test_compiled.

A process of its own, because the compiler cannot trace through the annotation checker that pytest installs.
"""

import sys

import torch
from panollava_hf import (
    PanoLLaVaConfig,
    PanoLLaVaForConditionalGeneration,
    PanoLLaVaForFeatureExtraction,
    PanoLLaVaForVICReg,
    default_checkpoint,
)
from transformers import CompileConfig, Qwen2Config, ResNetConfig, SiglipVisionConfig, SwinConfig

#: Towers whose grid is that of a feature map: known only once a tower was built.
MAPS = {
    "resnet": ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", image_size=32),
    "swin": SwinConfig(embed_dim=16, depths=[1, 1], num_heads=[2, 2], image_size=32, patch_size=4, window_size=4),
}


def config(resampler):
    vision = SiglipVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        vision_use_head=False,
    )
    vision, resampler = (MAPS[resampler], "mlp") if resampler in MAPS else (vision, resampler)
    text = Qwen2Config(
        vocab_size=99,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    settings = {"num_latent_tokens": 4} if resampler in ("qformer", "perceiver") else {}
    return PanoLLaVaConfig(
        vision,
        text,
        latent_dimension=32,
        image_token_id=98,
        resampler_type=resampler,
        vicreg_pairs="columns" if settings else "spherical",
        **settings,
    )


def inputs_for(settings, kind):
    pixels = torch.randn(2, len(settings.view_plan()), 3, *settings.image_size)
    if kind is not PanoLLaVaForConditionalGeneration:
        return {"pixel_values": pixels}
    placeholders = torch.full((2, settings.num_image_tokens()), settings.image_token_id)
    ids = torch.cat([torch.randint(3, 90, (2, 2)), placeholders, torch.randint(3, 90, (2, 4))], 1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels, "labels": ids}


def what_counts(output):
    return {name: output[name] for name in ("loss", "logits", "pooler_output") if output.get(name) is not None}


def compiled(model, inputs):
    """Forward and gradient, one graph each way; and forward alone, where nothing is kept for the way back."""
    torch._dynamo.reset()
    traced = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(what_counts(traced(**inputs)), what_counts(model(**inputs)))
    gradients = []
    for call in (model, traced):
        model.zero_grad()
        sum(value.mean() for value in what_counts(call(**inputs)).values()).backward()
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-5)


def exported(model, inputs):
    """A program without Python in it, that takes other values of the same shapes."""
    options = {"use_cache": False} if "input_ids" in inputs else {}
    with torch.no_grad():
        program = torch.export.export(model, (), {**inputs, **options}, strict=False).module()
        other = {**inputs, "pixel_values": inputs["pixel_values"].flip(0)}
        torch.testing.assert_close(what_counts(program(**other, **options)), what_counts(model(**other, **options)))


def generated(model, inputs):
    """The same answers with a static cache and every step of the decoder in one graph, as without."""
    torch._dynamo.reset()
    options = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    prompt = {name: value for name, value in inputs.items() if name != "labels"}
    compiling = CompileConfig(fullgraph=True, backend="aot_eager")
    compiling._compile_all_devices = True  # transformers compiles on a GPU only, unless it is asked to
    fast = model.generate(**prompt, **options, cache_implementation="static", compile_config=compiling)
    assert model._can_compile_fullgraph
    assert torch.equal(fast, model.generate(**prompt, **options))


def main(name):
    torch.manual_seed(0)
    kinds = (PanoLLaVaForConditionalGeneration, PanoLLaVaForVICReg, PanoLLaVaForFeatureExtraction)
    for kind in kinds:
        model = (kind.from_pretrained(default_checkpoint()) if name == "embedded" else kind(config(name))).eval()
        inputs = inputs_for(model.config, kind)
        compiled(model, inputs)
        exported(model, inputs)
        if "input_ids" in inputs:
            generated(model, inputs)
        print(kind.__name__)


if __name__ == "__main__":
    main(sys.argv[1])
