"""Against tensors that the original implementation computed from its own weights.

The Q-Former's weights have other names there; panollava-hf converts and tests them.
"""

import json

import pytest
import torch
from panollava_core import (
    LanguageFusion,
    PanoramaProjector,
    VisionBackbone,
    build_resampler,
    near_square_grid,
    num_image_tokens,
)
from safetensors.torch import load_file
from transformers import SiglipVisionConfig

FIXTURES = [
    "vision_mlp",
    "vision_mlp_batchwise",
    "resampler_qformer",
    "finetune_mlp_pe_stride",
    "finetune_mlp_resample",
    "finetune_bimamba_lora",
]
IMAGE_TOKEN = 367  # the token the original's tokenizer gained


class Fixture:
    def __init__(self, folder, name):
        self.weights = torch.load(folder / f"{name}.ckpt", weights_only=True)["state_dict"]
        self.config = json.loads((folder / f"{name}.model_config.json").read_text())
        self.reference = load_file(folder / f"{name}.reference.safetensors")
        tower = json.loads((folder.parent / "towers" / "siglip" / "config.json").read_text())
        self.tower_config = SiglipVisionConfig(**tower["vision_config"])

    def part(self, prefix):
        return {k.removeprefix(prefix): v for k, v in self.weights.items() if k.startswith(prefix)}


@pytest.fixture(params=FIXTURES)
def fixture(request, shared):
    return Fixture(shared / "fixtures" / "lightning", request.param)


@pytest.fixture
def close():
    def check(found, expected):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)

    return check


def backbone_of(fixture):
    backbone = VisionBackbone(
        fixture.tower_config, trainable_blocks=0, output_norm=fixture.config["use_vicreg_norm"]
    ).eval()
    weights = fixture.part("model.vision_backbone.")
    if any(key.startswith("encoder.vision_model.") for key in backbone.state_dict()):  # transformers 4
        weights = {
            k.replace("encoder.", "encoder.vision_model.", k.startswith("encoder.")): v for k, v in weights.items()
        }
    backbone.load_state_dict(weights)
    return backbone


def resampler_of(fixture):
    config, kind = fixture.config, fixture.config["resampler_type"]
    if kind == "qformer":
        pytest.skip("tested in panollava-hf, which converts its weights")
    options = {
        "mlp": {"hidden_dim": config["resampler_hidden_dim"], "num_layers": config["resampler_depth"]},
        "bimamba": {
            "hidden_dim": config["resampler_hidden_dim"],
            "num_layers": config["resampler_depth"],
            **{k: config["resampler_config"].get(k) for k in ("d_state", "d_conv", "expand", "norm_first")},
        },
    }[kind]
    resampler = build_resampler(
        {
            "type": kind,
            "input_dim": fixture.tower_config.hidden_size,
            "latent_dimension": config["latent_dimension"],
            **options,
        }
    ).eval()
    resampler.load_state_dict(fixture.part("model.resampler."))
    return resampler


def projector_of(fixture):
    config, weights = fixture.config, fixture.part("model.projector.")
    width, latent = weights["linear.weight"].shape
    projector = PanoramaProjector(
        latent,
        width,
        positional_encoding="yaw" if config["use_projection_positional_encoding"] else "none",
        stitching_mode=config["stitching_mode"],
        overlap_ratio=config["overlap_ratio"],
        stitch_target_to_view_width=config["stitch_target_to_view_width"],
        stitch_interp=config["stitch_interp"],
        temperature=config["pe_temperature"],
    )
    projector.load_state_dict(weights)
    return projector


def test_vision_features(fixture, close):
    views = fixture.reference["pixel_values"].flatten(0, 1)
    close(backbone_of(fixture)(views), fixture.reference["vision_features"])


def test_resampled_features(fixture, close):
    close(resampler_of(fixture)(fixture.reference["vision_features"]), fixture.reference["resampled_features"])


def test_vision_tokens(fixture, close):
    latents, expected = fixture.reference["resampled_features"], fixture.reference["vision_tokens"]
    num_views, grid = fixture.reference["pixel_values"].shape[1], near_square_grid(latents.shape[1])
    projector = projector_of(fixture)
    close(projector(latents, num_views=num_views, grid=grid), expected)
    counted = num_image_tokens(
        num_views,
        grid,
        fixture.config["stitching_mode"],
        overlap_ratio=fixture.config["overlap_ratio"],
        stitch_target_to_view_width=fixture.config["stitch_target_to_view_width"],
    )
    assert counted == expected.shape[1]


def test_pixels_to_vision_tokens(fixture, close):
    pixels = fixture.reference["pixel_values"]
    backbone, resampler = backbone_of(fixture), resampler_of(fixture)
    grid = backbone.token_grid()
    latents = resampler(backbone(pixels.flatten(0, 1)), grid=grid)
    tokens = projector_of(fixture)(latents, num_views=pixels.shape[1], grid=resampler.output_grid(grid))
    close(tokens, fixture.reference["vision_tokens"])


def test_fused(fixture):
    reference = fixture.reference
    if "fused_labels" not in reference:
        pytest.skip("stage 1 fuses nothing")
    vision, ids = reference["vision_tokens"], reference["input_ids"]
    embed = torch.nn.Embedding(IMAGE_TOKEN + 1, vision.shape[-1])
    fused = LanguageFusion(IMAGE_TOKEN, embed=embed).fuse(vision, ids, reference["attention_mask"], reference["labels"])
    assert torch.equal(fused["attention_mask"], reference["fused_attention_mask"])
    assert torch.equal(fused["labels"], reference["fused_labels"])
    for row in range(len(ids)):
        place = int((ids[row] == IMAGE_TOKEN).nonzero())
        expected = torch.cat([embed(ids[row, :place]), vision[row], embed(ids[row, place + 1 :])])
        assert torch.equal(fused["inputs_embeds"][row], expected)
