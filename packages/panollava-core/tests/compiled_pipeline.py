"""Run by test_compile in a process of its own, because the shape checker that tests install cannot be traced.

Usage: python compiled_pipeline.py BACKEND CASE...; prints the largest differences from eager execution as JSON.
"""

import json
import sys

import torch
from panollava_core import RESAMPLERS, LanguageFusion, PanoramaProjector, VisionBackbone, build_resampler
from transformers import CLIPVisionConfig, Dinov2Config, Siglip2VisionConfig, SiglipVisionConfig

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "patch_size": 8}
TOWERS = {
    "siglip": SiglipVisionConfig(**SMALL, image_size=32),
    "siglip2": Siglip2VisionConfig(**SMALL, num_patches=16),
    "clip": CLIPVisionConfig(**SMALL, image_size=32),
    "dinov2": Dinov2Config(**SMALL, image_size=32),
}


class Pipeline(torch.nn.Module):
    def __init__(self, tower, kind, **options):
        super().__init__()
        self.backbone = VisionBackbone(TOWERS[tower], trainable_blocks=1, output_norm=True)
        config = {"type": kind, "input_dim": 32, "latent_dimension": 16, "hidden_dim": 16, "num_layers": 1}
        self.resampler = build_resampler(config)
        self.projector = PanoramaProjector(16, 24, **options)
        self.grid = self.backbone.token_grid(32)
        self.latent_grid = self.resampler.output_grid(self.grid)

    def forward(self, pixel_values, rays):
        latents = self.resampler(self.backbone(pixel_values.flatten(0, 1)), grid=self.grid)
        return self.projector(latents, num_views=pixel_values.shape[1], grid=self.latent_grid, rays=rays)


def difference(found, expected):
    return max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))


def check_pipeline(backend, tower, kind, **options):
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = Pipeline(tower, kind, **options)
    rays = torch.nn.functional.normalize(torch.randn(3, *model.latent_grid, 3), dim=-1)
    pixels = torch.randn(2, 3, 3, 32, 32)
    parameters = [p for p in model.parameters() if p.requires_grad]

    def run(function):
        output = function(pixels, rays)
        grads = torch.autograd.grad(output.square().sum(), parameters, allow_unused=True)
        return [output, *(g for g in grads if g is not None)]

    compiled = difference(run(torch.compile(model, fullgraph=True, backend=backend)), run(model))
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model.eval(), (pixels, rays), dynamic_shapes=({0: batch}, None)).module()
    more = torch.randn(5, 3, 3, 32, 32)
    return {"compile": compiled, "export": difference([program(more, rays)], [model(more, rays)])}


def check_checkpointing(backend, kind):
    """Compiled with recomputed activations, against eager execution that keeps them."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    config = {"type": kind, "input_dim": 32, "latent_dimension": 16, "hidden_dim": 16, "num_latent_tokens": 8}
    model, tokens = build_resampler(config), torch.randn(3, 16, 32)

    def gradients(function):
        return torch.autograd.grad(function(tokens).square().sum(), list(model.parameters()))

    expected = gradients(model)
    model.set_gradient_checkpointing()
    return {"compile": difference(gradients(torch.compile(model, fullgraph=True, backend=backend)), expected)}


def check_fusion(backend):
    fusion = LanguageFusion(9, embed=torch.nn.Embedding(10, 4))
    ids, vision = torch.tensor([[1, 9, 9, 2], [9, 9, 3, 0]]), torch.randn(2, 2, 4)
    mask = (ids != 0).long()
    fuse = torch.compile(fusion.fuse, fullgraph=True, backend=backend)
    found, expected = fuse(vision, ids, mask, ids), fusion.fuse(vision, ids, mask, ids)
    result = {"compile": difference([found[k].float() for k in found], [expected[k].float() for k in expected])}
    try:
        fuse(vision, ids.clamp_max(8), mask, ids)
        result["mismatch"] = "went unnoticed"
    except RuntimeError as error:
        result["mismatch"] = str(error)
    return result


CASES = {
    **{f"siglip-{kind}": ("siglip", kind, {}) for kind in sorted(RESAMPLERS.keys() - {"none"})},
    "resample": ("siglip", "mlp", {"positional_encoding": "yaw", "stitching_mode": "resample"}),
    "drop": ("siglip", "mlp", {"positional_encoding": "none", "stitching_mode": "drop_overlap"}),
    **{tower: (tower, "mlp", {}) for tower in ("siglip2", "clip", "dinov2")},
}


def main(backend, cases):
    results = {}
    for name in cases:
        if name == "fusion":
            results[name] = check_fusion(backend)
        elif name.startswith("checkpointed-"):
            results[name] = check_checkpointing(backend, name.removeprefix("checkpointed-"))
        else:
            tower, kind, options = CASES[name]
            results[name] = check_pipeline(backend, tower, kind, **options)
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
